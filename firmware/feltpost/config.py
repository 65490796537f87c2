"""Reads the node's configuration file and says precisely what is wrong in it.

The file is JSON, by default ``/feltpost.json``:

    {"links": [{"kind": "serial"}
               or {"kind": "udp", "host": "192.0.2.1", "port": 5683,
                   "ssid": "...",
                   "ip": "192.0.2.7/24", "gateway": "192.0.2.254", "dns": "192.0.2.254"}],
     "i2c": [{"id": 0, "scl": 22, "sda": 21, "freq_hz": 100000}],
     "sensors": [{"driver": "scd41", "bus": 0, "interval_s": 60,
                  "channels": {"co2": "co2",
                               "temperature": {"name": "temperature.room", "samples": 5,
                                               "reduction": "median", "deadband": 0.1}}}],
     "journal": {"mode": "flash", "readings": 1000},
     "health": {"interval_s": 3600},
     "power": {"mode": "mains"}}

A sensor has a ``name`` where the node has two of its kind. How it is connected depends on its
driver: ``bus`` and ``address`` on I2C (the address when it isn't the driver's own), ``uart`` with
an entry [{"id": 1, "tx": 19, "rx": 18}], or pins.

A journal in mode "ram" keeps readings in RTC memory, which resets and deep sleep leave alone, and
spills to flash. A node whose power has the mode "battery" sleeps between samples, and sends once a
``send_interval_s``, or while a value moves (fast_change); its journal is in mode "ram" unless it
says otherwise.

``links`` are in order of preference, several networks for one. Without ``ip`` the network's DHCP
gives an address, which takes the node about a second each time it joins; ``dns`` is the
``gateway`` unless it says otherwise.

``channels`` maps what the driver measures to the name the reading gets, so that a node that has
two of a kind can tell them apart, or to an object with the name and any of the settings of
channel.Settings: interval_s, fast_interval_s and fast_change, samples and reduction (mean, median,
min, max), deadband and heartbeat_s, range ([least, most]), calibration ([[raw, true], …]), in the
reading's own unit. That is the unit of what is measured, or where a calibration makes something
else of it, that of the reading's metric or the one that ``unit`` names. What is not listed is not
kept. What is secret is not here but in NVS, as people print and compare configurations: the key,
see identity.py, and the networks' passwords, see links_opening.py.
"""

import json

from micropython import const

from . import channel, link, metrics

_DEFAULT_PORT = 5683
_DEFAULT_FREQ_HZ = 100_000
_DEFAULT_READINGS = 1000
_DEFAULT_HEALTH_S = 3600
_DEFAULT_SEND_S = 3600
_NAME_MOST_CHARACTERS = 64
# What is remembered of them through deep sleep has room for as many.
_LINKS_MOST = 8


class ConfigError(Exception):
    """The configuration can't be used; the text names file, key and reason."""


class Table:
    """One JSON object, and the path that leads to it, for messages. What is taken is checked."""

    def __init__(self, path, value):
        if not isinstance(value, dict):
            raise ConfigError("{}: must be an object".format(path))
        self.path = path
        self._left = dict(value)

    def __contains__(self, key):
        return key in self._left

    def error(self, key, text):
        """Return a ConfigError that names the key."""
        return ConfigError("{}.{}: {}".format(self.path, key, text))

    def take(self, key, kind, default=None):
        """Take a key's value, which must be of that kind; a default of None: it must be there."""
        path = "{}.{}".format(self.path, key)
        if key not in self._left:
            if default is None:
                raise ConfigError("{}: is missing".format(path))
            return default
        value = self._left.pop(key)
        fits = _is_number(value) if kind is _NUMBER else isinstance(value, kind)
        # JSON's true would pass for a number, as bool is one.
        if not fits or (kind is int and isinstance(value, bool)):
            raise ConfigError("{}: must be {}".format(path, _KINDS[kind]))
        return value

    def number(self, key, least, most, default=None):
        """Take a whole number between least and most."""
        value = self.take(key, int, default)
        if not least <= value <= most:
            raise ConfigError(
                "{}.{}: is {}, must be {} to {}".format(self.path, key, value, least, most)
            )
        return value

    def tables(self, key, default=None):
        """Take a list of objects, as Tables."""
        return [
            Table("{}.{}[{}]".format(self.path, key, i), value)
            for i, value in enumerate(self.take(key, list, default))
        ]

    def done(self):
        """Complain of a key that nobody has taken: it is misspelt."""
        for key in self._left:
            raise ConfigError("{}.{}: no such setting".format(self.path, key))


_NUMBER = (int, float)
_MOST = const(1_000_000_000)
_KINDS = {
    int: "a whole number",
    _NUMBER: "a number of at most nine digits",
    str: "a text",
    dict: "an object",
    list: "a list",
}


def _link(table):
    entry = link.Entry()
    entry.kind = table.take("kind", str)
    if entry.kind == "udp":
        entry.host = table.take("host", str)
        entry.port = table.number("port", 1, 65535, _DEFAULT_PORT)
        entry.ssid = table.take("ssid", str)
        entry.address = _address(table) if "ip" in table else None
    elif entry.kind != "serial":
        raise table.error("kind", "is {!r}, must be serial or udp".format(entry.kind))
    table.done()
    return entry


def _address(table):
    ip = table.take("ip", str)
    gateway = table.take("gateway", str)
    dns = table.take("dns", str, gateway)
    host, _, prefix = ip.partition("/")
    if not (_is_ipv4(host) and prefix.isdigit() and 1 <= int(prefix) <= 30):
        raise table.error("ip", "is {!r}, must be like 192.0.2.7/24".format(ip))
    for key, value in (("gateway", gateway), ("dns", dns)):
        if not _is_ipv4(value):
            raise table.error(key, "is {!r}, must be like 192.0.2.1".format(value))
    return ip, gateway, dns


def _is_ipv4(text):
    numbers = text.split(".")
    return len(numbers) == 4 and all(n.isdigit() and int(n) <= 255 for n in numbers)


class Bus:
    """One I2C bus: id, pins scl and sda, clock frequency in Hz."""

    def __init__(self, table):
        self.id = table.number("id", 0, 7)
        self.scl = table.number("scl", 0, 63)
        self.sda = table.number("sda", 0, 63)
        self.freq_hz = table.number("freq_hz", 10_000, 1_000_000, _DEFAULT_FREQ_HZ)
        table.done()


class Uart:
    """One UART that sensors send on: id, pins tx and rx."""

    def __init__(self, table):
        self.id = table.number("id", 1, 7)
        self.tx = table.number("tx", 0, 63)
        self.rx = table.number("rx", 0, 63)
        table.done()


class Channel:
    """One channel of a sensor: what is measured, the reading's name, how values are treated."""

    def __init__(self, path, quantity, value, sensor_interval_s):
        self.path = path
        self.quantity = quantity
        # A text is short for an object with nothing but a name.
        table = Table(path, {"name": value} if isinstance(value, str) else value)
        self.name = table.take("name", str)
        if not 0 < len(self.name) <= _NAME_MOST_CHARACTERS:
            raise ConfigError("{}.name: must have 1 to 64 characters".format(path))
        self.unit = self._unit(table)
        self._interval_s = table.number("interval_s", 1, 86_400, sensor_interval_s)
        self._fast_interval_s = table.number("fast_interval_s", 1, 86_400, self._interval_s)
        self._fast_change = table.take("fast_change", _NUMBER, 0)
        self._samples = table.number("samples", 1, 60, 1)
        self._reduction = table.take("reduction", str, "mean")
        if self._reduction not in channel.REDUCTIONS:
            raise ConfigError(
                "{}.reduction: is {!r}, must be one of {}".format(
                    path, self._reduction, ", ".join(sorted(channel.REDUCTIONS))
                )
            )
        self._deadband = table.take("deadband", _NUMBER, 0)
        self._heartbeat_s = table.number("heartbeat_s", 0, 604_800, 3_600)
        self._range = table.take("range", list, [])
        self._calibration = table.take("calibration", list, [])
        self._check_pairs()
        table.done()

    def settings(self, digits):
        """Return channel.Settings whose values are integers in the last of so many digits."""
        settings = channel.Settings(self._interval_s * 1000)
        # Only what is set: the rest is in the class, and takes no heap.
        if self._fast_change:
            settings.fast_interval_ms = self._fast_interval_s * 1000
            settings.fast_change = _scaled(self._fast_change, digits)
        if self._samples > 1:
            settings.samples = self._samples
            settings.reduction = self._reduction
        if self._deadband:
            settings.deadband = _scaled(self._deadband, digits)
            settings.heartbeat_ms = self._heartbeat_s * 1000
        if self._range:
            settings.least, settings.most = (_scaled(bound, digits) for bound in self._range)
        if self._calibration:
            points = [
                (_scaled(raw, digits), _scaled(true, digits)) for raw, true in self._calibration
            ]
            if len(points) == 2 and points[0][0] == points[1][0]:
                raise ConfigError("calibration: its raw values must differ")
            settings.calibration = tuple(points)
        return settings

    def _unit(self, table):
        # The name's own where it has one, else the one given, else that of what is measured.
        own = metrics.own_unit(self.name)
        given = table.take("unit", str, "")
        if own and given and given != own:
            raise ConfigError(
                "{}: {} is reported in {}, not in {}".format(self.path, self.name, own, given)
            )
        return given or own or metrics.own_unit(self.quantity)

    def _check_pairs(self):
        if self._range and not (_is_pair(self._range) and self._range[0] <= self._range[1]):
            raise ConfigError("{}.range: must be two numbers, least and most".format(self.path))
        if len(self._calibration) > 2 or not all(_is_pair(pair) for pair in self._calibration):
            raise ConfigError(
                "{}.calibration: must be one or two pairs of numbers, raw and true".format(
                    self.path
                )
            )


class Sensor:
    """One sensor: driver, name (in messages and fault readings), and its channels.

    options: the Table with what is left, which is the driver's to take: how the sensor is connected
    and what else it lets one choose.
    """

    def __init__(self, table, problems):
        self.path = table.path
        self.driver = table.take("driver", str)
        self.name = table.take("name", str, self.driver)
        self.options = table
        interval_s = table.number("interval_s", 1, 86_400)
        self.channels = []
        for quantity, value in table.take("channels", dict).items():
            path = "{}.channels.{}".format(table.path, quantity)
            try:
                self.channels.append(Channel(path, quantity, value, interval_s))
            except ConfigError as error:
                problems.append(str(error))


class Config:
    """The whole configuration: links, buses, sensors, journal and health.

    What is wrong in one sensor or one channel leaves that out and stops nothing else; ``problems``
    says what it was.
    """

    def __init__(self, path, value):
        self.problems = []
        root = Table(path, value)
        self.links = [_link(table) for table in root.tables("links")]
        if not 1 <= len(self.links) <= _LINKS_MOST:
            raise root.error("links", "1 to {} links are needed".format(_LINKS_MOST))
        self.buses = [Bus(table) for table in root.tables("i2c", [])]
        self.uarts = [Uart(table) for table in root.tables("uart", [])]
        self.sensors = []
        for i, value in enumerate(root.take("sensors", list)):
            try:
                table = Table("{}.sensors[{}]".format(path, i), value)
                self.sensors.append(Sensor(table, self.problems))
            except ConfigError as error:
                self.problems.append(str(error))
        power = Table(path + ".power", root.take("power", dict, {}))
        mode = power.take("mode", str, "mains")
        if mode not in ("mains", "battery"):
            raise power.error("mode", "is {!r}, must be mains or battery".format(mode))
        self.battery = mode == "battery"
        self.send_interval_s = power.number("send_interval_s", 10, 86_400, _DEFAULT_SEND_S)
        power.done()
        journal = Table(path + ".journal", root.take("journal", dict, {}))
        self.journal_readings = journal.number("readings", 16, 100_000, _DEFAULT_READINGS)
        # Waking flash for each reading is what a battery is not there for.
        self.journal_mode = journal.take("mode", str, "ram" if self.battery else "flash")
        if self.journal_mode not in ("flash", "ram"):
            raise journal.error("mode", "is {!r}, must be flash or ram".format(self.journal_mode))
        journal.done()
        health = Table(path + ".health", root.take("health", dict, {}))
        self.health_interval_s = health.number("interval_s", 60, 86_400, _DEFAULT_HEALTH_S)
        health.done()
        root.done()


def _is_pair(value):
    return (
        isinstance(value, list) and len(value) == 2 and all(_is_number(number) for number in value)
    )


def _is_number(value):
    # A larger one is infinite once it is scaled, on a board with single-precision floats.
    kind_fits = isinstance(value, _NUMBER) and not isinstance(value, bool)
    return kind_fits and -_MOST < value < _MOST


def _scaled(value, digits):
    # JSON's numbers are floats here, single precision on the ESP32: seven digits are right.
    return round(value * 10**digits)


def load(path="/feltpost.json"):
    """Read and check the file; return a Config or raise ConfigError."""
    try:
        with open(path) as file:
            value = json.load(file)
    except OSError:
        raise ConfigError("{}: can't be read".format(path))
    except ValueError:
        raise ConfigError("{}: is not JSON".format(path))
    return Config(path, value)
