"""The channel's messages come apart the same however the stream is cut."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feltpost_tools.sim import channel
from feltpost_tools.sim.channel import Kind, Request, Rest

RESTS = st.builds(
    Rest,
    asleep=st.booleans(),
    limit_ms=st.none() | st.integers(0, 2**31),
    doorbells=st.integers(0, 0xFFFF),
)
REQUESTS = st.builds(
    Request,
    kind=st.sampled_from([kind for kind in Kind if kind not in (Kind.IDLE, Kind.SLEEP)]),
    id=st.integers(0, 255),
    payload=st.binary(max_size=5000),
)


def encoded(item):
    """What a board writes for it, as shims/_host.py does."""
    if isinstance(item, Rest):
        kind = Kind.SLEEP if item.asleep else Kind.IDLE
        limit_ms = channel.NO_LIMIT_MS if item.limit_ms is None else item.limit_ms
        message = struct.pack("<BIH", kind, limit_ms, item.doorbells)
    else:
        message = bytes((item.kind, item.id)) + item.payload
    return struct.pack("<H", len(message)) + message


@given(st.lists(RESTS | REQUESTS, max_size=10), st.integers(1, 300))
def test_any_cuts(items, chunk):
    stream = b"".join(map(encoded, items))
    received, got = bytearray(), []
    for start in range(0, len(stream), chunk):
        received += stream[start : start + chunk]
        got += channel.split(received)
    assert got == items
    assert not received


def test_unknown_kind():
    with pytest.raises(ValueError, match="not a valid Kind"):
        list(channel.split(bytearray(b"\x02\x00?\x00")))


def test_replies_and_clock_have_their_length_first():
    request = Request(Kind.NVS_GET, 7, b"")
    for message in (
        channel.reply(request, b"abc"),
        channel.reply(request, errno=2),
        channel.wake(5, -3),
        channel.doorbell(2**30 - 1, 0),
    ):
        assert int.from_bytes(message[:2], "little") == len(message) - 2
