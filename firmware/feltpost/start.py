"""Puts the node together as its configuration asks, in steps.

The first one needs the configuration and what reads it; these are forgotten before the others load
what they would leave no room for. Of use while the node starts, and not in memory after that.
"""

import sys

import machine

from .app import forget
from .node import Node
from .retained import BOOT, CLOCK, WAKE

# A gateway's sender id is empty, see docs/protocol.md.
_GATEWAY_ID = b""


class Start:
    """The first step; connect() is the others, and gives the node.

    settings: a config.Config, which is not kept; the others as app.run() makes them.
    """

    def __init__(self, settings, identity, retained, boots, watchdog, log):
        from . import metrics
        from .channel_table import ChannelTable

        self._identity = identity
        self._retained = retained
        self._boots = boots
        self._log = log
        self._links_wanted = settings.links
        self._send_interval_ms = settings.send_interval_s * 1000 if settings.battery else 0
        # A boot goes on after a deep sleep only where nothing of it is lost.
        slept = None
        if settings.battery and boots.cause == machine.DEEPSLEEP_RESET:
            slept = retained.get(BOOT) and retained.get(WAKE) and retained.get(CLOCK)
        self._woken = bool(slept)
        self._boot = identity.boot(retained, self._woken)
        self._clock = self._make_clock(settings, slept)
        table = ChannelTable()
        fault = table.number("sensorFault.journal", "/")
        if boots.safe:
            from .journal import Journal
            from .journal_ram import RamJournal

            # Whatever crashed the node ten times is left alone.
            journal = Journal(RamJournal(0, 1), fault, log)
        else:
            from .journals import open_journal

            journal = open_journal(identity, settings, retained, self._boot, fault, log)
        self._node = Node(journal, boots, watchdog, log)
        self._node.problems = settings.problems
        if not boots.safe:
            self._sample(settings, table)
        self._channels = [metrics.fields(*entry) for entry in table.entries]

    def connect(self):
        """Add all that speaks to the gateway; return the Node, which is complete then."""
        # The caller has let go of the configuration.
        forget(
            "config", "assembly", "ports", "channel_table", "journals", "journal_mount", "metrics"
        )
        node = self._node
        report = self._make_report()
        forget("report_encoding", "crash")
        identity = self._identity
        self._identity = None
        links, serial = self._open_links(identity)
        uplink = self._make_uplink(links)
        uplink.report = report
        if identity.new_key:
            from .key_trial import KeyTrial

            uplink.trial = KeyTrial(identity, self._log)
        identity = None
        forget("identity", "oscore_keys", "links_opening", "key_trial")
        node.attach(links, serial, uplink)
        if self._send_interval_ms:
            from .battery import Battery

            node.battery = Battery(
                node.samplers,
                node.uplink,
                node.links,
                self._clock,
                self._retained,
                self._boots,
                self._send_interval_ms,
            )
            if self._woken:
                node.battery.resume()
        return node

    def _open_links(self, identity):
        from .link import MTU
        from .links_opening import open_links
        from .oscore import Context

        context = Context(
            identity.key,
            identity.key_id,
            _GATEWAY_ID,
            identity.sequence,
            size=MTU,
        )
        return open_links(
            self._links_wanted,
            context,
            self._clock.uptime_ms,
            identity.hint,
            bool(self._send_interval_ms),
        )

    def _make_report(self):
        from .report import Report

        board = sys.implementation._machine
        return Report(self._boot, self._boots, board, self._node.problems, self._clock)

    def _make_uplink(self, links):
        from .uplink import Uplink

        return Uplink(links, self._node.journal, self._channels, self._clock, self._log)

    def _make_clock(self, settings, slept):
        if not settings.battery:
            from .clock import Clock

            return Clock()
        from .clock_sleep import SleepClock

        if not slept:
            # Should this boot end in a sleep that it did not prepare, it must not go on with the
            # clock of one before it.
            self._retained.put(CLOCK, b"")
        return SleepClock(slept)

    def _sample(self, settings, table):
        from .assembly import Assembly

        node = self._node
        assembly = Assembly(settings, table, node.journal, self._clock, self._log, self._retained)
        node.samplers = assembly.samplers()
        # A wake is no restart to tell of.
        cause = None if self._woken else self._boots.cause
        interval_ms = settings.health_interval_s * 1000
        node.samplers.append(assembly.health(interval_ms, node, cause))
