"""Keeps the traceback of a crash over the reset, and resets the board.

The traceback is in a file until the gateway has it. Only the first is kept: those that follow while
it waits are most likely the same, and each would be a write to flash.
"""

import gc
import os
import sys
import time

import machine
from micropython import const

_PATH = "/crash.txt"
# What of its end is told. In os.stat(), the place of a file's size.
_BYTES = const(320)
_SIZE = const(6)

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
        log("crashed: {}", repr(error))
        if _is_first(boots):
            # Straight into the file: the heap may have no room for it.
            with open(_PATH, "w") as file:
                sys.print_exception(error, file)
            log(str(kept(), "utf-8"))
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
    """Write text to flash, or count it where an earlier one waits for the gateway."""
    if _is_first(boots):
        with open(_PATH, "w") as file:
            file.write(text)


def kept():
    """Return the end of the text that waits for the gateway, as UTF-8 bytes, or None."""
    try:
        size = os.stat(_PATH)[_SIZE]
        with open(_PATH, "rb") as file:
            # The last lines say most.
            file.seek(max(0, size - _BYTES))
            data = file.read()
    except OSError:
        return None
    # Whole characters only: bytes that begin with 0b10 are inside one.
    start = 0
    while start < len(data) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]


def _is_first(boots):
    try:
        os.stat(_PATH)
    except OSError:
        return True
    boots.count_crash()
    return False


def forget():
    """Remove the text: the gateway has it."""
    try:
        os.remove(_PATH)
    except OSError:
        # There was none.
        pass
