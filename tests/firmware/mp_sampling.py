"""Sampling: each channel at its own interval, and what a failing sensor does to the others."""

import asyncio

import fake_time

clock_time = fake_time.install()

import check  # noqa: E402
from feltpost import sampling  # noqa: E402
from feltpost.channel import Channel, Settings  # noqa: E402
from feltpost.clock import Clock  # noqa: E402
from feltpost.journal_ram import RamJournal  # noqa: E402
from feltpost.log import Log  # noqa: E402
from feltpost.record import Record  # noqa: E402
from feltpost.sensor import SensorError  # noqa: E402

MINUTE_MS = 60_000
# The number of the channel for the sensor's faults.
FAULT = 9


class Stop(Exception):
    pass


class Sensor:
    CHANNELS = (("temperature", 2), ("relativeHumidity", 1))
    STOP_FROM_MS = 0

    def __init__(self, fails_at=()):
        self.starts = 0
        self.samples = 0
        self.recovered = 0
        self._fails_at = fails_at

    async def start(self):
        self.starts += 1

    def recover(self):
        self.recovered += 1

    async def sample(self, values):
        self.samples += 1
        if self.samples in self._fails_at:
            raise SensorError("broken")
        values[0] = 2000 + self.samples
        values[1] = 500 + self.samples


def run(sensor, settings, until_ms):
    """Sample until then; return [(minute, channel, value, form)] and the log."""
    journal, lines = RamJournal(1, 1000), []
    channels = [made and Channel(i, made) for i, made in enumerate(settings)]
    sampler = sampling.Sampler("s", sensor, channels, FAULT, journal, Clock(), Log(lines.append))

    async def sleep_ms(duration_ms):
        clock_time.now_ms += duration_ms
        if clock_time.now_ms >= until_ms:
            raise Stop

    clock_time.now_ms = 0
    real, asyncio.sleep_ms = asyncio.sleep_ms, sleep_ms
    try:
        asyncio.run(sampler.run(asyncio.Event()))
    except Stop:
        pass
    finally:
        asyncio.sleep_ms = real
    record, found = Record(), []
    for number in range(journal.first, journal.next):
        journal.read(number, record)
        found.append((record.uptime_ms // MINUTE_MS, record.channel, record.mantissa, record.form))
    return found, lines


def every(minutes):
    return Settings(minutes * MINUTE_MS)


def test_channels_have_intervals_of_their_own():
    found, _ = run(Sensor(), [every(1), every(5)], 11 * MINUTE_MS)
    check.equal([entry[0] for entry in found if entry[1] == 0], list(range(11)))
    check.equal([entry[0] for entry in found if entry[1] == 1], [0, 5, 10])
    check.equal({entry[3] for entry in found if entry[1] == 1}, {1}, "digits")


def test_a_sensor_is_read_only_when_a_channel_is_due():
    sensor = Sensor()
    run(sensor, [None, every(5)], 21 * MINUTE_MS)
    check.equal(sensor.samples, 5)


def test_oversampling_takes_as_many_as_asked_and_no_more():
    many = every(5)
    many.samples = 3
    sensor = Sensor()
    found, _ = run(sensor, [many, every(5)], 6 * MINUTE_MS)
    check.equal(sensor.samples, 6)
    # The mean of 2001 to 2003, beside the first humidity.
    check.equal(found[0][1:3], (1, 501))
    check.equal(found[1][1:3], (0, 2002))


def test_marks_travel_in_the_form():
    settings = every(1)
    settings.most = 2000
    found, _ = run(Sensor(), [settings, None], MINUTE_MS)
    check.equal(found[0][3], 2 | 4 << 4)


def test_a_fault_is_told_once_and_when_it_clears():
    sensor = Sensor(fails_at=(2, 3, 4))
    found, lines = run(sensor, [every(1), None], 7 * MINUTE_MS)
    readings = [entry[0] for entry in found if entry[1] == 0]
    check.equal(readings, [0, 1, 2, 3, 4, 5, 6], "after 1, 2 and 4 s it answers: none is missing")
    check.equal([entry[2] for entry in found if entry[1] == FAULT], [SensorError.code, 0])
    check.equal(lines, ["s: broken", "s: answers again"])
    check.equal(sensor.starts, 4, "it is started anew after each failure")
    check.equal(sensor.recovered, 3)


def test_a_sensor_that_stays_away_is_tried_ever_less_often():
    sensor = Sensor(fails_at=range(1, 1000))
    found, lines = run(sensor, [every(1), every(1)], 61 * MINUTE_MS)
    check.equal(found, [(0, FAULT, SensorError.code, 0)])
    check.equal(len(lines), 1)
    # 1, 2, 4, … 256 s are 511 s, and from there on every 300 s.
    check.equal(sensor.samples, 10 + (61 * 60 - 511) // 300)


def test_a_value_that_is_not_there_is_left_out():
    class Partial(Sensor):
        async def sample(self, values):
            await super().sample(values)
            if self.samples % 2:
                values[1] = None

    found, lines = run(Partial(), [every(1), every(1)], 4 * MINUTE_MS)
    check.equal([entry[0] for entry in found if entry[1] == 0], [0, 1, 2, 3])
    check.equal([entry[0] for entry in found if entry[1] == 1], [1, 3])
    check.equal(lines, [])


def test_a_sensor_that_is_slow_leaves_out_what_it_missed():
    class Slow(Sensor):
        async def sample(self, values):
            clock_time.now_ms += 150_000
            await super().sample(values)

    found, _ = run(Slow(), [every(1), None], 10 * MINUTE_MS)
    check.equal([entry[0] for entry in found], [2, 5, 7, 10])


if __name__ == "__main__":
    check.main(globals())
