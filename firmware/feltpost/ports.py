"""What sensors are connected to: the buses and pins that the configuration names."""

import machine

from .i2c_bus import I2cBus


class Ports:
    """Opens each bus once, for the sensors on it. settings: a config.Config.

    ``retained``: what survives resets (retained.Retained), None where nothing does.
    """

    def __init__(self, settings, retained=None):
        self.retained = retained
        self._buses = {bus.id: bus for bus in settings.buses}
        self._uarts = {uart.id: uart for uart in settings.uarts}
        self._shared = {}

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
        """Return the machine.UART that the sensor's ``uart`` names, for it alone, and its number.

        settings: baudrate and so on, as machine.UART takes them.
        """
        number = options.number("uart", 1, 7)
        uart = self._uarts.pop(number, None)
        if uart is None:
            raise options.error("uart", "there is no uart {}, or it is taken".format(number))
        return machine.UART(number, tx=uart.tx, rx=uart.rx, **settings), number

    def pin(self, options, key):
        """Return the number of the pin that the sensor's ``key`` names."""
        return options.number(key, 0, 63)

    def shared(self, pin, make):
        """Return what the sensors on a pin share; make(pin) makes it, once."""
        if pin not in self._shared:
            self._shared[pin] = make(pin)
        return self._shared[pin]
