"""Counts how often a pin goes to one level, through the bounces of a contact.

Edges interrupt the processor. As MicroPython runs handlers when it has time for them, one may come
late and find the level that a bounce, or the end of a short pulse, has left. So it is not single
edges that count: from a quiet line's first edge on to the next quiet there is at most one count,
and there is one where the level was seen at which the line had not rested before.
"""

import time

import machine


class EdgeCounter:
    """Counts from when it is made; ``count`` may be read at any time.

    pin: its number. pull: a machine.Pin.PULL_…, or None. level: to which it must go to be counted.
    debounce_ms: a line is quiet that has had no edge for so long; bounces must be shorter, and
    what is counted longer apart.
    """

    def __init__(self, pin, pull, level, debounce_ms):
        self.count = 0
        self._level = level
        self._debounce_ms = debounce_ms
        self._pin = machine.Pin(pin, machine.Pin.IN, pull)
        # Where the line rested before its latest edges, and what was seen since.
        self._rested = self._seen = self._pin.value()
        self._edge_ms = time.ticks_ms()
        self._quiet = True
        self._counted = False
        self._pin.irq(self._edge, machine.Pin.IRQ_RISING | machine.Pin.IRQ_FALLING)

    def rest(self):
        """Return the level at which the line rests, or rested last.

        To be called once a day at least: for longer, ticks can't tell how long the line was quiet.
        """
        if not self._quiet and self._since_ms() >= self._debounce_ms:
            # Should the handler of the last edge have had no place in the queue, it is made up for.
            self._look(self._pin.value())
            self._quiet = True
        return self._seen if self._quiet else self._rested

    def _edge(self, pin):
        # Allocates nothing.
        if self._quiet or self._since_ms() >= self._debounce_ms:
            self._quiet = False
            self._counted = False
            self._rested = self._seen
        self._edge_ms = time.ticks_ms()
        self._look(pin.value())

    def _look(self, level):
        if level == self._level and self._rested != level and not self._counted:
            self._counted = True
            self.count += 1
        self._seen = level

    def _since_ms(self):
        return time.ticks_diff(time.ticks_ms(), self._edge_ms)
