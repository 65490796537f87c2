"""Reads the node's configuration file and says precisely what is wrong in it.

The file is JSON, by default ``feltpost.json`` beside main.py:

    {"links": [{"kind": "serial"}
               or {"kind": "udp", "host": "192.0.2.1", "port": 5683,
                   "ssid": "...", "password": "..."}],
     "i2c": [{"id": 0, "scl": 22, "sda": 21, "freq_hz": 100000}],
     "sensors": [{"driver": "scd41", "bus": 0, "interval_s": 60,
                  "channels": {"co2": "co2"}}],
     "journal": {"readings": 1000}}

``channels`` maps what the driver measures to the name the reading gets, so that a node that has
two of a kind can tell them apart (``{"temperature": "temperature.outdoor"}``); what is not listed
is not kept. Keys and sequence numbers are not here but in NVS, see identity.py.
"""

import json

_DEFAULT_PORT = 5683
_DEFAULT_FREQ_HZ = 100_000
_DEFAULT_READINGS = 1000


class ConfigError(Exception):
    """The configuration can't be used; the text names file, key and reason."""


class _Table:
    # One JSON object with the path that leads to it, for messages.
    def __init__(self, path, value):
        if not isinstance(value, dict):
            raise ConfigError("{}: must be an object".format(path))
        self.path = path
        self._left = dict(value)

    def take(self, key, kind, default=None):
        path = "{}.{}".format(self.path, key)
        if key not in self._left:
            if default is None:
                raise ConfigError("{}: is missing".format(path))
            return default
        value = self._left.pop(key)
        # JSON's true would pass for an int, as bool is one.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError("{}: must be {}".format(path, _KINDS[kind]))
        return value

    def number(self, key, least, most, default=None):
        value = self.take(key, int, default)
        if not least <= value <= most:
            raise ConfigError(
                "{}.{}: is {}, must be {} to {}".format(self.path, key, value, least, most)
            )
        return value

    def tables(self, key, default=None):
        return [
            _Table("{}.{}[{}]".format(self.path, key, i), value)
            for i, value in enumerate(self.take(key, list, default))
        ]

    def done(self):
        for key in self._left:
            raise ConfigError("{}.{}: no such setting".format(self.path, key))


_KINDS = {int: "a whole number", str: "a text", dict: "an object", list: "a list"}


class Link:
    """One way to the gateway: kind "serial", or "udp" with host, port, ssid and password."""

    def __init__(self, table):
        self.kind = table.take("kind", str)
        if self.kind == "udp":
            self.host = table.take("host", str)
            self.port = table.number("port", 1, 65535, _DEFAULT_PORT)
            self.ssid = table.take("ssid", str)
            self.password = table.take("password", str, "")
        elif self.kind != "serial":
            raise ConfigError(
                "{}.kind: is {!r}, must be serial or udp".format(table.path, self.kind)
            )
        table.done()


class Bus:
    """One I2C bus: id, pins scl and sda, clock frequency in Hz."""

    def __init__(self, table):
        self.id = table.number("id", 0, 7)
        self.scl = table.number("scl", 0, 63)
        self.sda = table.number("sda", 0, 63)
        self.freq_hz = table.number("freq_hz", 10_000, 1_000_000, _DEFAULT_FREQ_HZ)
        table.done()


class Sensor:
    """One sensor: driver, bus, address (None: the driver's own), interval_ms, channels."""

    def __init__(self, table, bus_ids):
        self.path = table.path
        self.driver = table.take("driver", str)
        self.bus = table.number("bus", 0, 7, 0)
        if self.bus not in bus_ids:
            raise ConfigError("{}.bus: there is no bus {} in i2c".format(table.path, self.bus))
        self.address = table.number("address", 0, 127, 0) or None
        self.interval_ms = table.number("interval_s", 1, 86_400) * 1000
        self.channels = table.take("channels", dict)
        for quantity, name in self.channels.items():
            if not isinstance(name, str) or not 0 < len(name) <= 64:
                raise ConfigError(
                    "{}.channels.{}: must be a name of 1 to 64 characters".format(
                        table.path, quantity
                    )
                )
        table.done()


class Config:
    """The whole configuration: links, buses, sensors, and the journal's size in readings."""

    def __init__(self, path, value):
        root = _Table(path, value)
        self.links = [Link(table) for table in root.tables("links")]
        if not self.links:
            raise ConfigError("{}.links: at least one link is needed".format(path))
        self.buses = [Bus(table) for table in root.tables("i2c", [])]
        bus_ids = [bus.id for bus in self.buses]
        self.sensors = [Sensor(table, bus_ids) for table in root.tables("sensors")]
        journal = _Table(path + ".journal", root.take("journal", dict, {}))
        self.journal_readings = journal.number("readings", 16, 100_000, _DEFAULT_READINGS)
        journal.done()
        root.done()


def load(path="feltpost.json"):
    """Read and check the file; return a Config or raise ConfigError."""
    try:
        with open(path) as file:
            value = json.load(file)
    except OSError:
        raise ConfigError("{}: can't be read".format(path))
    except ValueError:
        raise ConfigError("{}: is not JSON".format(path))
    return Config(path, value)
