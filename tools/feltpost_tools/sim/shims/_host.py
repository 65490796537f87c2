"""The board's side of the channel to the simulator: time, hardware and doorbells.

The channel is a stream socket whose file descriptor is in the environment. The host's side, and the
messages, are in ../channel.py.
"""

import os
import struct
import sys

import utime as _time

_TICKS = 0x3FFFFFFF
_HALF_TICKS = 0x20000000

_channel = open(int(os.getenv("FELTPOST_CHANNEL")), "r+b")
_request_id = 0
# Doorbells seen so far. An idle message carries the number, so that the host can tell whether the
# board went idle before or after it had noticed the newest input.
_doorbells = 0
ticks_offset = 0
date_offset_ms = 0

# By the number of a pin, what to call at its edges; and the pins whose edges are not yet handled.
interrupts = {}
_edges = []
_handling = False


def _read():
    # Read one message. A keyboard interrupt comes between messages, never within one: the host
    # writes each at once, so once its length is there the rest is too.
    head = _channel.read(2)
    if not head:
        sys.exit(1)
    length = head[0] | head[1] << 8
    try:
        return _channel.read(length)
    except KeyboardInterrupt:
        _channel.read(length)
        raise


def _take():
    # Take one message in; return it if it is a reply, None for what the clock or a doorbell sends.
    global ticks_offset, date_offset_ms, _doorbells
    message = _read()
    kind = message[0]
    if kind == 0x72:  # r, a reply
        return message
    ticks_offset, date_offset_ms = struct.unpack_from("<Iq", message, 1)
    if kind != 0x57:  # not W: D, a doorbell, or X, an interrupt
        _doorbells += 1
    if kind == 0x58:
        _edges.append(message[13])
    return None


def _handle_edges():
    # Handlers run where a scheduled function could: between two operations, and one at a time.
    global _handling
    if _handling:
        return
    _handling = True
    try:
        while _edges:
            handler = interrupts.get(_edges.pop(0))
            if handler:
                handler()
    finally:
        _handling = False


def call(kind, payload=b""):
    """Ask the host and return the reply's data; raise OSError with the errno it gives."""
    global _request_id
    _request_id = (_request_id + 1) & 0xFF
    _channel.write(struct.pack("<HBB", len(payload) + 2, kind, _request_id) + payload)
    while True:
        reply = _take()
        # A reply to a request that a keyboard interrupt cut short is passed over.
        if reply and reply[1] == _request_id:
            _handle_edges()
            if reply[2]:
                raise OSError(reply[2])
            return reply[3:]


def interrupt_again(wanted):
    """Have the host interrupt once more in a moment, or no more."""
    call(0x4B, b"\x01" if wanted else b"\x00")


def ticks_add(ticks, delta):
    """Add with the ESP32's wrap-around, whatever the word size here."""
    return ticks + delta & _TICKS


def ticks_diff(end, start):
    """Subtract with the ESP32's wrap-around, whatever the word size here."""
    return (end - start + _HALF_TICKS & _TICKS) - _HALF_TICKS


def ticks_ms():
    """Return the simulated milliseconds since boot, modulo 2**30 as on the ESP32."""
    return _time.ticks_ms() + ticks_offset & _TICKS


def sleep_ms(duration_ms):
    """Block until that much simulated time has passed; input does not end it."""
    end_ms = ticks_add(ticks_ms(), duration_ms)
    while True:
        left_ms = ticks_diff(end_ms, ticks_ms())
        if left_ms <= 0:
            return
        _channel.write(struct.pack("<HBIH", 7, 0x53, left_ms, _doorbells & 0xFFFF))
        _take()
        _handle_edges()


def wait(poller, ready, timeout_ms):
    """Wait until ``ready()`` returns something, or timeout_ms (below 0: for ever) has passed.

    poller is a real poll object in which the channel is registered beside what is waited for.
    """
    end_ms = ticks_add(ticks_ms(), timeout_ms) if timeout_ms >= 0 else None
    while True:
        found = ready()
        if found:
            return found
        left_ms = 0xFFFFFFFF
        if end_ms is not None:
            left_ms = ticks_diff(end_ms, ticks_ms())
            if left_ms <= 0:
                return found
        _channel.write(struct.pack("<HBIH", 7, 0x49, left_ms, _doorbells & 0xFFFF))
        poller.poll(-1)
        # Input from outside is followed by a doorbell, which carries the time of its arrival: the
        # clock must be right before anybody looks at it.
        _take()
        _handle_edges()


def drain(poller):
    """Take in what the host has sent unasked."""
    for stream, _ in poller.poll(0):
        if stream is _channel:
            _take()
            _handle_edges()


def channel():
    """Return the channel's stream, for registering in a poll object."""
    return _channel


# The host's first message sets the clock, before anybody can look at it.
_take()
