"""The configuration file: what is taken, and that every error names the file and the key."""

import json

import check
from feltpost import config

PATH = "x.json"


def good():
    return {
        "links": [
            {"kind": "serial"},
            {"kind": "udp", "host": "192.0.2.1", "ssid": "skole"},
        ],
        "i2c": [{"id": 0, "scl": 22, "sda": 21}],
        "sensors": [
            {"driver": "scd41", "bus": 0, "interval_s": 60, "channels": {"co2": "co2"}},
        ],
    }


def error_of(value):
    # What is wrong in one sensor or channel is among the problems; anything else stops the node.
    try:
        problems = config.Config(PATH, value).problems
    except config.ConfigError as error:
        return str(error)
    check.equal(len(problems), 1, problems)
    return problems[0]


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
    co2 = settings.sensors[0].channels[0].settings(0)
    check.equal((co2.interval_ms, co2.samples, co2.calibration), (60_000, 1, ()))
    check.equal(settings.problems, [])
    check.equal(settings.sensors[0].name, "scd41")
    check.equal(settings.sensors[0].options.number("bus", 0, 7), 0)
    check.equal(settings.buses[0].freq_hz, 100_000)


def test_errors_name_file_key_and_reason():
    check.equal(changed(("links",), []), "x.json.links: 1 to 8 links are needed")
    check.equal(changed(("links",), 3), "x.json.links: must be a list")
    check.equal(
        changed(("links", 0, "kind"), "lora"),
        "x.json.links[0].kind: is 'lora', must be serial or udp",
    )
    check.equal(changed(("links", 1, "port"), 0), "x.json.links[1].port: is 0, must be 1 to 65535")
    check.equal(changed(("links", 1, "host"), True), "x.json.links[1].host: must be a text")
    check.equal(
        changed(("sensors", 0, "interval_s"), True),
        "x.json.sensors[0].interval_s: must be a whole number",
    )
    check.equal(
        changed(("sensors", 0, "channels", "co2"), ""),
        "x.json.sensors[0].channels.co2.name: must have 1 to 64 characters",
    )
    channel = ("sensors", 0, "channels", "co2")
    for setting, value, reason in (
        ("samples", 0, "is 0, must be 1 to 60"),
        ("deadband", "1", "must be a number of at most nine digits"),
        ("deadband", True, "must be a number of at most nine digits"),
        # Scaled they would be infinite, and the node would not start.
        ("deadband", 1e38, "must be a number of at most nine digits"),
        ("fast_change", -1e999, "must be a number of at most nine digits"),
        ("range", [0, 1e38], "must be two numbers, least and most"),
        ("calibration", [[1e999, 1]], "must be one or two pairs of numbers, raw and true"),
        ("reduction", "mode", "is 'mode', must be one of max, mean, median, min"),
        ("range", [1], "must be two numbers, least and most"),
        ("range", [2, 1], "must be two numbers, least and most"),
        ("calibration", [[1, 2], 3], "must be one or two pairs of numbers, raw and true"),
        ("colour", 1, "no such setting"),
    ):
        check.equal(
            changed(channel, {"name": "co2", setting: value}),
            "x.json.sensors[0].channels.co2." + setting + ": " + reason,
        )
    check.equal(changed(("sensor",), []), "x.json.sensor: no such setting")
    check.equal(
        changed(("journal",), {"readings": 1}),
        "x.json.journal.readings: is 1, must be 16 to 100000",
    )


def test_what_is_wrong_in_one_place_stops_nothing_else():
    settings = good()
    settings["sensors"][0]["channels"]["temperature"] = {"name": 5}
    settings["sensors"].append({"driver": "sht4x"})
    made = config.Config(PATH, settings)
    check.equal([channel.name for channel in made.sensors[0].channels], ["co2"])
    check.equal(len(made.sensors), 1)
    check.equal(
        made.problems,
        [
            "x.json.sensors[0].channels.temperature.name: must be a text",
            "x.json.sensors[1].interval_s: is missing",
        ],
    )


def test_channel_settings_are_scaled_to_the_digits():
    settings = good()
    settings["sensors"][0]["channels"]["co2"] = {
        "name": "co2",
        "interval_s": 900,
        "fast_interval_s": 60,
        "fast_change": 0.05,
        "samples": 3,
        "reduction": "median",
        "deadband": 0.1,
        "heartbeat_s": 7200,
        "range": [-1.5, 40],
        "calibration": [[0, 0.25], [100, 99.5]],
    }
    made = config.Config(PATH, settings).sensors[0].channels[0].settings(2)
    check.equal((made.interval_ms, made.fast_interval_ms, made.fast_change), (900_000, 60_000, 5))
    check.equal((made.samples, made.reduction), (3, "median"))
    check.equal((made.deadband, made.heartbeat_ms), (10, 7_200_000))
    check.equal((made.least, made.most), (-150, 4000))
    check.equal(made.calibration, ((0, 25), (10_000, 9_950)))
    settings["sensors"][0]["channels"]["co2"]["calibration"] = [[1, 2], [1.001, 3]]
    channel = config.Config(PATH, settings).sensors[0].channels[0]
    error = check.raises(config.ConfigError, channel.settings, 2)
    check.equal(str(error).endswith("its raw values must differ"), True, error)


def test_a_static_address():
    settings = good()
    check.equal(config.Config(PATH, settings).links[1].address, None)
    link = settings["links"][1]
    link["ip"] = "192.0.2.7/24"
    check.equal(error_of(settings), "x.json.links[1].gateway: is missing")
    link["gateway"] = "192.0.2.254"
    address = config.Config(PATH, settings).links[1].address
    check.equal(address, ("192.0.2.7/24", "192.0.2.254", "192.0.2.254"))
    link["dns"] = "192.0.2.53"
    check.equal(config.Config(PATH, settings).links[1].address[2], "192.0.2.53")
    link["dns"] = "dns.example"
    text = "x.json.links[1].dns: is 'dns.example', must be like 192.0.2.1"
    check.equal(error_of(settings), text)
    for ip in ("192.0.2.7", "192.0.2.7/31", "192.0.2.7/", "192.0.2.256/24", "192.0.2/24", "/24"):
        link["ip"] = ip
        text = f"x.json.links[1].ip: is {ip!r}, must be like 192.0.2.7/24"
        check.equal(error_of(settings), text)


def test_missing_settings():
    for path in (("links",), ("sensors",), ("links", 1, "ssid"), ("sensors", 0, "driver")):
        settings = good()
        place = settings
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        check.equal(error_of(settings).endswith(path[-1] + ": is missing"), True, path)


def test_what_is_no_object_anywhere():
    for value in (None, [], 1, "x", {"links": [None], "sensors": []}, {"links": []}):
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
