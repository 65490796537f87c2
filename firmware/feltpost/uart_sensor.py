"""What drivers of sensors on a UART share: being connected, and finding a whole, fresh frame.

These sensors send frames of one length with silence between them. So a frame is what has come
between two silences: whoever begins to listen in the middle of one, or hears a disturbance before
one, never takes data for a header.
"""

import asyncio

from micropython import const

from .sensor import BadChecksum, NotResponding, Sensor

_BAUDRATE = const(9600)

# Longer than the 1.04 ms of a byte at that rate, shorter than the silence between two frames.
_SILENCE_MS = const(20)


class UartSensor(Sensor):
    """A sensor on a UART of its own; number: which one. uart: a machine.UART, or the like.

    Drivers add `FRAME_BYTES`, `FRAME_MS` (the longest time between two frames, or from a question
    to its answer) and `is_whole()`, which tells whether `frame` has the form and the checksum of a
    frame.
    """

    FRAME_BYTES = 0
    FRAME_MS = 0

    def __init__(self, uart, number):
        super().__init__("on uart %d" % number)
        self._uart = uart
        self.frame = bytearray(self.FRAME_BYTES)

    @classmethod
    def connect(cls, ports, options):
        """Take the UART from the configuration."""
        uart, number = ports.uart(options, baudrate=_BAUDRATE)
        return cls(uart, number)

    def is_whole(self):
        """Tell whether `frame` is one."""
        raise NotImplementedError

    def send(self, command):
        """Send bytes to the sensor."""
        self._uart.write(command)

    def discard(self):
        """Drop what has come up to now; return how many bytes it was."""
        count = self._uart.any()
        left = count
        while left > 0:
            left -= self._uart.readinto(self.frame) or left
        return count

    async def receive(self):
        """Fill `frame` with the next one; what has come before is to be discarded by then.

        NotResponding when nothing comes, BadChecksum when it is no frame.
        """
        heard = 0
        before = 0
        for _ in range(self.FRAME_MS // _SILENCE_MS + 2):
            await asyncio.sleep_ms(_SILENCE_MS)
            waiting = self._uart.any()
            if waiting and waiting == before:
                heard += waiting
                if waiting == self.FRAME_BYTES:
                    self._uart.readinto(self.frame)
                    if self.is_whole():
                        return
                else:
                    self.discard()
                waiting = 0
            before = waiting
        if heard:
            raise self.error(
                BadChecksum,
                "%d bytes within %d ms, but no frame; check its wiring, keep the line short"
                % (heard, self.FRAME_MS),
            )
        raise self.error(
            NotResponding,
            "nothing within %d ms; check its power, and that its TX goes to rx" % self.FRAME_MS,
        )
