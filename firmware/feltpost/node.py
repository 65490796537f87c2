"""The node that runs: its tasks, and what becomes of links and console after them."""

import asyncio

from . import VERSION


class Node:
    """Everything that runs, as start.Start puts it together.

    ``samplers`` and ``problems``, which are texts for people, are empty at first; ``battery`` is a
    battery.Battery or None. attach() adds the rest.
    """

    def __init__(self, journal, boots, watchdog, log):
        self.journal = journal
        self._boots = boots
        self._watchdog = watchdog
        self._log = log
        self.samplers = []
        self.problems = []
        self.battery = None
        self._attached = False

    def attach(self, links, serial, uplink):
        """Add all that speaks to the gateway. serial: the serial link, None without one."""
        self.links = links
        self.serial = serial
        self.uplink = uplink
        self._attached = True

    async def run(self):
        """Run until something fails, or until a node on a battery goes to sleep."""
        self._log(
            "feltpost {}: journal {}, {} readings in it, {} sensors",
            VERSION,
            self.journal.number,
            len(self.journal),
            len(self.samplers),
        )
        for problem in self.problems:
            self._log("left out: {}", problem)
        tasks = [self._watchdog.run(), self._boots.run()]
        if self.serial:
            self._log.to(self.serial.diagnostic)
            tasks.append(self.serial.run())
        if self.battery:
            tasks.append(self.battery.run(self._watchdog.watch("battery")))
        else:
            appended = asyncio.Event()
            # The report waits already.
            appended.set()
            for sampler in self.samplers:
                tasks.append(sampler.run(appended, self._watchdog.watch(sampler.name)))
            tasks.append(self.uplink.run(appended, self._watchdog.watch("uplink")))
        # One that fails takes the node down with its traceback rather than leave it half alive.
        await asyncio.gather(*tasks)

    def close(self):
        """Give links and console back."""
        if self._attached:
            self.links.close()
            if self.serial:
                self.serial.release()
        self._log.to(print)

    # What its health asks of a node.

    @property
    def lost(self):
        """How many readings the gateway knows to be lost, since boot."""
        return self.uplink.lost

    @property
    def retries(self):
        """How many messages were sent again, and how many exchanges failed, since boot."""
        return self.uplink.retries + self.links.client.retransmissions

    def rssi(self):
        """Return the strength of the Wi-Fi signal in dBm, None where there is none."""
        return self.links.rssi()
