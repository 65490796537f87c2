"""Runs on MicroPython: gives each line of its input, in hex, to one of the node's decoders.

Its argument names the decoder. Each line of output is "ok" and what came of it, or "raised", the
exception's name, its text, and the lines of the firmware through which it came.
"""

import gc
import io
import sys
from binascii import hexlify, unhexlify

import fuzz_decoders

_NAME = sys.argv[1]


def _through(error):
    # Where the traceback passed, such as "cbor.py:230", which tells one refusal from another.
    text = io.StringIO()
    sys.print_exception(error, text)
    lines = [line.strip().split('"') for line in text.getvalue().split("\n") if "File" in line]
    return ["{}:{}".format(file.split("/")[-1], at.split()[2].strip(",")) for _, file, at in lines]


def _answer(data):
    try:
        return "ok " + getattr(fuzz_decoders, _NAME)(data)
    except Exception as error:  # noqa: BLE001 - which one it is, is the answer
        text = hexlify(str(error).encode()).decode()
        return " ".join(["raised", type(error).__name__, "text:" + text] + _through(error))


print("ready")
while True:
    line = sys.stdin.readline()
    if not line:
        break
    gc.collect()
    print(_answer(unhexlify(line[:-1])))
