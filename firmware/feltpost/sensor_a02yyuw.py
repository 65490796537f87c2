"""Driver for the A02YYUW, a waterproof ultrasonic sensor: the distance to what is in front of it.

DFRobot SEN0311, "Communication Protocol": 9600 baud, a frame of four bytes for each measurement,
unasked. Its RX must float or be high, as a UART's idle TX is: it then sends processed values.
"""

from micropython import const

from feltpost.sensor import OutOfRange
from feltpost.uart_sensor import UartSensor

# 0xFF, distance in mm (most significant byte first), low byte of the sum of these three.
_HEADER = const(0xFF)

# Specification: 3 to 450 cm.
_NEAREST_MM = const(30)
_FARTHEST_MM = const(4500)


class A02yyuw(UartSensor):
    """An A02YYUW: it measures all the time, the driver takes the first frame that comes."""

    NAME = "a02yyuw"
    CHANNELS = (("distance", 3),)
    FRAME_BYTES = const(4)
    # 100 to 300 ms, and as long again for a frame that begins just before it is listened for.
    FRAME_MS = const(640)

    async def start(self):
        """There is nothing to set."""

    async def sample(self, values):
        """Wait for a measurement, and fill `values` with the distance (mm)."""
        self.discard()
        await self.receive()
        distance_mm = self.frame[1] << 8 | self.frame[2]
        # It sends numbers beyond its range too when there is no echo, and 0 when it is too near.
        if not _NEAREST_MM <= distance_mm <= _FARTHEST_MM:
            raise self.error(OutOfRange, "nothing within 0.03 to 4.5 m (it sent %d)" % distance_mm)
        values[0] = distance_mm

    def is_whole(self):
        """Tell whether `frame` has header and checksum."""
        frame = self.frame
        return frame[0] == _HEADER and frame[3] == _HEADER + frame[1] + frame[2] & 0xFF
