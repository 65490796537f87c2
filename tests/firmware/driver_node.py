"""A MicroPython process with sensor drivers, whose hardware the models of this process serve.

The drivers' waits move the models' clock and nothing else does, so that every one of them counts,
and none takes wall time. `BusNode` has one driver on an I2C bus (sensor_node.py on MicroPython's
side), `PartNode` any that the configuration can name (part_node.py).
"""

from __future__ import annotations

import ast
import json
import math
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from tests.support.room import ROOM

from feltpost_tools.sim.image import SHIMS
from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.parts import OneWireBus, Part
from feltpost_tools.sim.sensors import I2CDevice, Nack, Readout, build
from feltpost_tools.sim.sensors.ds18b20 import Ds18b20

HERE = Path(__file__).parent
FIRMWARE = HERE.parents[1] / "firmware"
ENODEV = 19

# A byte and its acknowledgement on a bus at 400 kHz.
BYTE_US = 23


class DriverError(Exception):
    """A SensorError or ValueError on the node: its class, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


def fails(action: Callable[[], object], kind: str, text: str) -> None:
    with pytest.raises(DriverError, match=text) as error:
        action()
    assert error.value.kind == kind


def half_up(value: Fraction | float) -> int:
    return math.floor(Fraction(value) + Fraction(1, 2))


class DriverNode(ABC):
    """The process, and the commands that its script takes."""

    def __init__(
        self, interpreter: Interpreter, firmware: Path, script: str, *arguments: str
    ) -> None:
        self._process = subprocess.Popen(
            [*interpreter.command, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{firmware}:.frozen"},
        )
        self.now_us = 0
        self.reset()

    def reset(self) -> None:
        self.readouts: list[Readout] = []
        self.after_sleep: Callable[[], None] = lambda: None

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0
        self._process.stdout.close()

    def command(self, line: str):
        """Execute a command on the node, serving its hardware and clock until it is done."""
        self._send(line)
        while True:
            answer = self._process.stdout.readline().rstrip("\n")
            verb, _, rest = answer.partition(" ")
            if verb == "result":
                return ast.literal_eval(rest)
            if verb == "error":
                kind, untouched, text = rest.split(" ", 2)
                assert untouched == "True", "an error left values behind"
                raise DriverError(kind, text)
            if verb == "sleep":
                self.sleep(int(rest))
                self.after_sleep()
                self._send("done")
            else:
                self._send(self.serve(verb, rest.split(" ")))

    @abstractmethod
    def sleep(self, duration: int) -> None:
        """Let so much time pass, in the script's unit."""

    @abstractmethod
    def serve(self, verb: str, arguments: list[str]) -> str:
        """Answer what the script asks of its hardware."""

    def _send(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


class BusNode(DriverNode):
    """A node with one driver, and the I2C bus it sits on."""

    def __init__(self, interpreter: Interpreter, firmware: Path = FIRMWARE) -> None:
        super().__init__(interpreter, firmware, "sensor_node.py")

    def reset(self) -> None:
        super().reset()
        self.bus: dict[int, I2CDevice] = {}
        self.environment = dict(ROOM)
        # (length, index): flip the bits of one byte of the next answer of that length.
        self.spoil: tuple[int, int] | None = None

    def attach(self, name: str, address: int | None = None) -> I2CDevice:
        """Put a fresh chip on the bus and give the node a fresh driver for it."""
        device = build(
            name, lambda quantity, _: self.environment[quantity], self.readouts.append, address
        )
        self.bus[device.address] = device
        self.channels = self.load(name, device.address)
        return device

    def load(self, name: str, address: int | str = "") -> tuple[tuple[str, int], ...]:
        return self.command(f"new {name} {address}")

    def start(self) -> None:
        self.command("start")

    def sample(self) -> dict[str, Fraction]:
        """Return what the driver sampled, exactly, by metric."""
        integers = self.command("sample")
        assert all(isinstance(integer, int) for integer in integers)
        return {
            metric: Fraction(integer, 10**digits)
            for (metric, digits), integer in zip(self.channels, integers, strict=True)
        }

    def sleep(self, duration: int) -> None:
        # A wait may begin at the very end of a tick, which then counts as a millisecond.
        self.now_us += max(0, duration * 1000 - 999)

    def serve(self, verb: str, arguments: list[str]) -> str:
        assert verb in ("write", "read"), f"the node died: {verb}"
        device = self.bus.get(int(arguments[0]))
        self.now_us += BYTE_US
        try:
            if device is None:
                raise Nack
            if verb == "write":
                data = bytes.fromhex(arguments[1])
                device.write(data, self.now_us)
                self.now_us += BYTE_US * len(data)
                return "ack"
            data = device.read(int(arguments[1]), self.now_us)
            self.now_us += BYTE_US * len(data)
            if self.spoil is not None and self.spoil[0] == len(data):
                index = self.spoil[1]
                data = data[:index] + bytes([data[index] ^ 0xFF]) + data[index + 1 :]
                self.spoil = None
            return data.hex()
        except Nack:
            return "nack"


class PartNode(DriverNode):
    """A node with the drivers of a configuration, and the parts of its board."""

    def __init__(self, interpreter: Interpreter) -> None:
        super().__init__(interpreter, FIRMWARE, "part_node.py", str(SHIMS))

    def reset(self) -> None:
        super().reset()
        self.parts: dict[str, Part] = {}
        self.environment = {"temperature": 17.4, "distance": 1.234, "voltage": 1.5}
        # The bus's slots take time, by which no model of a chip is disturbed.
        self.slept_us: list[int] = []

    def sense(self, quantity: str, now_us: int) -> float:
        return self.environment[quantity]

    def wire(self, *devices: Ds18b20) -> OneWireBus:
        self.parts["pin4"] = bus = OneWireBus(devices)
        return bus

    def ds18b20(self, serial: str = "ff641e0f3c5a") -> Ds18b20:
        return Ds18b20(self.sense, self.readouts.append, bytes.fromhex(serial))

    def connect(self, *entries: dict[str, Any]) -> tuple[list, list, list]:
        sensors = [
            {"name": f"s{i}", "interval_s": 60} | entry for i, entry in enumerate(entries, start=1)
        ]
        return self.command("connect " + json.dumps(sensors))

    def start(self, number: int = 0) -> None:
        self.command(f"start {number}")

    def sample(self, number: int = 0) -> int:
        (value,) = self.command(f"sample {number}")
        return value

    def sleep(self, duration: int) -> None:
        self.now_us += duration
        self.slept_us.append(duration)

    def serve(self, verb: str, arguments: list[str]) -> str:
        assert verb == "part", f"the node died: {verb}"
        place, request = arguments
        part = self.parts.get(place)
        if part is None:
            return f"error {ENODEV}"
        try:
            return "ok " + part.serve(bytes.fromhex(request), self.now_us).hex()
        except OSError as error:
            return f"error {error.errno}"
