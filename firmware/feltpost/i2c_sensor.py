"""What drivers of chips on an I2C bus share: being connected, reading and writing."""

from .sensor import NotResponding, Sensor


class I2cSensor(Sensor):
    """A chip on an I2C bus. i2c: an i2c_bus.I2cBus, or what has its methods.

    Drivers add `ADDRESS`, the one that the chip has unless it is told otherwise.
    """

    ADDRESS = 0

    def __init__(self, i2c, address):
        super().__init__("at 0x%02x" % address)
        self.address = address
        self._i2c = i2c

    @classmethod
    def connect(cls, ports, options):
        """Take bus and address from the configuration; without an address, the driver's own."""
        return cls(ports.i2c(options), options.number("address", 1, 127, cls.ADDRESS))

    def recover(self):
        """Clock the bus free, in case a chip holds it low in the middle of a byte."""
        self._i2c.recover()

    def write(self, command):
        """Write the bytes `command` in one transaction; NotResponding when not acknowledged."""
        try:
            self._i2c.writeto(self.address, command)
        except OSError as error:
            raise self.error(
                NotResponding,
                "no acknowledgement (errno %s); check its wiring and power" % error.errno,
            )

    def read_into(self, buffer):
        """Fill `buffer` in one transaction; OSError when the chip does not acknowledge.

        What a missing acknowledgement means here (busy or absent) only the chip's driver knows.
        """
        self._i2c.readfrom_into(self.address, buffer)

    def read_from(self, register, buffer):
        """Write the address `register` (bytes), and fill `buffer` from there, in two transactions.

        NotResponding when not acknowledged: for chips that acknowledge whatever they are doing.
        """
        self.write(register)
        try:
            self.read_into(buffer)
        except OSError as error:
            raise self.error(NotResponding, "vanished before it answered (errno %s)" % error.errno)
