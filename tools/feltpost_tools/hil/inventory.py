"""The boards of a bench: a TOML file that says what each is, what is wired to it, and where.

[boards.bench-1]
port = "/dev/serial/by-id/usb-Silicon_Labs_CP2102N_…-if00-port0"
board = "esp32-devkitc"              # of hardware/boards
kit = "indoor-climate"               # of hardware/kits; or [boards.bench-1.wiring]: the sections
                                     # i2c, uart and sensors as in feltpost.json
site = "bench-site.toml"             # links and passwords, as for `feltpost flash`; else serial
power = { hub = "1-1.4", port = 2 }  # as uhubctl calls them
labels = ["outdoor"]

docs/hardware-in-the-loop.md has every key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from feltpost_tools import boards, hardware, kits
from feltpost_tools.errors import DefinitionError, FeltpostError, UsageError
from feltpost_tools.flashing import configuration, site
from feltpost_tools.flashing.site import Site
from feltpost_tools.hardware import Table

SIMULATED = "sim"
SIMULATED_WIFI = "sim-wifi"
ANY_SENSOR = "sensor"
"""What a test needs that does with any sensor."""

_Result = TypeVar("_Result")

_HERE = "hil.toml"
_OWN = Path("~/.config/feltpost/boards.toml")

_LINKS = {"serial": "serial", "udp": "wifi"}
_ON_SERIAL = ({"kind": "serial"},)
_SECTIONS = ("i2c", "uart", "sensors")
# What a simulated board has: the kit that feltpost_tools.sim.kit builds.
_SIMULATED_KIT = "indoor-climate"
_SIMULATED_BOARD = "esp32-devkitc"


@dataclass(frozen=True)
class PowerSwitch:
    """A port of a USB hub that can cut its power: uhubctl's location and number of it."""

    hub: str
    port: int


@dataclass(frozen=True)
class BoardEntry:
    """A board that tests can run on.

    port: "" for a simulated one. chip: esptool's name, "" where nobody said. wiring: the sections
    i2c, uart and sensors of feltpost.json. listed: whether an inventory has it, and so nobody minds
    that it is wiped.
    """

    name: str
    port: str = ""
    chip: str = ""
    wiring: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    site: Site = field(default_factory=lambda: Site(links=_ON_SERIAL))
    power: PowerSwitch | None = None
    labels: frozenset[str] = frozenset()
    listed: bool = False

    @property
    def simulated(self) -> bool:
        """Whether it is no real board."""
        return not self.port

    @property
    def link(self) -> str:
        """How its readings travel: serial or wifi."""
        kind = str(self.site.links[0]["kind"])
        return _LINKS.get(kind, kind)

    @property
    def sensors(self) -> list[str]:
        """The drivers of what is wired to it."""
        return [sensor["driver"] for sensor in self.wiring.get("sensors", ())]

    @property
    def abilities(self) -> frozenset[str]:
        """All that a test may need and it has."""
        power = {"power"} if self.power or self.simulated else set()
        sensors = {ANY_SENSOR, *self.sensors} if self.sensors else set()
        chip = {self.chip.lower()} if self.chip else set()
        return frozenset({self.link}) | power | sensors | chip | self.labels

    def lacks(self, need: str) -> str | None:
        """Return why a test that needs that can't run on it; None where it can."""
        if need in self.abilities:
            return None
        others = sorted(self.abilities - {ANY_SENSOR, *self.sensors})
        wired = ", ".join(self.sensors) or "nothing"
        return f"board {self.name!r} has no {need}; wired: {wired}; else: {', '.join(others)}"

    def configuration(self, links: Sequence[Mapping[str, Any]], interval_s: int) -> dict[str, Any]:
        """Return the content of feltpost.json with its sensors read that often."""
        sensors = [{**s, "interval_s": interval_s} for s in self.wiring.get("sensors", ())]
        return {
            **self.site.options,
            **self.wiring,
            "links": [dict(link) for link in links],
            "sensors": sensors,
        }


def find(names: Sequence[str], path: Path | None) -> list[BoardEntry]:
    """Return the boards that are meant, in order; path: of the inventory, None for none.

    A name is `sim`, `sim-wifi`, one of the inventory, or a port. Raises DefinitionError and
    UsageError.
    """
    # An inventory with a mistake in it is nobody's concern who has no real board.
    all_simulated = set(names) <= {SIMULATED, SIMULATED_WIFI}
    listed = read(path) if path and not all_simulated else {}
    by_port = {os.path.realpath(entry.port): entry for entry in listed.values()}
    found = []
    for name in names:
        if name in (SIMULATED, SIMULATED_WIFI):
            found.append(simulated(name))
        elif name in listed:
            found.append(listed[name])
        elif os.path.realpath(name) in by_port:
            found.append(by_port[os.path.realpath(name)])
        elif "/" in name:
            found.append(BoardEntry(name=Path(name).name, port=name))
        else:
            raise UsageError(_unknown(name, listed, path))
    chosen: dict[str, BoardEntry] = {}
    for entry in found:
        other = chosen.setdefault(entry.name, entry)
        if other.port != entry.port:
            raise UsageError(
                f"--board {entry.port}: would be called {entry.name}, as {other.port} is; give "
                "them names in an inventory"
            )
    return list(chosen.values())


def default(root: Path) -> Path | None:
    """Return the inventory to use where none is named; root: the folder of the tests' project."""
    return next((path for path in (root / _HERE, _OWN.expanduser()) if path.exists()), None)


def simulated(name: str = SIMULATED) -> BoardEntry:
    """Return a simulated board, on Wi-Fi if that is its name."""
    link = {"kind": "udp", "host": "127.0.0.1"} if name == SIMULATED_WIFI else _ON_SERIAL[0]
    return BoardEntry(
        name=name,
        chip="ESP32",
        wiring=_of_kit(_SIMULATED_KIT, _SIMULATED_BOARD),
        site=Site(links=(link,)),
        listed=True,
    )


def read(path: Path) -> dict[str, BoardEntry]:
    """Return the boards of an inventory by name. Raises DefinitionError."""
    root = hardware.read(path)
    tables = root.table("boards")
    entries = {name: _entry(name, tables.table(name), path) for name in tables.left()}
    root.done()
    ports: dict[str, str] = {}
    for entry in entries.values():
        other = ports.setdefault(os.path.realpath(entry.port), entry.name)
        if other != entry.name:
            raise DefinitionError(
                f"{path}: boards.{entry.name}.port: is that of {other}, too; "
                "give each board its own, see /dev/serial/by-id"
            )
    return entries


def _entry(name: str, table: Table, path: Path) -> BoardEntry:
    if name in (SIMULATED, SIMULATED_WIFI):
        raise DefinitionError(
            f"{path}: boards.{name}: is the name of a simulated board; choose another"
        )
    kind = table.text("board", "")
    definition = None
    if kind:
        definition = _checked(table, "board", lambda: boards.load(kind))
    where = table.text("site", "")
    place = Site(links=_ON_SERIAL)
    if where:
        place = _checked(table, "site", lambda: site.read(path.parent / where))
        if not place.links:
            raise table.error("site", f"{where} has no [[links]]; name at least one")
    entry = BoardEntry(
        name=name,
        port=table.text("port"),
        chip=definition.chip if definition else table.text("chip", ""),
        wiring=_wiring(table, kind),
        site=place,
        power=_power(table.optional_table("power")),
        labels=frozenset(table.texts("labels") if "labels" in table else ()),
        listed=True,
    )
    table.done()
    wanted = entry.configuration(place.links, interval_s=60)
    _checked(table, "wiring", lambda: configuration.check(wanted, definition))
    if wanted.get("power", {}).get("mode") == "battery":
        raise table.error("site", f"{where} lets nodes sleep, which tests can't reach then")
    return entry


def _wiring(table: Table, kind: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    if "kit" in table:
        if not kind:
            raise table.error("kit", "needs the key board as well, which says what its pins are")
        kit = table.text("kit")
        return _checked(table, "kit", lambda: _of_kit(kit, kind))
    if "wiring" not in table:
        return {}
    values = table.text_or_values("wiring")
    if isinstance(values, str) or not values.keys() <= set(_SECTIONS):
        raise table.error("wiring", f"has the sections {', '.join(_SECTIONS)} of feltpost.json")
    for rows in values.values():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise table.error("wiring", "each section is a list of tables, as in feltpost.json")
    return values


def _of_kit(kit: str, board: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    expanded = kits.expand(kits.load(kit), boards.load(board), ())
    return {key: rows for key, rows in expanded.items() if key in _SECTIONS}


def _power(table: Table | None) -> PowerSwitch | None:
    if table is None:
        return None
    switch = PowerSwitch(table.text("hub"), table.number("port", 1, 64))
    table.done()
    return switch


def _checked(table: Table, key: str, work: Callable[[], _Result]) -> _Result:
    # What others complain of, with the place in the inventory that led to it.
    try:
        return work()
    except FeltpostError as error:
        raise table.error(key, str(error)) from None


def _unknown(name: str, listed: Mapping[str, BoardEntry], path: Path | None) -> str:
    known = ", ".join([SIMULATED, SIMULATED_WIFI, *listed])
    where = f"the inventory {path}" if path else "no inventory, as there is none (--inventory)"
    return (
        f"--board {name}: no such board; known are {known}, from {where}, or a port such as "
        "/dev/ttyUSB0"
    )
