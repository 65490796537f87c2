"""Runs the node, and decides what becomes of the board when it ends.

A crash leads to a reset, a keyboard interrupt to the prompt, and so does a configuration or key
that is missing: there is nothing to run then.
"""

import asyncio
import sys

import machine

from . import VERSION
from .boots import Boots
from .identity import Identity, NotEnrolled
from .log import Log
from .retained import Retained
from .watchdog import Watchdog

# Modules that are of use only while the node starts, or until it has reported; they would cost it
# 14 kB of heap for ever.
_STARTING = ("config", "assembly", "ports", "channel_table")
_REPORTING = ("report", "crash")


def run():
    """Run the node; return only when the configuration or the key is missing or wrong."""
    log = Log()
    cause = machine.reset_cause()
    retained = Retained(machine.RTC().memory, cause != machine.PWRON_RESET)
    boots = Boots(retained, cause)
    watchdog = Watchdog(boots, log)
    node = None
    try:
        node = _assemble(retained, boots, watchdog, log)
        if node:
            asyncio.run(node.run())
    except KeyboardInterrupt:
        boots.forgive()
        raise
    except Exception as error:
        if node:
            node.close()
        from . import crash

        crash.restart(error, boots, log)
    finally:
        # Whatever ended it, the prompt must be usable.
        if node:
            node.close()
        asyncio.new_event_loop()
        watchdog.release()


def _assemble(retained, boots, watchdog, log):
    # Return the node; None, once the reason is logged, when it can't be put together.
    node = _configured(retained, boots, watchdog, log)
    _forget(_STARTING)
    if node:
        node.connect()
        _forget(_REPORTING)
    return node


def _configured(retained, boots, watchdog, log):
    from . import config
    from .node import Node

    try:
        settings = config.load()
        identity = Identity(retained if settings.journal_mode == "ram" else None)
        return Node(settings, identity, retained, boots, watchdog, log)
    except (config.ConfigError, NotEnrolled) as error:
        log("feltpost {} can't start: {}", VERSION, error)
        return None


def _forget(names):
    package_name = __name__.rpartition(".")[0]
    package = sys.modules[package_name]
    for name in names:
        # What still uses one of them keeps it; a later import loads it anew.
        if hasattr(package, name):
            delattr(package, name)
            del sys.modules["{}.{}".format(package_name, name)]
