"""The configuration file: what is taken, and that every error names the file and the key."""

import json

import check
from feltpost import config

PATH = "x.json"


def good():
    return {
        "links": [
            {"kind": "serial"},
            {"kind": "udp", "host": "192.0.2.1", "ssid": "skole", "password": "p"},
        ],
        "i2c": [{"id": 0, "scl": 22, "sda": 21}],
        "sensors": [
            {"driver": "scd41", "bus": 0, "interval_s": 60, "channels": {"co2": "co2"}},
        ],
    }


def error_of(value):
    return str(check.raises(config.ConfigError, config.Config, PATH, value))


def changed(path, value):
    """Return the error of a good configuration in which one setting is another."""
    settings = good()
    place = settings
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return error_of(settings)


def test_good():
    settings = config.Config(PATH, good())
    check.equal([link.kind for link in settings.links], ["serial", "udp"])
    check.equal(settings.links[1].port, 5683)
    check.equal(settings.sensors[0].interval_ms, 60_000)
    check.equal(settings.sensors[0].address, None)
    check.equal(settings.buses[0].freq_hz, 100_000)


def test_errors_name_file_key_and_reason():
    check.equal(changed(("links",), []), "x.json.links: at least one link is needed")
    check.equal(changed(("links",), 3), "x.json.links: must be a list")
    check.equal(
        changed(("links", 0, "kind"), "lora"),
        "x.json.links[0].kind: is 'lora', must be serial or udp",
    )
    check.equal(changed(("links", 1, "port"), 0), "x.json.links[1].port: is 0, must be 1 to 65535")
    check.equal(changed(("links", 1, "host"), True), "x.json.links[1].host: must be a text")
    check.equal(
        changed(("sensors", 0, "bus"), 1), "x.json.sensors[0].bus: there is no bus 1 in i2c"
    )
    check.equal(
        changed(("sensors", 0, "interval_s"), True),
        "x.json.sensors[0].interval_s: must be a whole number",
    )
    check.equal(
        changed(("sensors", 0, "channels", "co2"), ""),
        "x.json.sensors[0].channels.co2: must be a name of 1 to 64 characters",
    )
    check.equal(changed(("sensor",), []), "x.json.sensor: no such setting")
    check.equal(
        changed(("journal",), {"readings": 1}),
        "x.json.journal.readings: is 1, must be 16 to 100000",
    )


def test_missing_settings():
    for path in (("links",), ("sensors",), ("links", 1, "ssid"), ("sensors", 0, "driver")):
        settings = good()
        place = settings
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        check.equal(error_of(settings).endswith(path[-1] + ": is missing"), True, path)


def test_what_is_no_object_anywhere():
    for value in (None, [], 1, "x", {"links": [None], "sensors": []}):
        check.raises(config.ConfigError, config.Config, PATH, value)


def test_file_that_cant_be_read_or_is_no_json():
    error = check.raises(config.ConfigError, config.load, "/nonexistent.json")
    check.equal(str(error), "/nonexistent.json: can't be read")
    error = check.raises(config.ConfigError, config.load, __file__)
    check.equal(str(error), __file__ + ": is not JSON")


def test_json_round_trip():
    check.equal(config.Config(PATH, json.loads(json.dumps(good()))).journal_readings, 1000)


if __name__ == "__main__":
    check.main(globals())
