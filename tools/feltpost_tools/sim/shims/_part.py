"""Asks a part of the simulated board, see ../parts.py."""

import _host


def ask(place, request=b""):
    """Return what the part at the place answers; OSError with its errno; ENODEV: nothing there."""
    return _host.call(0x50, bytes((len(place),)) + place.encode() + request)
