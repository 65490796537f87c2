"""slipmux frames: the frame check, escaping, and finding frames again after damage."""

from binascii import unhexlify

import check
from feltpost import slip

MESSAGE = unhexlify("40017d34c0db03dcddff00")


def frame(message, kind=slip.COAP):
    out = bytearray(slip.encoded_bytes(len(message)))
    return bytes(out[: slip.encode(kind, message, out)])


def feed(decoder, data):
    # What comes out: complete messages, and the bytes outside frames, in order.
    found = []
    for byte in data:
        event = decoder.feed(byte)
        if event == slip.FRAME:
            found.append(bytes(decoder.buf[: decoder.length]))
        elif event == slip.OUTSIDE:
            found.append(byte)
    return found


def decoder():
    return slip.Decoder(bytearray(1024))


def test_fcs16():
    # The check value of this FCS over "123456789", and RFC 1662's "good" residue.
    fcs = slip.fcs16(b"123456789") ^ 0xFFFF
    check.equal(fcs, 0x906E)
    check.equal(slip.fcs16(b"123456789" + bytes((fcs & 0xFF, fcs >> 8))), 0xF0B8)


def test_fcs16_is_rfc_1662s_bit_by_bit():
    for byte in range(256):
        fcs = 0xFFFF ^ byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
        check.equal(slip.fcs16(bytes((byte,))), fcs, byte)


def test_escaping():
    data = frame(MESSAGE)
    check.equal(data[:14], unhexlify("c0a940017d34dbdcdbdd03dcddff"))
    check.equal(data[-1], 0xC0)
    check.equal(0xC0 in data[1:-1], False)
    check.equal(feed(decoder(), data), [MESSAGE])


def test_worst_case_fits():
    for byte in (0xC0, 0xDB):
        message = bytes((byte,)) * 1024
        check.equal(feed(decoder(), frame(message)), [message])


def test_diagnostics():
    data = frame(b"hello\n", slip.DIAGNOSTIC)
    check.equal(data, b"\xc0\x0ahello\n\xc0")
    check.equal(feed(decoder(), data + b"x"), [ord("x")])


def test_console_text_between_frames():
    data = b"ab" + frame(MESSAGE) + b"c\x03" + frame(MESSAGE) + b"\r\x03"
    found = [97, 98, MESSAGE, 99, 3, MESSAGE, 13, 3]
    check.equal(feed(decoder(), data), found)


def test_an_interrupt_in_a_frame_is_data():
    message = b"\x03" * 40
    check.equal(feed(decoder(), frame(message)), [message])


def test_a_frame_of_another_kind_is_console_text():
    check.equal(feed(decoder(), b"\xc0\x03\xc0"), [3])
    check.equal(feed(decoder(), b"\xc0\xc0\xc0" + frame(MESSAGE)), [MESSAGE])


def test_a_damaged_frame_is_dropped():
    data = frame(MESSAGE)
    for i in range(2, len(data) - 1):
        changed = bytearray(data)
        changed[i] ^= 0x10
        found = feed(decoder(), bytes(changed) + frame(b"next"))
        check.equal(MESSAGE in found, False, i)
        check.equal(found[-1], b"next", i)


def test_a_lost_byte_costs_one_frame_at_most():
    data = frame(MESSAGE)
    for i in range(len(data)):
        found = feed(decoder(), frame(b"first") + data[:i] + data[i + 1 :] + frame(b"\x03next"))
        check.equal((found[0], found[-1]), (b"first", b"\x03next"), i)
        # No byte of a frame counts as console text, which a 0x03 of it would make an interrupt;
        # but without its kind a frame is none.
        check.equal(3 in found, i == 1, i)


def test_text_after_a_frame_is_console_text():
    check.equal(feed(decoder(), frame(MESSAGE) + b"\n\x03"), [MESSAGE, 10, 3])


def test_a_bad_escape_is_still_inside():
    check.equal(feed(decoder(), b"\xc0\xa9ab\xdb\x03\x03\xc0" + frame(MESSAGE)), [MESSAGE])


def test_too_long_is_given_up():
    given_up = decoder()
    check.equal(feed(given_up, b"\xc0\xa9" + b"a" * 1152), [])
    check.equal(given_up.inside, True)
    check.equal(feed(given_up, b"\x03\x03"), [3, 3])
    check.equal(given_up.inside, False)
    check.equal(feed(given_up, frame(MESSAGE)), [MESSAGE])


def test_longer_than_the_buffer_is_dropped():
    small = slip.Decoder(bytearray(4))
    check.equal(feed(small, frame(b"12345") + frame(b"1234")), [b"1234"])


def test_reset():
    given_up = decoder()
    feed(given_up, frame(MESSAGE)[:-1])
    given_up.reset()
    check.equal(feed(given_up, b"\x03"), [3])


def test_decoding_allocates_nothing():
    import gc

    data = frame(MESSAGE)
    quiet = decoder()
    feed(quiet, data)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for byte in data:
        quiet.feed(byte)
    check.equal(gc.mem_alloc() - before, 0)


check.main(globals())
