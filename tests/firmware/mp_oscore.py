"""RFC 8613 appendix C.1 to C.8: derived keys, protected requests, and answers to them."""

from binascii import unhexlify

import check
from feltpost import coap, oscore

SECRET = unhexlify("0102030405060708090a0b0c0d0e0f10")
SALT = unhexlify("9e7ca92223786340")
ID_CONTEXT = unhexlify("37cbf3210017a2d3")

PLAIN = b"Hello World!"


class Sequence:
    def __init__(self, *numbers):
        self._numbers = list(numbers)

    def next(self):
        return self._numbers.pop(0)


# Client's id, server's id, salt, id context.
C1 = (b"", b"\x01", SALT, None)
C2 = (b"\x00", b"\x01", b"", None)
C3 = (b"", b"\x01", SALT, ID_CONTEXT)


def client(parties, *numbers):
    mine, other, salt, id_context = parties
    return oscore.Context(SECRET, mine, other, Sequence(*numbers), salt, id_context)


def server(parties):
    other, mine, salt, id_context = parties
    return oscore.Context(SECRET, mine, other, None, salt, id_context)


def keys(parties, sender_key, recipient_key, sender_nonce, recipient_nonce):
    # A key shows in what it seals: both are compared with contexts that were given the keys.
    from feltpost import ccm

    context = client(parties, 0)
    request = context.request()
    check.equal(bytes(request.nonce), unhexlify(sender_nonce), "sender nonce")
    sealed = seal(context, request, PLAIN)
    buf = memoryview(bytearray(sealed))
    key = ccm.CCM(unhexlify(sender_key), 64)
    length = key.open(unhexlify(sender_nonce), request.associated, buf, len(buf))
    check.equal(bytes(buf[:length]), PLAIN, "sender key")
    buf = memoryview(bytearray(len(PLAIN) + 8))
    buf[: len(PLAIN)] = PLAIN
    key = ccm.CCM(unhexlify(recipient_key), 64)
    key.seal(unhexlify(recipient_nonce), request.associated, buf, len(PLAIN))
    check.equal(open_answer(context, request, b"\x01\x00", bytes(buf)), PLAIN, "recipient key")


def seal(context, request, plain, piv=b""):
    buf = memoryview(bytearray(len(plain) + 8))
    buf[: len(plain)] = plain
    check.equal(context.seal(request, buf, len(plain), piv), len(buf))
    return bytes(buf)


def open_answer(context, request, option, sealed):
    buf = memoryview(bytearray(sealed))
    return bytes(buf[: context.open(request, option, buf)])


def test_c1_key_derivation_with_salt():
    keys(
        C1,
        "f0910ed7295e6ad4b54fc793154302ff",
        "ffb14e093c94c9cac9471648b4f98710",
        "4622d4dd6d944168eefb54987c",
        "4722d4dd6d944169eefb54987c",
    )


def test_c2_key_derivation_without_salt():
    keys(
        C2,
        "321b26943253c7ffb6003b0b64d74041",
        "e57b5635815177cd679ab4bcec9d7dda",
        "bf35ae297d2dace910c52e99f9",
        "bf35ae297d2dace810c52e99f9",
    )


def test_c3_key_derivation_with_id_context():
    keys(
        C3,
        "af2a1300a5e95788b356336eeecd2b92",
        "e39a0c7c77b43f03b4b39ab9a268699f",
        "2ca58fb85ff1b81c0b7181b85e",
        "2da58fb85ff1b81d0b7181b85e",
    )


def protected_request(parties, message_id, token, message):
    # GET coap://localhost/tv1 as the appendix has it, with a token and an outer Uri-Host.
    context = client(parties, 20)
    request = context.request()
    buf = memoryview(bytearray(64))
    writer = coap.Writer(buf)
    writer.header(coap.CON, coap.POST, message_id)
    buf[0] |= len(token)
    buf[writer.pos : writer.pos + len(token)] = token
    writer.pos += len(token)
    writer.option(3, "localhost")
    writer.option(coap.OSCORE, context.option(request))
    writer.marker()
    start = writer.pos
    writer.code(coap.GET)
    writer.option(coap.URI_PATH, "tv1")
    end = start + context.seal(request, buf[start:], writer.pos - start)
    check.equal(bytes(buf[:end]), unhexlify(message))


def test_c4_request():
    protected_request(
        C1,
        0x5D1F,
        unhexlify("00003974"),
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    )


def test_c5_request_without_salt():
    protected_request(
        C2,
        0x71C3,
        unhexlify("0000b932"),
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    )


def test_c6_request_with_id_context():
    protected_request(
        C3,
        0x2F8E,
        unhexlify("ef9bbf7a"),
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3",
    )


def answer(message, piv):
    message = coap.Message(bytearray(unhexlify(message)))
    check.equal((message.kind, message.code), (coap.ACK, 0x44))
    sealed = bytes(message.payload)
    option = bytes(message.option(coap.OSCORE))
    request = client(C1, 20).request()
    plain = open_answer(client(C1), request, option, sealed)
    check.equal(plain, unhexlify("45ff48656c6c6f20576f726c6421"))
    # And the server's side of it.
    gateway = server(C1)
    check.equal(seal(gateway, gateway.bind(b"", b"\x14"), plain, piv), sealed)


def test_c7_answer():
    answer("64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106", b"")


def test_c8_answer_with_partial_iv():
    answer("64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e", b"\x00")


def test_an_answer_to_another_request_does_not_open():
    context = client(C1, 20, 21)
    first, second = context.request(), context.request()
    gateway = server(C1)
    sealed = seal(gateway, gateway.bind(b"", b"\x14"), PLAIN)
    check.equal(open_answer(context, first, b"", sealed), PLAIN)
    check.raises(ValueError, open_answer, context, second, b"", sealed)


def test_a_changed_byte_does_not_open():
    context = client(C1, 20)
    request = context.request()
    gateway = server(C1)
    sealed = seal(gateway, gateway.bind(b"", b"\x14"), PLAIN)
    for i in range(len(sealed)):
        changed = bytearray(sealed)
        changed[i] ^= 1
        check.raises(ValueError, open_answer, context, request, b"", changed)
    # The context still works: the chained state of its CBC pass is not lost by failures.
    check.equal(open_answer(context, request, b"", sealed), PLAIN)


def test_malformed_options():
    context = client(C1, 20)
    request = context.request()
    gateway = server(C1)
    sealed = seal(gateway, gateway.bind(b"", b"\x14"), PLAIN, b"\x07")
    check.equal(open_answer(context, request, b"\x01\x07", sealed), PLAIN)
    check.equal(open_answer(context, request, b"\x09\x07\x01", sealed), PLAIN)
    for option in (
        b"\x00",  # no flags, but a byte
        b"\x01",  # Partial IV missing
        b"\x06\x00\x00\x00\x00\x00\x07",  # longer than 5 bytes
        b"\x21\x07",  # reserved flag
        b"\x01\x07\x01",  # a kid without its flag
        b"\x09\x07\x02",  # another party's kid
        b"\x11\x07",  # kid context missing
        b"\x11\x07\x02\x00",  # kid context cut short
        b"\x19\x07\x02\x00",  # the same, with a kid after it
    ):
        check.raises(ValueError, open_answer, context, request, option, sealed)


def test_sequence_numbers_end():
    context = client(C1, 0, 255, 256, (1 << 40) - 1, 1 << 40)
    pivs = [context.request().piv for _ in range(4)]
    check.equal(pivs, [b"\x00", b"\xff", b"\x01\x00", b"\xff" * 5])
    check.raises(ValueError, context.request)


def test_ids():
    check.raises(ValueError, oscore.Context, SECRET, b"", b"")
    check.raises(ValueError, oscore.Context, SECRET, bytes(8), b"")


check.main(globals())
