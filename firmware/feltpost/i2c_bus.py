"""An I2C bus that can be freed when a chip holds it."""

import time

import machine
from micropython import const

# A chip that holds the data line low lets go after the rest of its byte and an acknowledgement.
_CLOCKS = const(9)
# Half a period of a bus at 100 kHz.
_HALF_US = const(5)


class I2cBus:
    """A bus by its controller's number and its pins. pins: a config.Bus, which is not kept."""

    def __init__(self, pins):
        self._id = pins.id
        self._scl = pins.scl
        self._sda = pins.sda
        self._freq_hz = pins.freq_hz
        self._open()

    def writeto(self, address, data):
        """Write in one transaction; OSError when not acknowledged."""
        self._i2c.writeto(address, data)

    def readfrom_into(self, address, buffer):
        """Read in one transaction; OSError when not acknowledged."""
        self._i2c.readfrom_into(address, buffer)

    def recover(self):
        """Clock until the data line is free, and end with a stop (I2C specification, 3.1.16)."""
        sda = machine.Pin(self._sda, machine.Pin.OPEN_DRAIN, value=1)
        scl = machine.Pin(self._scl, machine.Pin.OPEN_DRAIN, value=1)
        for _ in range(_CLOCKS):
            if sda.value():
                break
            scl.value(0)
            time.sleep_us(_HALF_US)
            scl.value(1)
            time.sleep_us(_HALF_US)
        sda.value(0)
        time.sleep_us(_HALF_US)
        sda.value(1)
        # The pins were taken from the controller, and go back to it.
        self._open()

    def _open(self):
        scl = machine.Pin(self._scl)
        self._i2c = machine.I2C(self._id, scl=scl, sda=machine.Pin(self._sda), freq=self._freq_hz)
