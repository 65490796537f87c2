"""Kits: what to buy, how to wire it, and the configuration that comes of it on a given board.

A kit is described by the kit.toml in its folder of ../../hardware/kits. It names buses, supply
rails and pins by what they are for ("digital0"), never by number, so that one kit fits every board
that has them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feltpost_gateway import metrics
from feltpost_tools import hardware
from feltpost_tools.boards import Board
from feltpost_tools.errors import DefinitionError, UnsuitableBoard
from feltpost_tools.hardware import Table
from feltpost_tools.language import _


@dataclass(frozen=True)
class Part:
    """A line of the bill of materials."""

    name: str
    quantity: int
    what: str


@dataclass(frozen=True)
class Wire:
    """A wire from a part's terminal to "3V3", "5V", "GND", a bus's line ("i2c0.scl"), or one of the
    board's pins for sensors on no bus ("digital0", "analogue0")."""

    part: str
    terminal: str
    signal: str


@dataclass(frozen=True)
class Connection:
    """A wire on a given board: from a part's terminal to the pin with that label."""

    part: str
    terminal: str
    label: str


@dataclass(frozen=True)
class KitSensor:
    """A sensor of the kit, with what firmware/feltpost/config.py wants to know of it.

    bus: its I2C bus, None where it is on none. pins: by the configuration's key, which of the
    board's pins for sensors. channels: by what the driver measures, the reading's name, or a table
    with name and settings.
    """

    part: str
    driver: str
    bus: int | None
    pins: Mapping[str, str]
    interval_s: int
    channels: Mapping[str, str | Mapping[str, Any]]


@dataclass(frozen=True)
class Kit:
    """A kit: its parts by name, its wires, its sensors, and where the facts come from."""

    name: str
    title: str
    parts: Mapping[str, Part]
    wires: tuple[Wire, ...]
    sensors: tuple[KitSensor, ...]
    sources: tuple[str, ...]


def names() -> list[str]:
    """Return the names of all kits, sorted."""
    return sorted(path.parent.name for path in (hardware.folder() / "kits").glob("*/kit.toml"))


def load(name: str) -> Kit:
    """Return the kit called `name`; DefinitionError when there is none or its file is wrong."""
    known = names()
    if name not in known:
        raise DefinitionError(
            _("there is no kit {name}; known are {known}").format(
                name=repr(name), known=", ".join(known)
            )
        )
    return read(hardware.folder() / "kits" / name / "kit.toml")


def read(path: Path) -> Kit:
    """Return the kit that the file at `path` defines; DefinitionError says what is wrong."""
    root = hardware.read(path)
    parts = _parts(root.table("parts"))
    kit = Kit(
        name=path.parent.name,
        title=root.text("title"),
        parts=parts,
        wires=tuple(wire for table in root.tables("wiring") for wire in _wires(table, parts)),
        sensors=tuple(_sensor(table, parts) for table in root.tables("sensors")),
        sources=root.texts("sources"),
    )
    root.done()
    return kit


def expand(kit: Kit, board: Board, links: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content of feltpost.json for `board` with the sensors of `kit`.

    links: as firmware/feltpost/config.py describes them. UnsuitableBoard when the board lacks a bus
    that the kit needs.
    """
    buses = {bus.id: {"scl": bus.scl, "sda": bus.sda} for bus in board.i2c}
    needed = sorted({sensor.bus for sensor in kit.sensors if sensor.bus is not None})
    for bus in needed:
        if bus not in buses:
            raise _unsuitable(kit, board, _("I2C bus {number}").format(number=bus))
    return {
        "links": [dict(link) for link in links],
        "i2c": [{"id": bus, **buses[bus]} for bus in needed],
        "sensors": [_expanded(kit, board, sensor) for sensor in kit.sensors],
    }


def wiring(kit: Kit, board: Board) -> list[Connection]:
    """Return which pin of `board` every wire of `kit` goes to; UnsuitableBoard as for expand."""
    labels = dict(board.power)
    labels |= {signal: board.pins[gpio].label for signal, gpio in _sensor_pins(board).items()}
    for bus in board.i2c:
        labels[f"i2c{bus.id}.scl"] = board.pins[bus.scl].label
        labels[f"i2c{bus.id}.sda"] = board.pins[bus.sda].label
    connections = []
    for wire in kit.wires:
        if wire.signal not in labels:
            raise _unsuitable(kit, board, wire.signal)
        connections.append(Connection(wire.part, wire.terminal, labels[wire.signal]))
    return connections


def _sensor_pins(board: Board) -> dict[str, int]:
    # By what kits call them, the board's pins for sensors that are on no bus.
    kinds = {"digital": board.digital, "analogue": board.analogue}
    return {f"{kind}{i}": gpio for kind, pins in kinds.items() for i, gpio in enumerate(pins)}


def _expanded(kit: Kit, board: Board, sensor: KitSensor) -> dict[str, Any]:
    known = _sensor_pins(board)
    entry: dict[str, Any] = {"driver": sensor.driver}
    if sensor.bus is not None:
        entry["bus"] = sensor.bus
    for key, signal in sensor.pins.items():
        if signal not in known:
            raise _unsuitable(kit, board, signal)
        entry[key] = known[signal]
    entry["interval_s"] = sensor.interval_s
    entry["channels"] = copy.deepcopy(dict(sensor.channels))
    return entry


def _parts(table: Table) -> dict[str, Part]:
    parts = {}
    for name in table.left():
        row = table.table(name)
        parts[name] = Part(name, row.number("quantity", 1, 1000), row.text("what"))
        row.done()
    return parts


def _part(table: Table, parts: Mapping[str, Part]) -> str:
    name = table.text("part")
    if name not in parts:
        raise table.error("part", f"is {name!r}, which parts does not have")
    return name


def _wires(table: Table, parts: Mapping[str, Part]) -> list[Wire]:
    part = _part(table, parts)
    terminals = table.table("terminals")
    wires = [Wire(part, name, terminals.text(name)) for name in terminals.left()]
    table.done()
    return wires


def _sensor(table: Table, parts: Mapping[str, Part]) -> KitSensor:
    channels = table.table("channels")
    pins = table.optional_table("pins")
    sensor = KitSensor(
        part=_part(table, parts),
        driver=table.text("driver"),
        bus=table.number("bus", 0, 7) if "bus" in table else None,
        pins={} if pins is None else {key: pins.text(key) for key in pins.left()},
        interval_s=table.number("interval_s", 1, 86_400),
        channels={name: _channel(channels, name) for name in channels.left()},
    )
    table.done()
    return sensor


def _channel(channels: Table, name: str) -> str | dict[str, Any]:
    channel = channels.text_or_values(name)
    unit = channel.get("unit") if isinstance(channel, dict) else None
    # Found out here and not by the gateway, which would refuse every reading.
    if unit is not None and unit not in metrics.UNITS:
        raise channels.error(name, f"{unit!r} is not a unit of RFC 8428 or RFC 8798")
    return channel


def _unsuitable(kit: Kit, board: Board, what: str) -> UnsuitableBoard:
    return UnsuitableBoard(
        _("kit {kit} needs {what}, which board {board} does not have; use another board").format(
            kit=kit.name, what=what, board=board.name
        )
    )
