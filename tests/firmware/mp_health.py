"""The node's readings of itself."""

import asyncio
import gc

import check
from feltpost.health import Health


class Clock:
    def uptime_ms(self):
        return 61_999


class Journal:
    capacity = 200

    def __len__(self):
        return 51


class Uplink:
    lost = 14
    retries = 3


def sample(sensor):
    """Return what a sample gives, by metric."""
    values = [0] * len(sensor.CHANNELS)
    asyncio.run(sensor.start())
    asyncio.run(sensor.sample(values))
    return {name: value for (name, _), value in zip(sensor.CHANNELS, values)}  # noqa: B905


def test_it_says_how_the_node_is():
    values = sample(Health(Clock(), Journal(), Uplink(), 3, lambda: -67))
    heap = values.pop("freeHeap")
    check.equal(
        values,
        {
            "uptime": 61,
            "rssi": -67,
            "journalFill": 25,
            "readingsLost": 14,
            "retries": 3,
            "resetCause": 3,
        },
    )
    check.equal(abs(heap - gc.mem_free()) < 20_000, True, heap)


def test_free_heap_leaves_garbage_out():
    sensor = Health(Clock(), Journal(), Uplink(), 1)
    before = sample(sensor)["freeHeap"]
    gc.threshold(-1)
    for _ in range(100):
        bytearray(500)
    check.equal(abs(sample(sensor)["freeHeap"] - before) < 5_000, True)


def test_the_reset_cause_is_told_once():
    sensor = Health(Clock(), Journal(), Uplink(), 1)
    check.equal([sample(sensor)["resetCause"] for _ in range(3)], [1, None, None])


def test_without_wifi_there_is_no_signal_strength():
    check.equal(sample(Health(Clock(), Journal(), Uplink(), 1))["rssi"], None)
    check.equal(sample(Health(Clock(), Journal(), Uplink(), 1, lambda: None))["rssi"], None)


def test_every_channel_has_a_unit():
    check.equal(len(Health.UNITS), len(Health.CHANNELS))


if __name__ == "__main__":
    check.main(globals())
