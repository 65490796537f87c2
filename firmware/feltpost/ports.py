"""What sensors are connected to: the buses and pins that the configuration names."""

import time

import machine
from micropython import const

# A chip that holds the data line low lets go after the rest of its byte and an acknowledgement.
_CLOCKS = const(9)
# Half a period of a bus at 100 kHz.
_HALF_US = const(5)


class Ports:
    """Opens each bus once, for the sensors on it. settings: a config.Config."""

    def __init__(self, settings):
        self._buses = {bus.id: bus for bus in settings.buses}
        self._uarts = {uart.id: uart for uart in settings.uarts}

    def i2c(self, options):
        """Return the I2cBus that the sensor's ``bus`` names, 0 unless it says otherwise."""
        number = options.number("bus", 0, 7, 0)
        bus = self._buses.get(number)
        if bus is None:
            raise options.error("bus", "there is no bus {} in i2c".format(number))
        if not isinstance(bus, I2cBus):
            bus = self._buses[number] = I2cBus(bus)
        return bus

    def uart(self, options, **settings):
        """Return the machine.UART that the sensor's ``uart`` names, for this sensor alone.

        settings: baudrate and so on, as machine.UART takes them.
        """
        number = options.number("uart", 1, 7)
        uart = self._uarts.pop(number, None)
        if uart is None:
            raise options.error("uart", "there is no uart {}, or it is taken".format(number))
        return machine.UART(number, tx=uart.tx, rx=uart.rx, **settings)

    def pin(self, options, key):
        """Return the number of the pin that the sensor's ``key`` names."""
        return options.number(key, 0, 63)


class I2cBus:
    """An I2C bus that can be freed. pins: a config.Bus."""

    def __init__(self, pins):
        self._pins = pins
        self._open()

    def writeto(self, address, data):
        """Write in one transaction; OSError when not acknowledged."""
        self._i2c.writeto(address, data)

    def readfrom_into(self, address, buffer):
        """Read in one transaction; OSError when not acknowledged."""
        self._i2c.readfrom_into(address, buffer)

    def recover(self):
        """Clock until the data line is free, and end with a stop (I2C specification, 3.1.16)."""
        sda = machine.Pin(self._pins.sda, machine.Pin.OPEN_DRAIN, value=1)
        scl = machine.Pin(self._pins.scl, machine.Pin.OPEN_DRAIN, value=1)
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
        pins = self._pins
        scl = machine.Pin(pins.scl)
        self._i2c = machine.I2C(pins.id, scl=scl, sda=machine.Pin(pins.sda), freq=pins.freq_hz)
