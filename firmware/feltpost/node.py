"""The node: its parts, put together as the configuration asks, and the tasks that they are.

It is put together in two steps. The first one needs the configuration and what reads it; these are
forgotten before the second one loads what they would leave no room for.
"""

import asyncio
import sys

import machine

from . import VERSION
from .clock import Clock
from .retained import BOOT, CLOCK, WAKE

# A gateway's sender id is empty, see docs/protocol.md.
_GATEWAY_ID = b""


class Node:
    """Everything that runs. settings: a config.Config, which is not kept; the others as app.run()
    makes them. After this connect(), then run().
    """

    def __init__(self, settings, identity, retained, boots, watchdog, log):
        from .channel_table import ChannelTable

        self._identity = identity
        self._retained = retained
        self._boots = boots
        self._watchdog = watchdog
        self._log = log
        self._links_wanted = settings.links
        self._send_interval_ms = settings.send_interval_s * 1000 if settings.battery else 0
        self._problems = settings.problems
        self._connected = False
        # A boot goes on after a deep sleep only where nothing of it is lost.
        slept = None
        if settings.battery and boots.cause == machine.DEEPSLEEP_RESET:
            slept = retained.get(BOOT) and retained.get(WAKE) and retained.get(CLOCK)
        self._woken = bool(slept)
        self._boot = identity.boot(retained, self._woken)
        if settings.battery:
            from .clock_sleep import SleepClock

            self._clock: Clock = SleepClock(slept)
            if not slept:
                # Should this boot end in a sleep that it did not prepare, it must not go on with
                # the clock of one before it.
                retained.put(CLOCK, b"")
        else:
            self._clock = Clock()
        table = ChannelTable()
        self._channels = table.entries
        self._samplers = []
        fault = table.number("sensorFault.journal", "/")
        if boots.safe:
            from .journal_ram import RamJournal
            from .journals import Journal

            # Whatever crashed the node ten times is left alone.
            self._journal = Journal(RamJournal(0, 1), identity.new_journal, fault, log)
        else:
            from .journals import open_journal

            self._journal = open_journal(identity, settings, retained, self._boot, fault, log)
            self._sample(settings, table)

    def connect(self):
        """Take the second step: all that speaks to the gateway."""
        from .links import open_links
        from .oscore import Context
        from .report import Report
        from .uplink import Uplink

        identity = self._identity
        context = Context(identity.key, identity.key_id, _GATEWAY_ID, identity.sequence)
        self._links, self._serial = open_links(
            self._links_wanted,
            context,
            self._clock.uptime_ms,
            identity.hint,
            bool(self._send_interval_ms),
        )
        self._uplink = Uplink(self._links, self._journal, self._channels, self._clock, self._log)
        board = sys.implementation._machine
        self._uplink.report = Report(self._boot, self._boots, board, self._problems, self._clock)
        self._battery = None
        if self._send_interval_ms:
            from .battery import Battery

            self._battery = Battery(
                self._samplers,
                self._uplink,
                self._links,
                self._clock,
                self._retained,
                self._boots,
                self._send_interval_ms,
            )
            if self._woken:
                self._battery.resume()
        self._connected = True

    async def run(self):
        """Run until something fails, or until a node on a battery goes to sleep."""
        self._log(
            "feltpost {}: journal {}, {} readings in it, {} sensors",
            VERSION,
            self._journal.number,
            len(self._journal),
            len(self._samplers),
        )
        for problem in self._problems:
            self._log("left out: {}", problem)
        tasks = [self._watchdog.run(), self._boots.run()]
        if self._serial:
            self._log.to(self._serial.diagnostic)
            tasks.append(self._serial.run())
        if self._battery:
            tasks.append(self._battery.run(self._watchdog.watch("battery")))
        else:
            appended = asyncio.Event()
            # The report waits already.
            appended.set()
            for sampler in self._samplers:
                tasks.append(sampler.run(appended, self._watchdog.watch(sampler.name)))
            tasks.append(self._uplink.run(appended, self._watchdog.watch("uplink")))
        # One that fails takes the node down with its traceback rather than leave it half alive.
        await asyncio.gather(*tasks)

    def close(self):
        """Give links and console back."""
        if self._connected:
            self._links.close()
            if self._serial:
                self._serial.release()
        self._log.to(print)

    # What its health asks of a node.

    @property
    def lost(self):
        """How many readings the gateway knows to be lost, since boot."""
        return self._uplink.lost

    @property
    def retries(self):
        """How many messages were sent again, and how many exchanges failed, since boot."""
        return self._uplink.retries + self._links.client.retransmissions

    def rssi(self):
        """Return the strength of the Wi-Fi signal in dBm, None where there is none."""
        return self._links.rssi()

    def _sample(self, settings, table):
        from .assembly import Assembly
        from .health import Health

        assembly = Assembly(settings, table, self._journal, self._clock, self._log, self._retained)
        self._samplers = assembly.samplers()
        # A wake is no restart to tell of.
        cause = None if self._woken else self._boots.cause
        health = Health(self._clock, self._journal, self, cause, self.rssi)
        self._samplers.append(assembly.health(health, settings.health_interval_s * 1000))
