"""The slipmux codec: vectors, round trips, and whatever else comes over a line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feltpost_gateway.slipmux import (
    FRAME_MAX_BYTES,
    Coap,
    Console,
    Decoder,
    Diagnostic,
    encode_coap,
    encode_diagnostic,
)


def test_frame_check_of_a_known_message() -> None:
    # FCS-16 is the CRC that catalogues call X-25; its check value for "123456789" is 0x906e.
    from feltpost_gateway import slipmux

    assert slipmux._fcs(b"123456789") ^ 0xFFFF == 0x906E


def test_escaping() -> None:
    frame = encode_coap(b"\xc0\xdb")
    assert frame.startswith(b"\xc0\xa9\xdb\xdc\xdb\xdd")
    assert frame.endswith(b"\xc0")
    assert frame.count(b"\xc0") == 2


def test_everything_on_one_line() -> None:
    line = (
        b"boot\r\nready" + encode_coap(b"one") + b"text\r\n" + encode_diagnostic("sensor lost")
        + encode_coap(b"two")[1:] + b"\xc0\xc0\xc0" + encode_coap(b"three") + b">>> \n"
    )  # fmt: skip
    decoder = Decoder()
    items = [item for byte in line for item in decoder.feed(bytes((byte,)))]
    assert items == [
        Console("boot"),
        Console("ready"),
        Coap(b"one"),
        Console("text"),
        Diagnostic("sensor lost"),
        Coap(b"two"),
        Coap(b"three"),
        Console(">>>"),
    ]
    assert decoder.bad_frames == 0


def test_damaged_frames_are_dropped_and_counted() -> None:
    decoder = Decoder()
    good = encode_coap(b"message")
    flipped = good[:4] + bytes((good[4] ^ 1,)) + good[5:]
    assert decoder.feed(flipped) == []
    assert decoder.feed(b"\xc0\xa9\xdbx\xc0") == []
    assert decoder.feed(b"\xc0\xa9\xdb\xc0") == []
    assert decoder.feed(b"\xc0\xa9\x00\xc0") == []
    assert decoder.bad_frames == 4
    assert decoder.feed(good) == [Coap(b"message")]


def test_a_lost_end_costs_one_frame_only() -> None:
    decoder = Decoder()
    decoder.feed(encode_coap(b"first")[:-1])
    assert decoder.feed(encode_coap(b"second") + encode_coap(b"third")) == [
        Coap(b"first"),
        Coap(b"second"),
        Coap(b"third"),
    ]
    decoder.feed(encode_coap(b"cut off")[:-4])
    assert decoder.feed(encode_coap(b"next")) == [Coap(b"next")]


def test_long_frames_are_given_up() -> None:
    decoder = Decoder()
    longest = encode_coap(bytes(FRAME_MAX_BYTES - 3))
    assert len(decoder.feed(longest)) == 1
    assert decoder.feed(encode_coap(bytes(FRAME_MAX_BYTES - 2))) == []
    assert decoder.bad_frames == 1
    assert decoder.feed(encode_coap(b"next")) == [Coap(b"next")]


def test_abandoned_frame() -> None:
    decoder = Decoder()
    decoder.feed(encode_coap(b"message")[:5])
    assert decoder.in_frame
    decoder.abandon()
    assert not decoder.in_frame
    assert decoder.bad_frames == 1
    assert decoder.feed(b"text\n" + encode_coap(b"next")) == [Console("text"), Coap(b"next")]


def test_console_text_that_begins_with_a_line_feed() -> None:
    decoder = Decoder()
    assert decoder.feed(encode_coap(b"message") + b"\n>>> ") == [Coap(b"message")]
    assert decoder.abandon() == [Console(">>>")]
    assert decoder.bad_frames == 0


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 50))
def test_round_trip(messages: list[bytes], chunk: int) -> None:
    line = b"".join(map(encode_coap, messages))
    decoder = Decoder()
    items = []
    for start in range(0, len(line), chunk):
        items += decoder.feed(line[start : start + chunk])
    assert items == [Coap(message) for message in messages]


@given(st.lists(st.binary(max_size=100) | st.sampled_from([b"\xc0", b"\xc0\xa9", b"\xdb"])))
def test_after_any_noise_a_frame_gets_through(noise: list[bytes]) -> None:
    decoder = Decoder()
    for piece in noise:
        decoder.feed(piece)
    assert decoder.feed(encode_coap(b"message"))[-1:] == [Coap(b"message")]
