"""Model of an ADC pin of the ESP32 with a voltage at it.

ESP-IDF Programming Guide, ESP32, "ADC Calibration Driver" (line fitting): with 11 dB of attenuation
a code c of 12 bits stands for about 142 mV + c × 0.7226 mV. Not modelled, and so refused: other
attenuations; noise.
"""

from __future__ import annotations

import errno
import struct

from feltpost_tools.sim.sensors.device import Device, Readout

_ATTENUATION_11_DB = b"\x03"
_LAST_CODE = 4095
_FIRST_MV = 142.0
_STEP_MV = 0.7226


class Analogue(Device):
    """A voltage at a pin; where it is unplugged a resistor holds the pin at ground.

    It is a part of the board, asked for a conversion with an attenuation: u8, MicroPython's number
    for it. It answers with what read_u16() makes of it, u16, or where ``v`` follows read_uv(), u32.
    """

    def _lose_power(self) -> None:
        """There is nothing that it knows."""

    def serve(self, request: bytes, now_us: int) -> bytes:
        """Convert once."""
        if request[:1] != _ATTENUATION_11_DB:
            raise OSError(errno.EINVAL, "only 11 dB is modelled")
        volts = 0.0 if self._unplugged else self._environment("voltage", now_us)
        code = min(max(round((volts * 1000 - _FIRST_MV) / _STEP_MV), 0), _LAST_CODE)
        if request[1:] != b"v":
            return struct.pack("<H", code << 4 | code >> 8)
        millivolts = round(_FIRST_MV + code * _STEP_MV)
        if 0 < code < _LAST_CODE:
            self._observer(Readout("voltage", millivolts / 1000, now_us, now_us))
        return struct.pack("<I", millivolts * 1000)
