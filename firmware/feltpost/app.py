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
    node = watchdog = None
    try:
        wanted = _wanted(retained, log)
        if not wanted:
            return
        # From here on it must be fed, or the board is reset.
        watchdog = Watchdog(boots, log)
        node = _node(wanted, retained, boots, watchdog, log)
        wanted = None
        _forget(_STARTING)
        node.connect()
        _forget(_REPORTING)
        asyncio.run(node.run())
    except KeyboardInterrupt:
        boots.forgive()
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the board must come back
        if node:
            node.close()
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

    try:
        settings = config.load()
        sleeps = settings.battery or settings.journal_mode == "ram"
        return settings, Identity(retained if sleeps else None)
    except (config.ConfigError, NotEnrolled) as error:
        log("feltpost {} can't start: {}", VERSION, error)
        return None


def _node(wanted, retained, boots, watchdog, log):
    from .node import Node

    settings, identity = wanted
    return Node(settings, identity, retained, boots, watchdog, log)


def _restart(error, boots, log):
    from . import crash

    crash.restart(error, boots, log)


def _forget(names):
    package_name = __name__.rpartition(".")[0]
    package = sys.modules[package_name]
    for name in names:
        # What still uses one of them keeps it; a later import loads it anew.
        if hasattr(package, name):
            delattr(package, name)
            del sys.modules["{}.{}".format(package_name, name)]
