"""Boards: what is on their headers, and whether a node's configuration fits them.

A board is described by a file in ../../hardware/boards, whose README.md says what the keys mean.
`check` holds a configuration (feltpost.json, see firmware/feltpost/config.py) against a board, so
that a pin that can't work is refused before flashing and not found out at the top of a ladder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from feltpost_tools import hardware
from feltpost_tools.board_faults import Fault, Problem, Severity
from feltpost_tools.errors import DefinitionError
from feltpost_tools.hardware import Table
from feltpost_tools.language import _, marked

__all__ = ["Board", "Fault", "Problem", "Severity", "check", "load", "names", "read"]

_Choice = TypeVar("_Choice", bound=StrEnum)
_Made = TypeVar("_Made")

_MOST_GPIO = 63
_FREE_PINS_NAMED = 6

# The kinds of link that turn the radio on.
_RADIO_LINKS = frozenset({"udp"})


class Level(StrEnum):
    """What a strapping pin must be at reset for the board to start, and to be flashed by cable."""

    LOW = marked("low")
    HIGH = marked("high")
    ANY = "any"


class Taker(StrEnum):
    """What a pin is wired to on the board or in the module."""

    FLASH = "flash"
    PSRAM = "psram"
    CONSOLE = "console"
    USB = "usb"
    LED = "led"


class ConsoleKind(StrEnum):
    """How a socket reaches the chip: through a bridge and UART 0, or the chip's own USB."""

    UART = "uart"
    USB = "usb"


@dataclass(frozen=True)
class Pin:
    """A pin of the header.

    label: what is printed beside it. adc: its ADC channel ("ADC1_CH0"). wakes: it can end deep
    sleep. strapping: the level it must have at reset, None for a pin that reset does not look at.
    """

    gpio: int
    label: str
    input_only: bool
    adc: str | None
    wakes: bool
    strapping: Level | None
    taken_by: Taker | None


@dataclass(frozen=True)
class I2cPins:
    """An I2C controller and the pins that it has unless a configuration says otherwise."""

    id: int
    scl: int
    sda: int


@dataclass(frozen=True)
class UartPins:
    """A UART that is free for sensors, and the pins that it has unless told otherwise."""

    id: int
    tx: int
    rx: int


@dataclass(frozen=True)
class Led:
    """The LED that programs can light; an addressable one takes WS2812 data."""

    pin: int
    addressable: bool


@dataclass(frozen=True)
class Console:
    """A socket through which the board is flashed and its prompt reached."""

    kind: ConsoleKind
    socket: str


@dataclass(frozen=True)
class Board:
    """What the tools know of a board.

    flash_mib: the smallest that it is sold with. pins: those on its headers, by GPIO number.
    digital, analogue: pins for sensors that are on no bus, in the order in which kits use them.
    adc_works, adc_works_beside_wifi: the converters that give readings at all, and while Wi-Fi is
    on. power: what the pins for "3V3", "5V" and "GND" are called on this board.
    """

    name: str
    title: str
    chip: str
    flash_mib: int
    pins: Mapping[int, Pin]
    i2c: tuple[I2cPins, ...]
    uarts: tuple[UartPins, ...]
    digital: tuple[int, ...]
    analogue: tuple[int, ...]
    adc_works: frozenset[str]
    adc_works_beside_wifi: frozenset[str]
    led: Led | None
    consoles: tuple[Console, ...]
    power: Mapping[str, str]
    sources: tuple[str, ...]


def names() -> list[str]:
    """Return the names of all boards, sorted."""
    return sorted(path.stem for path in (hardware.folder() / "boards").glob("*.toml"))


def load(name: str) -> Board:
    """Return the board called `name`; DefinitionError when there is none or its file is wrong."""
    known = names()
    if name not in known:
        raise DefinitionError(
            _("there is no board {name}; known are {known}").format(
                name=repr(name), known=", ".join(known)
            )
        )
    return read(hardware.folder() / "boards" / f"{name}.toml")


def read(path: Path) -> Board:
    """Return the board that the file at `path` defines; DefinitionError says what is wrong."""
    root = hardware.read(path)
    pins = _pins(root.table("pins"))
    adc = root.table("adc")
    power = root.table("power")
    sensors = root.table("sensors")
    led = root.optional_table("led")
    board = Board(
        name=path.stem,
        title=root.text("title"),
        chip=root.text("chip"),
        flash_mib=root.number("flash_mib", 1, 128),
        pins=pins,
        i2c=tuple(
            _finished(t, I2cPins(t.number("id", 0, 7), _pin(t, "scl", pins), _pin(t, "sda", pins)))
            for t in root.tables("i2c")
        ),
        # UART 0 is the console's.
        uarts=tuple(
            _finished(t, UartPins(t.number("id", 1, 7), _pin(t, "tx", pins), _pin(t, "rx", pins)))
            for t in root.tables("uarts")
        ),
        digital=_listed_pins(sensors, "digital", pins),
        analogue=_listed_pins(sensors, "analogue", pins),
        adc_works=frozenset(adc.texts("works")),
        adc_works_beside_wifi=frozenset(adc.texts("works_beside_wifi")),
        led=None if led is None else _led(led, pins),
        consoles=tuple(
            _finished(t, Console(_choice(t, "kind", ConsoleKind), t.text("socket")))
            for t in root.tables("consoles")
        ),
        power={rail: power.text(rail) for rail in ("3V3", "5V", "GND")},
        sources=root.texts("sources"),
    )
    for table in (adc, power, sensors, root):
        table.done()
    return board


def check(board: Board, configuration: Mapping[str, Any]) -> list[Problem]:
    """Return what in `configuration`, the content of a feltpost.json, does not fit `board`.

    It looks at pins and buses only; what else may be wrong in the file the firmware's config.py
    says. The list is empty when everything fits.
    """
    return _Check(board, configuration).run()


def _pins(table: Table) -> dict[int, Pin]:
    pins = {}
    for key in table.left():
        if not key.isdecimal() or int(key) > _MOST_GPIO:
            raise table.error(key, f"must be a GPIO number, 0 to {_MOST_GPIO}")
        row = table.table(key)
        pins[int(key)] = Pin(
            gpio=int(key),
            label=row.text("label"),
            input_only=row.flag("input_only", False),
            adc=row.text("adc", "") or None,
            wakes=row.flag("wakes", False),
            strapping=_optional_choice(row, "strapping", Level),
            taken_by=_optional_choice(row, "taken_by", Taker),
        )
        row.done()
    return pins


def _led(table: Table, pins: Mapping[int, Pin]) -> Led:
    return _finished(table, Led(_pin(table, "pin", pins), table.flag("addressable")))


def _pin(table: Table, key: str, pins: Mapping[int, Pin]) -> int:
    gpio = table.number(key, 0, _MOST_GPIO)
    if gpio not in pins:
        raise table.error(key, f"is {gpio}, which pins does not have")
    return gpio


def _listed_pins(table: Table, key: str, pins: Mapping[int, Pin]) -> tuple[int, ...]:
    listed = table.numbers(key)
    for gpio in listed:
        if gpio not in pins:
            raise table.error(key, f"has {gpio}, which pins does not have")
    return listed


def _choice(table: Table, key: str, kind: type[_Choice]) -> _Choice:
    value = table.text(key)
    try:
        return kind(value)
    except ValueError:
        raise table.error(key, f"is {value!r}, must be one of {', '.join(kind)}") from None


def _optional_choice(table: Table, key: str, kind: type[_Choice]) -> _Choice | None:
    return _choice(table, key, kind) if key in table else None


def _finished(table: Table, made: _Made) -> _Made:
    table.done()
    return made


@dataclass(frozen=True)
class _Use:
    # What a key of the configuration wants of its pin: to drive it, the chip's own pull-up or
    # pull-down, to let it rest high from power on (a pull-up of its own, or a sensor that
    # transmits), to measure a voltage with it, to share it with others that want the same.
    drives: bool = False
    pulled: bool = False
    rests_high: bool = False
    measures: bool = False
    shares: bool = False


# The keys of a configuration that name a pin, by the section whose entries have them.
_PIN_KEYS = {
    "i2c": {
        "scl": _Use(drives=True, rests_high=True),
        "sda": _Use(drives=True, rests_high=True),
    },
    "uart": {"tx": _Use(drives=True), "rx": _Use(rests_high=True)},
    "sensors": {
        "adc": _Use(measures=True),
        "trigger": _Use(drives=True),
        "echo": _Use(),
        "pin": _Use(),
    },
}
# Where a driver wants more of a pin than the others whose key has the same name.
_PIN_KEYS_OF_DRIVER = {
    "contact": {"pin": _Use(pulled=True)},
    "ds18b20": {"pin": _Use(drives=True, rests_high=True, shares=True)},
    "pir": {"pin": _Use(pulled=True)},
    "pulses": {"pin": _Use(pulled=True)},
}

_TAKEN = {
    Taker.FLASH: Fault.FLASH,
    Taker.PSRAM: Fault.PSRAM,
    Taker.CONSOLE: Fault.CONSOLE,
    Taker.USB: Fault.USB,
    Taker.LED: Fault.LED,
}


class _Check:
    # One configuration held against one board.

    def __init__(self, board: Board, configuration: Mapping[str, Any]):
        self._board = board
        self._configuration = configuration
        self._problems: list[Problem] = []
        self._wifi = any(link.get("kind") in _RADIO_LINKS for _, link in self._entries("links"))

    def run(self) -> list[Problem]:
        self._check_ids("i2c", [bus.id for bus in self._board.i2c], Fault.NO_I2C)
        self._check_ids("uart", [uart.id for uart in self._board.uarts], Fault.NO_UART)
        wanted = list(self._wanted())
        users: dict[int, tuple[str, _Use]] = {}
        taken = {gpio for _, gpio, _ in wanted}
        for key, gpio, use in wanted:
            pin = self._board.pins.get(gpio)
            faults = self._faults(pin, use) if pin else [Fault.ABSENT]
            other, its_use = users.setdefault(gpio, (key, use))
            if other != key and not (use.shares and use == its_use):
                faults.append(Fault.TWICE)
            for fault in faults:
                self._report(
                    key,
                    fault,
                    gpio=gpio,
                    label=pin and pin.label,
                    adc=pin and pin.adc,
                    level=pin and pin.strapping and _(pin.strapping),
                    other=other,
                    free=self._free(use, taken),
                )
        return self._problems

    def _check_ids(self, section: str, ids: Sequence[int], fault: Fault) -> None:
        for key, entry in self._entries(section):
            if "id" in entry and entry["id"] not in ids:
                self._report(f"{key}.id", fault, id=entry["id"], ids=", ".join(map(str, ids)))

    def _wanted(self) -> Iterator[tuple[str, int, _Use]]:
        # Every pin that the configuration names, with its key and what is wanted of it.
        for section, uses in _PIN_KEYS.items():
            for path, entry in self._entries(section):
                of_driver = _PIN_KEYS_OF_DRIVER.get(str(entry.get("driver")), {})
                for name, use in (uses | of_driver).items():
                    key = f"{path}.{name}"
                    gpio = entry.get(name)
                    # JSON's true would pass for a number, as bool is an int.
                    if isinstance(gpio, int) and not isinstance(gpio, bool):
                        yield key, gpio, use
                    elif name in entry:
                        self._report(key, Fault.NOT_A_PIN, value=gpio)

    def _entries(self, section: str) -> Iterator[tuple[str, dict[str, Any]]]:
        # What has another shape is left out: the firmware's config.py says so.
        values = self._configuration.get(section)
        for i, value in enumerate(values if isinstance(values, list) else []):
            if isinstance(value, dict):
                yield f"{section}[{i}]", value

    def _faults(self, pin: Pin, use: _Use) -> list[Fault]:
        faults = []
        if pin.taken_by:
            faults.append(_TAKEN[pin.taken_by])
        if pin.input_only and use.drives:
            faults.append(Fault.INPUT_ONLY)
        if pin.input_only and use.pulled:
            faults.append(Fault.NO_PULL)
        if use.measures:
            faults += self._adc_faults(pin.adc)
        if pin.strapping is Level.LOW and use.rests_high:
            faults.append(Fault.STRAPPED_LOW)
        elif pin.strapping is Level.ANY:
            faults.append(Fault.STRAPPING)
        elif pin.strapping:
            faults.append(Fault.STRAPPED)
        return faults

    def _adc_faults(self, adc: str | None) -> list[Fault]:
        if adc is None:
            return [Fault.NO_ADC]
        converter, _, _ = adc.partition("_")
        if converter not in self._board.adc_works:
            return [Fault.ADC_BROKEN]
        if self._wifi and converter not in self._board.adc_works_beside_wifi:
            return [Fault.ADC_WIFI]
        return []

    def _free(self, use: _Use, taken: Set[int]) -> str:
        # Pins that nobody uses and that have no fault for this use, not even a warning.
        free = [
            str(pin.gpio)
            for pin in sorted(self._board.pins.values(), key=lambda pin: pin.gpio)
            if pin.gpio not in taken and not self._faults(pin, use)
        ]
        return ", ".join(free[:_FREE_PINS_NAMED])

    def _report(self, key: str, fault: Fault, **fields: object) -> None:
        self._problems.append(Problem.of(self._board.name, key, fault, **fields))
