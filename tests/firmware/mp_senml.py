"""SenML packs: RFC 8428's CBOR example resolved, times, names and units, and what doesn't fit."""

from binascii import unhexlify

import check
from feltpost import cbor, metrics, senml

BASE_TIME, NAME, UNIT, VALUE, TIME = -3, 0, 1, 2, 6

# RFC 8428 section 5.1.3's readings of current, as section 6's example has them in CBOR.
START_S = 1276020076
CURRENTS = ((-5, 12, 1), (-4, 13, 1), (-3, 14, 1), (-2, 15, 1), (-1, 16, 1), (0, 17, 1))
TEMPERATURE = metrics.fields("temperature", "Cel")
CO2 = metrics.fields("co2", "ppm")


def resolve(pack):
    # RFC 8428 section 4.6, for the labels that the node writes.
    records = []
    base_s = 0
    for record in cbor.decode(pack):
        base_s = record.get(BASE_TIME, base_s)
        time_s = base_s + record.get(TIME, 0)
        records.append((record[NAME], record.get(UNIT), record[VALUE], time_s))
    return records


def filled(readings, size=512):
    pack = senml.Pack(bytearray(size))
    for reading in readings:
        check.equal(pack.add(metrics.fields(*reading[:2]), *reading[2:]), True, reading)
    check.equal(pack.count, len(readings))
    return bytes(pack.end())


def test_rfc_8428_example():
    # Its voltage is 120.1 V, its currents 1.2 A to 1.7 A, a second apart.
    readings = [("voltage", "V", 1201, 1, START_S)]
    for delta_s, mantissa, digits in CURRENTS:
        readings.append(("current", "A", mantissa, digits, START_S + delta_s))
    resolved = resolve(filled(readings))
    check.equal(len(resolved), 7)
    for i, got in enumerate(resolved):
        name, unit, mantissa, digits, time_s = readings[i]
        wire_name = metrics.wire_name(name).decode()
        own_unit = None if unit == metrics.own_unit(name) else unit
        check.equal((got[0], got[1], got[3]), (wire_name, own_unit, time_s))
        # Half the step of a binary16 of this size at most.
        check.equal(abs(got[2] - mantissa / 10**digits) <= 0.03125, True, got)


def test_marks():
    unmarked = filled([("co2", "ppm", 400, 0, START_S)])
    marked = filled([("co2", "ppm", 400, 0, START_S, 5)])
    check.equal(cbor.decode(marked)[0].pop("q"), 5)
    check.equal(len(marked), len(unmarked) + 3)
    check.equal("q" in cbor.decode(unmarked)[0], False)


def test_rfc_8428_example_decodes():
    # Section 6's bytes, the base name among them, which the node never writes.
    pack = cbor.decode(
        unhexlify(
            "87"
            "a721781b75726e3a6465763a6f773a3130653230373361303130383030363a"
            "22fb41d303a15b00106223614120050067766f6c74616765016156"
            "02fb405e066666666666"
            "a3006763757272656e74062402fb3ff3333333333333"
            "a3006763757272656e74062302fb3ff4cccccccccccd"
            "a3006763757272656e74062202fb3ff6666666666666"
            "a3006763757272656e74062102fb3ff8000000000000"
            "a3006763757272656e74062002fb3ff999999999999a"
            "a3006763757272656e74060002fb3ffb333333333333"
        )
    )
    check.equal(len(pack), 7)
    check.equal(pack[0][NAME], "voltage")
    check.equal(pack[0][-2], "urn:dev:ow:10e2073a0108006:")
    check.equal(abs(pack[0][VALUE] - 120.1) < 1e-4, True)
    check.equal([record.get(TIME) for record in pack], [None, -5, -4, -3, -2, -1, 0])


def test_one_reading_byte_by_byte():
    # 23.7 in binary16 is 0x4DED.
    pack = filled([("temperature", "Cel", 237, 1, 1763799000)])
    check.equal(pack, unhexlify("81a3221a69216fd800617402f94ded"))


def test_three_rounds_of_four_channels_are_small():
    readings = []
    for i in range(3):
        time_s = 1763799000 + 300 * i
        readings.append(("temperature", "Cel", 2372 + i, 2, time_s))
        readings.append(("relativeHumidity", "%RH", 2627 + i, 2, time_s))
        readings.append(("illuminance", "lx", 585 + i, 0, time_s))
        readings.append(("co2", "ppm", 749 + i, 0, time_s))
    pack = filled(readings)
    check.equal(len(pack) <= 125, True, len(pack))
    check.equal([record[3] for record in resolve(pack)], [reading[4] for reading in readings])


def test_times():
    # A lone reading's time goes relative; a round's, as base time where that is shorter.
    for times in (
        (100, 100, 160, 160, 220),
        (100, 700, 1300, 1900),
        (100, 100, 100, 100, 400, 400, 400, 400),
        (500, 400, 300),
        (1000, 2000000, 1000),
        (1000, 1000, 1000, 1000000, 1000000, 1000),
    ):
        times = [1763799000 + delta for delta in times]
        readings = [("co2", "ppm", 700, 0, time_s) for time_s in times]
        check.equal([record[3] for record in resolve(filled(readings))], times)


def test_names_and_units():
    at_s = 1763799000
    readings = (
        (("temperature.outdoor", "Cel", 1, 0, at_s), ("t.outdoor", None)),
        (("temperature", None, 1, 0, at_s), ("t", None)),
        (("temperature", "K", 1, 0, at_s), ("t", "K")),
        (("temperature", "Cel", 1, 0, at_s), ("t", None)),
        (("batteryVoltage", "V", 1, 0, at_s), ("batteryVoltage", "V")),
        (("soil.t\u00f8r", "%", 1, 0, at_s), ("soil.t\u00f8r", "%")),
    )
    resolved = resolve(filled([reading for reading, _ in readings]))
    check.equal([record[:2] for record in resolved], [expected for _, expected in readings])
    check.equal(metrics.own_unit("co2.room-2"), "ppm")
    check.equal(metrics.own_unit("windSpeed"), None)


def test_full():
    # At every size of buffer the pack holds whole records, as many as fit, and stays decodable.
    counts = []
    for size in range(12, 140):
        pack = senml.Pack(bytearray(size))
        while pack.add(TEMPERATURE, -1234567, 3, 1763799000 + 60 * pack.count):
            pass
        check.equal(len(cbor.decode(tagless(pack.end()))), pack.count)
        check.equal(len(pack.end()) <= size, True)
        counts.append(pack.count)
    check.equal(counts, sorted(counts))
    check.equal(counts[0] == 0 and counts[-1] > 5, True, counts)


def tagless(pack):
    # The node's decoder knows no tags: leave out tag 4, which is one byte.
    return bytes(pack).replace(b"\xc4\x82", b"\x82")


def test_most_records():
    pack = senml.Pack(bytearray(1024))
    for _ in range(23):
        check.equal(pack.add(CO2, 1, 0, 1763799000), True)
    check.equal(pack.add(CO2, 1, 0, 1763799000), False)
    check.equal(len(resolve(pack.end())), 23)
    pack.begin()
    check.equal((pack.count, bytes(pack.end())), (0, b"\x80"))


check.main(globals())
