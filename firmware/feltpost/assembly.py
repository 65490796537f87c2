"""Makes the node's samplers as its configuration asks for them.

What can't be made is left out and told in ``settings.problems``; the others are made all the same.
Of use while the node starts, and not in memory after that.
"""

from . import sensor
from .channel import Channel, Settings
from .config import ConfigError
from .health import Health
from .ports import Ports
from .sampling import Sampler

_FAULT = "sensorFault"
_FAULT_UNIT = "/"

# The node's own readings and their units, in the order of health.Health. None has a short name on
# the wire, and so they are not in metrics.py.
_HEALTH = (
    ("uptime", "s"),
    ("freeHeap", "B"),
    ("rssi", "dBm"),
    ("journalFill", "%"),
    ("readingsLost", "count"),
    ("retries", "count"),
    ("resetCause", "/"),
)


class Assembly:
    """Makes samplers. settings: a config.Config; table: a channel_table.ChannelTable.

    retained: a retained.Retained, or None for a node that keeps nothing through resets.
    """

    def __init__(self, settings, table, journal, clock, log, retained=None):
        self._settings = settings
        self._problems = settings.problems
        self._table = table
        self._journal = journal
        self._clock = clock
        self._log = log
        self._ports = Ports(settings, retained)
        self._names = set()

    def samplers(self):
        """Return a Sampler for every sensor of which a channel can be read."""
        samplers = []
        for entry in self._settings.sensors:
            try:
                sampler = self._sampler(entry)
            except ConfigError as error:
                self._problems.append(str(error))
                continue
            except (ValueError, OSError) as error:
                # An unknown driver, or a pin or bus that the board doesn't have.
                self._problems.append("{}: {}".format(entry.path, error))
                continue
            if sampler:
                samplers.append(sampler)
        return samplers

    def _sampler(self, entry):
        if entry.name in self._names:
            raise entry.options.error("name", "{!r} is taken; give one".format(entry.name))
        self._names.add(entry.name)
        driver = sensor.load(entry.driver)
        if driver.ALWAYS and self._settings.battery:
            raise entry.options.error(
                "driver", "{} counts all the time; a node on a battery sleeps".format(entry.driver)
            )
        device = driver.connect(self._ports, entry.options)
        entry.options.done()
        channels = self._channels(entry, device.CHANNELS, device.UNITS)
        if not any(channels):
            return None
        fault = self._table.number("{}.{}".format(_FAULT, entry.name), _FAULT_UNIT)
        return Sampler(entry.name, device, channels, fault, self._journal, self._clock, self._log)

    def _channels(self, entry, measured, units):
        # By index into what the sensor measures, a Channel or None.
        quantities = [quantity for quantity, _ in measured]
        kept: list = [None] * len(quantities)
        for wanted in entry.channels:
            if wanted.quantity not in quantities:
                self._problems.append(
                    "{}: {} measures {}".format(wanted.path, entry.driver, ", ".join(quantities))
                )
                continue
            i = quantities.index(wanted.quantity)
            try:
                settings = wanted.settings(measured[i][1])
                unit = wanted.unit or units.get(wanted.quantity)
                if not unit:
                    raise ConfigError(
                        "unit: is missing, {} has none of its own".format(wanted.name)
                    )
                number = self._table.number(wanted.name, unit)
            except (ConfigError, ValueError) as error:
                self._problems.append("{}: {}".format(wanted.path, error))
                continue
            kept[i] = Channel(number, settings)
        return kept

    def health(self, interval_ms, node, cause):
        """Return a Sampler for the node's own readings. node, cause: see health.Health."""
        numbers = [self._table.number(*entry) for entry in _HEALTH]
        health = Health(numbers[1:], self._clock, self._journal, node, cause, node.rssi)
        channels = [Channel(numbers[0], Settings(interval_ms))]
        # It has no faults to tell, so no channel for them.
        return Sampler("health", health, channels, None, self._journal, self._clock, self._log)
