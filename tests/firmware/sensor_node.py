"""Runs on MicroPython: sensor drivers whose I2C bus and clock are at the other end of a pipe.

driver_node.py starts it and sends commands, a line each; while one is executed the drivers'
transactions and waits go back as requests, a line each, which that end answers.
"""

import asyncio
import gc
import sys
from binascii import hexlify, unhexlify

from feltpost.sensirion import crc8, hundredths
from feltpost.sensor import SensorError, load

_ENODEV = 19

_MOST_CHANNELS = 6


def request(line):
    print(line)
    return sys.stdin.readline().strip()


class I2C:
    def writeto(self, address, buffer):
        if request(f"write {address} {hexlify(buffer).decode()}") == "nack":
            raise OSError(_ENODEV)
        return len(buffer)

    def readfrom_into(self, address, buffer):
        answer = request(f"read {address} {len(buffer)}")
        if answer == "nack":
            raise OSError(_ENODEV)
        buffer[:] = unhexlify(answer)


async def sleep_ms(duration_ms):
    request(f"sleep {duration_ms}")


asyncio.sleep_ms = sleep_ms


def allocated(function, *arguments):
    """Return how many bytes of heap a call takes, after a first one that may fill caches."""
    function(*arguments)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    function(*arguments)
    after = gc.mem_alloc()
    gc.enable()
    return after - before


def execute(words):
    """Execute one command; return the line that ends it."""
    global sensor
    if words[0] == "new":
        driver = load(words[1])
        sensor = driver(I2C(), int(words[2])) if len(words) > 2 else driver(I2C())
        return "result " + repr(driver.CHANNELS)
    if words[0] == "start":
        asyncio.run(sensor.start())
        return "result None"
    if words[0] == "stop":
        asyncio.run(sensor.stop())
        return "result None"
    if words[0] == "sample":
        asyncio.run(sensor.sample(values))
        return "result " + repr(values[: len(sensor.CHANNELS)])
    if words[0] == "hundredths":
        span, start, end = [int(word) for word in words[1:]]
        return "result " + repr([hundredths(raw, span) for raw in range(start, end)])
    if words[0] == "crc8":
        data = unhexlify(words[1])
        return "result " + repr([crc8(data, 0, len(data))])
    if words[0] == "allocated":
        return "result " + repr(
            [allocated(hundredths, 65535, 175), allocated(crc8, b"\xff\xff", 0, 2)]
        )
    raise ValueError(words[0])


sensor = None
values = [None] * _MOST_CHANNELS
while True:
    line = sys.stdin.readline()
    if not line:
        break
    values[:] = [None] * _MOST_CHANNELS
    try:
        print(execute(line.split()))
    except SensorError as error:
        print(f"error {type(error).__name__} {values == [None] * _MOST_CHANNELS} {error}")
    except ValueError as error:
        print(f"error ValueError True {error}")
