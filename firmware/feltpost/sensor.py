"""What sensor drivers share: their errors, and finding one by name."""


class SensorError(Exception):
    """A sensor gave no valid measurement; the text says which one, where, and why.

    code: what the reading ``sensorFault`` has for it (docs/protocol.md).
    """

    code = 9


class NotResponding(SensorError):
    """Nothing acknowledges at the address: unplugged, without power, or the bus is held low."""

    code = 1


class WrongChip(SensorError):
    """Another chip answers at the address than the one that the driver is for."""

    code = 2


class BadChecksum(SensorError):
    """What was read does not match its checksum: a disturbed line, or one that is too long."""

    code = 3


class NotReady(SensorError):
    """The sensor is there, but has no measurement within the time its data sheet promises."""

    code = 4


class OutOfRange(SensorError):
    """The sensor answered with the value that stands for more than it can measure."""

    code = 5


def load(name):
    """Return the driver class called `name` ("scd41", …); ValueError when there is none.

    It is in the module feltpost.sensor_<name>, and called as that is but with a capital.
    """
    class_name = name[:1].upper() + name[1:]
    try:
        module = __import__("feltpost.sensor_" + name, None, None, (class_name,))
    except ImportError as error:
        raise ValueError("there is no driver '%s' (%s)" % (name, error))
    return getattr(module, class_name)


class Sensor:
    """A sensor at ``place`` ("at 0x44", "on pin 4"), which its errors name.

    Drivers add `CHANNELS`, a tuple of (metric, decimal digits), and two coroutines: `start()`
    brings the sensor to a known state, whatever it did before, and may be called again after a
    fault; `sample(values)` fills `values[i]` with channel i's value × 10**digits as an integer,
    rounded half up, or None where there is nothing to tell just now. Both raise SensorError;
    `values` is untouched then. The classmethod `connect(ports, options)` makes one from its entry
    in the configuration (a config.Table), taking from it what is its own; it may raise ConfigError.

    UNITS: by metric, the SenML units of those that metrics.py does not know. STOP_FROM_MS: in a
    pause from this on the sensor is stopped, to spare it, and started again; 0: it may run on.
    ALWAYS: whether it would miss something while the node is in deep sleep.
    """

    NAME = ""
    UNITS: dict = {}
    STOP_FROM_MS = 0
    ALWAYS = False

    def __init__(self, place):
        self.place = place

    def error(self, kind, text):
        """Return an exception of class `kind` whose text begins with this sensor's name."""
        return kind("%s %s: %s" % (self.NAME, self.place, text))

    def recover(self):
        """Free what leads to the sensor, after a fault and before it is started again."""

    async def stop(self):
        """Bring the sensor to its lowest power, before a deep sleep; start() ends that."""
