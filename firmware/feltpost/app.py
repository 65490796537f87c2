"""Puts the node together from its configuration and runs it until something stops it."""

import asyncio
import sys

import esp32

from . import VERSION
from .client import Client
from .clock import Clock
from .identity import Identity, NotEnrolled
from .log import Log
from .oscore import Context
from .uplink import Uplink

# A gateway's sender id is empty, see docs/protocol.md.
_GATEWAY_ID = b""

_JOURNAL_PARTITION = "journal"

_STARTING = ("config", "assembly", "ports", "channel_table")


def run():
    """Run the node; return only when the configuration or the key is missing or wrong."""
    log = Log()
    node = _assemble(log)
    if not node:
        return
    try:
        asyncio.run(node.run())
    finally:
        # Whatever ended it, the prompt must be usable.
        node.close()
        asyncio.new_event_loop()


def _assemble(log):
    # Return the node; None, once the reason is logged, when it can't be put together.
    from . import config

    try:
        return _Node(config.load(), Identity(), log)
    except (config.ConfigError, NotEnrolled) as error:
        log("feltpost {} can't start: {}", VERSION, error)
        return None
    finally:
        _forget(_STARTING)


def _forget(names):
    # What is of use only while the node starts would cost it 8 kB of heap for ever.
    name = __name__.rpartition(".")[0]
    package = sys.modules[name]
    for module in names:
        if hasattr(package, module):
            delattr(package, module)
            del sys.modules["{}.{}".format(name, module)]


def _journal(identity, settings, log):
    # On flash where the board has a partition for it, else in RAM.
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=_JOURNAL_PARTITION)
    if found:
        from .journal_flash import FlashJournal

        try:
            return FlashJournal(found[0], identity.new_journal, identity.new_boot())
        except (OSError, ValueError) as error:
            # Worn out or too small: better less safe than silent.
            log("journal partition can't be used ({}); readings are kept in RAM only", error)
    from .journal_ram import RamJournal

    return RamJournal(identity.new_journal(), settings.journal_readings)


class _Node:
    def __init__(self, settings, identity, log):
        from .assembly import Assembly
        from .channel_table import ChannelTable

        self._log = log
        self._clock = Clock()
        self._journal = _journal(identity, settings, log)
        table = ChannelTable()
        self._samplers = Assembly(settings, table, self._journal, self._clock, log).samplers()
        self._problems = settings.problems
        self._serial = None
        context = Context(identity.key, identity.key_id, _GATEWAY_ID, identity.sequence)
        self._clients = [Client(self._link(entry), context) for entry in settings.links]
        self._uplink = Uplink(self._clients, self._journal, table.entries, self._clock, log)

    async def run(self):
        appended = asyncio.Event()
        tasks = [asyncio.create_task(sampler.run(appended)) for sampler in self._samplers]
        if self._serial:
            self._log.to(self._serial.diagnostic)
            tasks.append(asyncio.create_task(self._serial.run()))
        self._log(
            "feltpost {}: journal {}, {} readings in it, {} sensors",
            VERSION,
            self._journal.number,
            len(self._journal),
            len(self._samplers),
        )
        for problem in self._problems:
            self._log("left out: {}", problem)
        tasks.append(asyncio.create_task(self._uplink.run(appended)))
        # The tasks never end of themselves; one that fails takes the node down with its traceback
        # rather than leave it half alive.
        await asyncio.gather(*tasks)

    def close(self):
        for client in self._clients:
            client.link.close()
        if self._serial:
            self._serial.release()
        self._log.to(print)

    def _link(self, entry):
        # The module of a link that the node doesn't have would cost heap.
        if entry.kind == "udp":
            import network

            from .link_udp import UdpLink

            wlan = network.WLAN(network.STA_IF)
            return UdpLink(wlan, entry.ssid, entry.password, entry.host, entry.port)
        from .link_serial import SerialLink

        self._serial = SerialLink(sys.stdin.buffer, sys.stdout.buffer)
        return self._serial
