"""Runs the node, and decides what becomes of the board when it ends.

A crash leads to a reset, a keyboard interrupt to the prompt, and so does a configuration or key
that is missing: there is nothing to run then.
"""

import asyncio
import sys

import machine

from . import VERSION
from .boots import Boots
from .log import Log
from .retained import Retained
from .watchdog import Watchdog


def run():
    """Run the node; return only when the configuration or the key is missing or wrong."""
    log = Log()
    cause = machine.reset_cause()
    retained = Retained(machine.RTC().memory, cause != machine.PWRON_RESET)
    boots = Boots(retained, cause)
    node = watchdog = start = None
    try:
        wanted = _wanted(retained, log)
        if not wanted:
            return
        # From here on it must be fed, or the board is reset.
        watchdog = Watchdog(boots, log)
        start = _start(wanted, retained, boots, watchdog, log)
        wanted = None
        node = start.connect()
        start = None
        forget("start", "report", "report_encoding", "crash")
        asyncio.run(node.run())
    except KeyboardInterrupt:
        if boots.safe:
            # For the technician's tools, which can't tell from the prompt.
            log("this was safe mode")
        boots.forgive()
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the board must come back
        if node:
            node.close()
        # The error may be that the heap is full: what filled it makes room for what keeps it.
        wanted = start = node = None
        asyncio.new_event_loop()
        _restart(error, boots, log)
    finally:
        # Whatever ended it, the prompt must be usable.
        if node:
            node.close()
        asyncio.new_event_loop()
        if watchdog:
            watchdog.release()


def _wanted(retained, log):
    # Return configuration and identity; None, once the reason is logged, without either.
    from . import config
    from .identity import Identity, NotEnrolled

    try:
        settings = config.load()
        sleeps = settings.battery or settings.journal_mode == "ram"
        return settings, Identity(retained if sleeps else None)
    except (config.ConfigError, NotEnrolled) as error:
        log("feltpost {} can't start: {}", VERSION, error)
        return None


def _start(wanted, retained, boots, watchdog, log):
    from .start import Start

    settings, identity = wanted
    return Start(settings, identity, retained, boots, watchdog, log)


def _restart(error, boots, log):
    from . import crash

    crash.restart(error, boots, log)


def forget(*names):
    """Give back the heap that modules of the package take, as far as nothing uses them still.

    A later import loads them anew. Those that are of use only while the node starts would cost it
    20 kB for ever.
    """
    package_name = __name__.rpartition(".")[0]
    package = sys.modules[package_name]
    for name in names:
        if hasattr(package, name):
            delattr(package, name)
            del sys.modules["{}.{}".format(package_name, name)]
