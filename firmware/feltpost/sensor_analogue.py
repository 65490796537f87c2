"""Driver for a voltage on one of the chip's ADC pins: a battery, a soil moisture probe, a pressure.

MicroPython's machine.ADC on the ESP32, whose read_uv() applies Espressif's calibration of each chip
(ESP-IDF Programming Guide, "ADC Calibration Driver"). With 11 dB of attenuation an ESP32 measures
0.15 to 2.45 V well; other chips have other limits.
"""

import machine
from micropython import const

from feltpost.sensor import OutOfRange, Sensor

# The converter's first and last code, as read_u16() stretches them.
_FIRST = const(0)
_LAST = const(0xFFFF)


class Analogue(Sensor):
    """A voltage. What stands behind it is for the channel's calibration, name and unit to say.

    At either end of its scale the converter tells nothing but "less" or "more" than it can measure,
    so that is an error and no reading. A probe that may come off shall have a resistor to ground,
    since an input that is open reads as anything.
    """

    NAME = "analogue"
    CHANNELS = (("voltage", 3),)

    def __init__(self, adc, place):
        super().__init__(place)
        self._adc = adc

    @classmethod
    def connect(cls, ports, options):
        """Take the pin ``adc``."""
        pin = ports.pin(options, "adc")
        adc = machine.ADC(machine.Pin(pin), atten=machine.ADC.ATTN_11DB)
        return cls(adc, "on pin %d" % pin)

    async def start(self):
        """Do nothing: it is ready when it is made."""

    async def sample(self, values):
        """Fill `values` with the voltage at the pin (mV)."""
        code = self._adc.read_u16()
        if code == _FIRST:
            raise self.error(OutOfRange, "below what the pin can measure; is it connected?")
        if code == _LAST:
            raise self.error(OutOfRange, "above what the pin can measure")
        values[0] = (self._adc.read_uv() + 500) // 1000
