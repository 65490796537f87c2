"""Keeps the traceback of a crash over the reset, and resets the board.

The traceback is in a file until the gateway has it. Only the first is kept: those that follow while
it waits are most likely the same, and each would be a write to flash.
"""

import gc
import io
import os
import sys
import time

import machine
from micropython import const

_PATH = "crash.txt"
_BYTES = const(400)

# Doubled with each bad boot, so that a node that can't run neither wears its flash nor floods its
# links with attempts; less than the watchdog's timeout, as nobody feeds it meanwhile.
_PAUSE_FIRST_MS = const(1_000)
_PAUSE_MOST_MS = const(120_000)


def restart(error, boots, log):
    """Keep the traceback of error, pause, and reset the board.

    boots: a boots.Boots, whose bad boots in a row make the pause longer. A KeyboardInterrupt
    meanwhile leads to the prompt.
    """
    gc.collect()
    try:
        stream = io.StringIO()
        sys.print_exception(error, stream)
        text = stream.getvalue()
        log(text)
        keep(text, boots)
    except (MemoryError, OSError) as failure:
        # Better a reset without a traceback than none.
        log("traceback can't be kept: {}", repr(failure))
    pause_ms = min(_PAUSE_FIRST_MS << min(boots.bad, 10), _PAUSE_MOST_MS)
    log("restarts in {} s; Ctrl-C gives the prompt", pause_ms // 1000)
    try:
        time.sleep_ms(pause_ms)
    except KeyboardInterrupt:
        boots.forgive()
        raise
    machine.reset()


def keep(text, boots):
    """Write the end of text to flash, or count it where an earlier one waits for the gateway."""
    if kept() is not None:
        boots.count_crash()
        return
    data = text.encode()
    start = max(0, len(data) - _BYTES)
    # The last lines say most. Whole characters only: those that begin with 0b10 are inside one.
    while start < len(data) and data[start] & 0xC0 == 0x80:
        start += 1
    with open(_PATH, "wb") as file:
        file.write(data[start:])


def kept():
    """Return the text that waits for the gateway, as UTF-8 bytes, or None."""
    try:
        with open(_PATH, "rb") as file:
            return file.read()
    except OSError:
        return None


def forget():
    """Remove the text: the gateway has it."""
    try:
        os.remove(_PATH)
    except OSError:
        # There was none.
        pass
