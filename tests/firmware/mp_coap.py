"""CoAP messages: RFC 7252's figures, options at the edges of their coding, malformed ones."""

from binascii import unhexlify

import check
from feltpost import coap

# The encodings around 13 and 269 (RFC 7252 section 3.1), for a delta or a length:
# value, nibble, extension.
EDGES = (
    (0, 0, ""),
    (1, 1, ""),
    (12, 12, ""),
    (13, 13, "00"),
    (14, 13, "01"),
    (268, 13, "ff"),
    (269, 14, "0000"),
    (270, 14, "0001"),
    (525, 14, "0100"),
)


def test_figure_16():
    # RFC 7252 appendix A, figure 16: GET coap://server/temperature, and its piggy-backed answer.
    writer = coap.Writer(bytearray(32))
    writer.header(coap.CON, coap.GET, 0x7D34)
    writer.option(coap.URI_PATH, "temperature")
    check.equal(bytes(writer.view()), unhexlify("40017d34bb") + b"temperature")
    answer = coap.Message(unhexlify("60457d34ff") + b"22.3 C")
    check.equal((answer.kind, answer.code, answer.message_id), (coap.ACK, 0x45, 0x7D34))
    check.equal((len(answer.token), answer.options, bytes(answer.payload)), (0, [], b"22.3 C"))


def test_figure_17():
    # RFC 7252 appendix A, figure 17: the same with token 0x20.
    answer = coap.Message(unhexlify("61457d3520ff") + b"22.3 C")
    check.equal((answer.message_id, bytes(answer.token)), (0x7D35, b"\x20"))
    check.equal(bytes(answer.payload), b"22.3 C")


def test_option_edges():
    for delta, delta_nibble, delta_extension in EDGES:
        for length, length_nibble, length_extension in EDGES:
            value = bytes([delta & 0x7F]) * length
            encoding = bytes([delta_nibble << 4 | length_nibble])
            encoding += unhexlify(delta_extension + length_extension) + value
            writer = coap.Writer(bytearray(600))
            writer.option(delta, value)
            check.equal(bytes(writer.view()), encoding, (delta, length))
            options, payload = coap.parse_options(memoryview(encoding))
            check.equal([(n, bytes(v)) for n, v in options], [(delta, value)])
            check.equal(len(payload), 0)


def test_options_are_deltas():
    writer = coap.Writer(bytearray(64))
    writer.option(coap.URI_PATH, "j")
    writer.option(coap.URI_PATH, "17")
    writer.uint_option(coap.CONTENT_FORMAT, 112)
    writer.option(coap.ECHO, b"\x01")
    writer.payload(b"\x80")
    check.equal(bytes(writer.view()), unhexlify("b16a02313711" + "70" + "d1e301" + "ff80"))


def test_uint_options():
    for value, encoding in ((0, ""), (1, "01"), (255, "ff"), (256, "0100"), (65536, "010000")):
        writer = coap.Writer(bytearray(8))
        writer.uint_option(coap.MAX_AGE, value)
        options, _ = coap.parse_options(writer.view())
        check.equal(bytes(options[0][1]), unhexlify(encoding), value)
        check.equal(coap.uint(options[0][1], 3), value)
    check.raises(ValueError, coap.uint, bytes(5), 4)


def test_empty_message():
    writer = coap.Writer(bytearray(4))
    writer.header(coap.ACK, coap.EMPTY, 0x1234)
    check.equal(bytes(writer.view()), unhexlify("60001234"))
    check.equal(coap.Message(writer.view()).kind, coap.ACK)


def test_a_message_that_does_not_fit():
    writer = coap.Writer(bytearray(8))
    writer.header(coap.CON, coap.PUT, 1)
    check.raises(coap.Full, writer.option, coap.URI_PATH, "long")


def test_format_errors():
    for message in (
        "",
        "400112",  # header cut short
        "00011234",  # version 0
        "c0011234",  # version 3
        "49011234" + "00" * 9,  # token of 9 bytes
        "42011234aa",  # token cut short
        "6000123400",  # empty message with a token length of 0 and bytes
        "40011234ff",  # marker without payload
        "40011234f0",  # reserved delta
        "400112340f",  # reserved length
        "40011234d0",  # extended delta missing
        "40011234e000",  # extended delta cut short
        "400112340d",  # extended length missing
        "40011234b26a",  # value cut short
        "40011234e0ffff",  # option number beyond 65535
    ):
        check.raises(ValueError, coap.Message, unhexlify(message))


def test_code_text():
    check.equal([coap.code_text(c) for c in (0x44, 0x8D, 0xA3)], ["2.04", "4.13", "5.03"])


check.main(globals())
