"""What sensor drivers share: errors, register access over I2C, and finding one by name."""

# The module feltpost.sensor_<name> holds the class. Imported only when a board has that sensor,
# since a driver that nobody uses would cost heap.
_DRIVERS = {
    "ads1115": "Ads1115",
    "bh1750": "Bh1750",
    "bme280": "Bme280",
    "scd41": "Scd41",
    "sht4x": "Sht4x",
    "vl53l1x": "Vl53l1x",
}


class SensorError(Exception):
    """A sensor gave no valid measurement; the text says which one, at which address, and why."""


class NotResponding(SensorError):
    """Nothing acknowledges at the address: unplugged, without power, or the bus is held low."""


class WrongChip(SensorError):
    """Another chip answers at the address than the one that the driver is for."""


class BadChecksum(SensorError):
    """What was read does not match its checksum: a disturbed line, or one that is too long."""


class NotReady(SensorError):
    """The sensor is there, but has no measurement within the time its data sheet promises."""


class OutOfRange(SensorError):
    """The sensor answered with the value that stands for more than it can measure."""


def load(name):
    """Return the driver class called `name` ("scd41", …); ValueError when there is none."""
    if name not in _DRIVERS:
        raise ValueError("unknown sensor '%s'; known are %s" % (name, ", ".join(sorted(_DRIVERS))))
    class_name = _DRIVERS[name]
    return getattr(__import__("feltpost.sensor_" + name, None, None, (class_name,)), class_name)


class Sensor:
    """A chip on an I2C bus.

    Drivers add `CHANNELS`, a tuple of (metric, decimal digits), and two coroutines: `start()`
    brings the chip to a known state, whatever it did before, and may be called again after a fault;
    `sample(values)` fills `values[i]` with channel i's value × 10**digits as an integer, rounded
    half up. Both raise SensorError; `values` is untouched then.
    """

    NAME = ""

    def __init__(self, i2c, address):
        self.address = address
        self._i2c = i2c

    def error(self, kind, text):
        """Return an exception of class `kind` whose text begins with this sensor's name."""
        return kind("%s at 0x%02x: %s" % (self.NAME, self.address, text))

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
