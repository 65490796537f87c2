"""Assertions for the scripts that run on MicroPython; main() runs the one that is asked for."""

import sys
from binascii import hexlify


def equal(got, expected, what=""):
    if got != expected:
        raise AssertionError(f"{what}: got {_text(got)}, expected {_text(expected)}")


def raises(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        # A ValueError by accident, such as struct's, would have no text of ours.
        return error
    raise AssertionError(f"{kind.__name__} not raised for {args}")


def main(names):
    names[sys.argv[1]]()
    print("passed")


def _text(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return hexlify(value).decode()
    return repr(value)
