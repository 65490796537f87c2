"""Pins that are counted: bounces, handlers that come late, and counts that survive."""

import asyncio
import sys


class Time:
    # Stands where the time module stands, asyncio keeps the real one; it wraps as the ESP32's does.
    now_ms = 5

    def ticks_ms(self):
        return self.now_ms & 0x3FFFFFFF

    def ticks_add(self, ticks, delta):
        return ticks + delta & 0x3FFFFFFF

    def ticks_diff(self, end, start):
        return ((end - start + 0x20000000) & 0x3FFFFFFF) - 0x20000000


clock_time = Time()
sys.modules["time"] = clock_time


class Pin:
    IN = 1
    PULL_DOWN, PULL_UP = 1, 2
    IRQ_RISING, IRQ_FALLING = 1, 2
    levels = {}
    pins = {}

    def __init__(self, number, mode, pull):
        self.number = number
        self.pull = pull
        self.level = self.levels.get(number, 1)
        self.pins[number] = self

    def irq(self, handler, trigger):
        assert trigger == 3
        self.handler = handler

    def value(self):
        return self.level


class Machine:
    PWRON_RESET, HARD_RESET = 1, 2
    Pin = Pin
    cause = PWRON_RESET

    def reset_cause(self):
        return self.cause


class Nvs:
    stored = {}
    commits = 0
    full = False

    def __init__(self, namespace):
        assert namespace == "feltpost"
        self._new = {}

    def get_i32(self, key):
        if key not in self.stored:
            raise OSError(-0x1102)
        return self.stored[key]

    def set_i32(self, key, value):
        if self.full:
            raise OSError(-0x1105)
        self._new[key] = value

    def commit(self):
        Nvs.commits += 1
        self.stored.update(self._new)


class Esp32:
    NVS = Nvs


machine = Machine()
sys.modules["machine"] = machine
sys.modules["esp32"] = Esp32

import check  # noqa: E402
from feltpost.config import ConfigError, Table  # noqa: E402
from feltpost.edges import EdgeCounter  # noqa: E402
from feltpost.kept_count import KeptCount  # noqa: E402
from feltpost.retained import Retained  # noqa: E402
from feltpost.sensor import OutOfRange, SensorError  # noqa: E402
from feltpost.sensor_contact import Contact  # noqa: E402
from feltpost.sensor_pir import Pir  # noqa: E402
from feltpost.sensor_pulses import Pulses  # noqa: E402
from micropython import heap_lock, heap_unlock  # noqa: E402

PIN = 27
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


class Memory:
    # RTC memory.
    def __init__(self):
        self.data = b""
        self.writes = 0

    def __call__(self, data=None):
        if data is None:
            return self.data
        self.data = bytes(data)
        self.writes += 1
        return None


class Ports:
    def __init__(self, retained=None):
        self.retained = retained

    def pin(self, options, key):
        return options.number(key, 0, 63)


def edges(*levels, apart_ms=1, pin=PIN):
    """Let a pin go to these levels, each handled at once."""
    for level in levels:
        Pin.pins[pin].level = level
        Pin.pins[pin].handler(Pin.pins[pin])
        clock_time.now_ms += apart_ms


def passes(duration_ms):
    clock_time.now_ms += duration_ms


def pulse(pin=PIN, bounces=0, closed_ms=100):
    """Close a contact for so long; it bounces at both ends."""
    edges(0, *(1, 0) * bounces, pin=pin)
    passes(closed_ms)
    edges(1, *(0, 1) * bounces, pin=pin)
    passes(1000)


def counter(level=0, debounce_ms=20):
    return EdgeCounter(PIN, Pin.PULL_UP, level, debounce_ms)


def test_each_pulse_counts_once_however_it_bounces():
    for bounces in (0, 1, 5):
        counted = counter()
        for number in range(1, 8):
            pulse(bounces=bounces)
            check.equal(counted.count, number, f"{bounces} bounces")


def test_towards_the_other_level():
    Pin.levels[PIN] = 0
    counted = EdgeCounter(PIN, Pin.PULL_DOWN, 1, 10)
    edges(1, apart_ms=3000)
    edges(0, apart_ms=3000)
    check.equal(counted.count, 1)
    edges(1, apart_ms=3000)
    check.equal(counted.count, 2)
    check.equal(counted.rest(), 1)


def test_a_contact_that_stays_closed_is_one_pulse():
    counted = counter()
    for _ in range(3):
        pulse(bounces=3, closed_ms=12 * HOUR_MS)
    check.equal(counted.count, 3)


def test_one_that_is_closed_from_the_start_is_none():
    Pin.levels[PIN] = 0
    counted = counter()
    edges(1, 0, 1)
    passes(1000)
    check.equal(counted.count, 0)
    pulse()
    check.equal(counted.count, 1)


def test_a_pulse_shorter_than_the_bounce_counts_and_leaves_nothing_behind():
    counted = counter()
    for number in range(1, 4):
        pulse(closed_ms=5)
        check.equal(counted.count, number)


def test_a_spike_that_is_over_when_the_handler_runs_is_none():
    counted = counter()
    edges(1, 1, apart_ms=0)
    passes(1000)
    check.equal(counted.count, 0)
    pulse()
    check.equal(counted.count, 1)


def test_a_handler_that_first_finds_a_bounce_counts_at_the_next():
    counted = counter()
    edges(1, 0, 0)
    passes(100)
    edges(1)
    passes(100)
    check.equal(counted.count, 1)


def test_an_edge_without_a_handler_is_made_up_for():
    counted = counter()
    # The last of the bounces found the queue full: closed, and nobody has seen it.
    edges(1)
    Pin.pins[PIN].level = 0
    check.equal(counted.rest(), 1, "it may bounce yet")
    passes(20)
    check.equal(counted.rest(), 0)
    check.equal(counted.count, 1)
    edges(1)
    passes(100)
    pulse()
    check.equal(counted.count, 2)


def test_weeks_of_silence():
    counted = counter()
    pulse()
    for _ in range(40):
        passes(24 * HOUR_MS)
        counted.rest()
        if clock_time.now_ms // HOUR_MS % 7 == 0:
            pulse()
    before = counted.count
    for days in (6, 7, 8, 12, 13):
        for _ in range(days):
            passes(24 * HOUR_MS)
            counted.rest()
        pulse()
        before += 1
        check.equal(counted.count, before, f"after {days} days")


def test_the_handler_takes_no_heap():
    counted = counter()
    pulse()
    pin = Pin.pins[PIN]
    handler = pin.handler
    pin.level = 0
    heap_lock()
    handler(pin)
    heap_unlock()
    check.equal(counted.count, 2)


# Counts that survive


def kept(memory=None, lost=False, pin=PIN):
    return KeptCount(Retained(memory, not lost) if memory else None, pin)


def test_a_reset_loses_nothing():
    memory = Memory()
    count = kept(memory)
    check.equal(count.restored, 0)
    for number in (1, 2, 7):
        count.keep(number)
        check.equal(kept(memory).restored, number)


def test_a_reset_does_not_put_off_what_a_power_cut_needs():
    memory = Memory()
    for minute in range(1, 31):
        if minute % 9 == 1:
            count = kept(memory)
        passes(MINUTE_MS)
        count.keep(minute)
        restored = kept(Memory(), lost=True).restored
        check.equal(minute - 10 < restored, True, f"{restored} at {minute}")


def test_what_does_not_change_is_not_written():
    memory = Memory()
    count = kept(memory)
    count.keep(3)
    writes = memory.writes
    passes(HOUR_MS)
    count.keep(3)
    check.equal((memory.writes, Nvs.commits), (writes, 1))
    passes(HOUR_MS)
    count.keep(3)
    check.equal((memory.writes, Nvs.commits), (writes, 1))


def test_a_power_cut_loses_ten_minutes_at_most():
    memory = Memory()
    count = kept(memory)
    at_minute = {}
    for minute in range(1, 60):
        passes(MINUTE_MS)
        count.keep(10 * minute)
        at_minute[minute] = kept(Memory(), lost=True).restored
    check.equal(Nvs.commits, 6)
    for minute, restored in at_minute.items():
        check.equal(10 * (minute - 10) < restored, True, f"minute {minute}")
    again = kept(memory, lost=True)
    check.equal(again.restored, 510)
    again.keep(again.restored + 1)
    check.equal(kept(memory).restored, 511, "it goes on from there in RTC memory")


def test_without_rtc_memory_there_is_nvs():
    count = kept()
    passes(10 * MINUTE_MS)
    count.keep(5)
    check.equal(kept().restored, 5)


def test_eight_counts_keep_out_of_each_others_way():
    memory = Memory()
    retained = Retained(memory)
    counts = [KeptCount(retained, pin) for pin in range(8)]
    for turn in range(3):
        for pin, count in enumerate(counts):
            count.keep(100 * pin + turn)
    check.equal([kept(memory, pin=pin).restored for pin in range(8)], list(range(2, 802, 100)))
    check.equal(str(check.raises(ValueError, kept, memory, False, 8)), "a node can keep 8 counts")


# Drivers


def options(**values):
    return Table("x", values)


def sample(sensor):
    values = ["untouched", "untouched"]
    asyncio.run(sensor.sample(values))
    return values[: len(sensor.CHANNELS)]


def test_pulses_tell_the_total_of_what_they_stand_for():
    gauge = Pulses.connect(Ports(), options(pin=PIN, per_pulse=0.2794, digits=4))
    check.equal((gauge.CHANNELS, gauge.UNITS), ((("total", 4),), {}))
    check.equal(Pin.pins[PIN].pull, Pin.PULL_UP)
    check.equal(sample(gauge), [0])
    for _ in range(5):
        pulse(bounces=2)
    check.equal(sample(gauge), [5 * 2794])
    check.equal(sample(gauge), [5 * 2794])


def test_pulses_go_on_where_they_were():
    memory = Memory()
    meter = Pulses.connect(Ports(Retained(memory)), options(pin=PIN, per_pulse=10))
    for _ in range(3):
        pulse()
    check.equal(sample(meter), [30])
    again = Pulses.connect(Ports(Retained(memory)), options(pin=PIN, per_pulse=10))
    pulse()
    check.equal(sample(again), [40])


def test_pulses_without_a_size_are_counts():
    check.equal(Pulses.connect(Ports(), options(pin=PIN)).UNITS, {"total": "count"})


def test_pulses_that_can_not_be():
    for wrong, text in (
        ({"per_pulse": 0.4}, "x.per_pulse: must be more than 0 in 0 digits"),
        ({"per_pulse": 0.04, "digits": 1}, "x.per_pulse: must be more than 0 in 1 digits"),
        ({"per_pulse": -1}, "x.per_pulse: must be more than 0 in 0 digits"),
        ({"digits": 7}, "x.digits: is 7, must be 0 to 6"),
        ({"debounce_ms": 0}, "x.debounce_ms: is 0, must be 1 to 10000"),
    ):
        table = options(pin=PIN, **wrong)
        check.equal(str(check.raises(ConfigError, Pulses.connect, Ports(), table)), text)


def test_pulses_beyond_what_a_journal_takes():
    Nvs.stored["count27"] = 21_474
    meter = Pulses.connect(Ports(), options(pin=PIN, per_pulse=100_000))
    check.equal(sample(meter), [2_147_400_000])
    pulse()
    error = check.raises(OutOfRange, sample, meter)
    check.equal(str(error), "pulses on pin 27: has counted too far; give it fewer digits")


def test_pulses_tell_when_nvs_is_full():
    meter = Pulses.connect(Ports(), options(pin=PIN))
    Nvs.full = True
    pulse()
    passes(HOUR_MS)
    error = check.raises(SensorError, sample, meter)
    check.equal(str(error), "pulses on pin 27: NVS does not take its count (-4357)")
    Nvs.full = False
    passes(HOUR_MS)
    check.equal(sample(meter), [1])


def test_a_contact_tells_its_state_and_openings():
    Pin.levels[PIN] = 0
    door = Contact.connect(Ports(), options(pin=PIN))
    check.equal(sample(door), [1, None])
    for _ in range(3):
        edges(1, 0, 1)
        passes(2000)
        edges(0, 1, 0)
        passes(2000)
    check.equal(sample(door), [1, 3])
    edges(1)
    passes(2000)
    check.equal(sample(door), [0, 1])
    check.equal(sample(door), [0, 0])


def test_a_motion_detector_counts_how_often_it_begins():
    Pin.levels[PIN] = 0
    detector = Pir.connect(Ports(), options(pin=PIN))
    check.equal(Pin.pins[PIN].pull, Pin.PULL_DOWN)
    check.equal(sample(detector), [None])
    for _ in range(4):
        edges(1, apart_ms=8000)
        edges(0, apart_ms=2500)
    check.equal(sample(detector), [4])
    check.equal(sample(detector), [0])


def test_a_motion_detector_warms_up_after_power_on():
    slept = []

    async def sleep_ms(duration_ms):
        slept.append(duration_ms)

    asyncio.sleep_ms = sleep_ms
    detector = Pir.connect(Ports(), options(pin=PIN))
    asyncio.run(detector.start())
    machine.cause = machine.HARD_RESET
    asyncio.run(detector.start())
    check.equal(slept, [MINUTE_MS])


if __name__ == "__main__":
    check.main(globals())
