"""Runs on MicroPython: sensor drivers on the simulated board's shims, whose parts and clock are at
the other end of a pipe.

driver_node.py starts it and sends commands, a line each; while one is
executed the requests to parts and the waits go to that end, a line each, which it answers.
"""

import json
import select
import sys
import time as real
from binascii import hexlify, unhexlify

_ENODEV = 19


def request(line):
    print(line)
    return sys.stdin.readline().strip()


class Host:
    """Stands for the shims' way to the simulator."""

    @staticmethod
    def call(kind, payload):
        assert kind == 0x50, "asks something else than a part"
        place = payload[1 : 1 + payload[0]].decode()
        data = hexlify(payload[1 + payload[0] :]).decode()
        verb, _, answer = request(f"part {place} {data}").partition(" ")
        if verb == "error":
            raise OSError(int(answer))
        return unhexlify(answer)

    @staticmethod
    def sleep_ms(duration_ms):
        request(f"sleep {duration_ms * 1000}")


class Time:
    """Stands for the time module: waiting moves that end's clock and nothing else."""

    ticks_ms = real.ticks_ms
    ticks_us = real.ticks_us
    ticks_add = real.ticks_add
    ticks_diff = real.ticks_diff

    @staticmethod
    def sleep_us(duration_us):
        request(f"sleep {duration_us}")


sys.modules["_host"] = Host
sys.modules["time"] = Time
# asyncio waits for nothing here, and needs no shim.
sys.modules["select"] = select
sys.path.append(sys.argv[1])

import asyncio  # noqa: E402

from feltpost.assembly import Assembly  # noqa: E402
from feltpost.clock import Clock  # noqa: E402
from feltpost.config import Config  # noqa: E402
from feltpost.sensor import SensorError  # noqa: E402

let_others_run = asyncio.sleep_ms


async def sleep_ms(duration_ms):
    # A wait may begin at the very end of a tick, which then counts as a millisecond.
    request(f"sleep {max(0, duration_ms * 1000 - 999)}")
    await let_others_run(0)


asyncio.sleep_ms = sleep_ms


class Table:
    """Stands for the table of the node's channels."""

    def __init__(self):
        self.entries = []

    def number(self, name, unit):
        self.entries.append((name, unit))
        return len(self.entries) - 1


def connect(sensors):
    """Make sensors as the application does; return their channels, (name, unit), and problems."""
    global connected
    root = {
        "links": [{"kind": "serial"}],
        "uart": [{"id": 1, "tx": 17, "rx": 16}],
        "sensors": json.loads(sensors),
    }
    settings = Config("x.json", root)
    table = Table()
    connected = [s._sensor for s in Assembly(settings, table, None, Clock(), None).samplers()]
    return [sensor.CHANNELS for sensor in connected], table.entries, settings.problems


async def sample_all(numbers):
    """Sample several sensors at the same time; return what each has, or the text of its error."""

    async def sample(number):
        values = [None]
        try:
            await connected[number].sample(values)
        except SensorError as error:
            return str(error)
        return values[0]

    return list(await asyncio.gather(*[sample(number) for number in numbers]))


def execute(verb, rest):
    """Execute one command; return the line that ends it."""
    if verb == "connect":
        return "result " + repr(connect(rest))
    if verb == "start":
        asyncio.run(connected[int(rest)].start())
        return "result None"
    if verb == "stop":
        asyncio.run(connected[int(rest)].stop())
        return "result None"
    if verb == "together":
        return "result " + repr(asyncio.run(sample_all(json.loads(rest))))
    sensor = connected[int(rest)]
    asyncio.run(sensor.sample(values))
    return "result " + repr(values[: len(sensor.CHANNELS)])


connected = []
_NOTHING = [None] * 3
values = list(_NOTHING)
while True:
    line = sys.stdin.readline()
    if not line:
        break
    values[:] = _NOTHING
    try:
        print(execute(*line.strip().split(" ", 1)))
    except SensorError as error:
        print(f"error {type(error).__name__} {values == _NOTHING} {error}")
