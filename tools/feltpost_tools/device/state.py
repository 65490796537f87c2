"""What a board is doing and what is on it, found out without harm.

An application that runs is stopped for a second and then, where it is to go on, started by a reset,
which its journal survives. A board that says nothing may sleep with readings in its RTC memory: it
is not reset.
"""

import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from feltpost_tools.device import console
from feltpost_tools.device.console import Said
from feltpost_tools.device.loader import ChipFound, RomLoader
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import DeviceError

_QUESTIONS_S = 20.0
# What the firmware prints when it is interrupted in safe mode (app.py).
_SAFE_MODE = "safe mode"
_HEARD_CHARACTERS = 400

# Keys are looked at for their being there; none is printed.
_QUESTIONS = """
import gc, json, os, sys
gc.collect()
import esp32, machine

def read(path):
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return None

def blob(name):
    value = bytearray(16)
    try:
        return bytes(value[: nvs.get_blob(name, value)])
    except OSError:
        return b""

def others_files():
    names = set(os.listdir("/")) - {"boot.py"}
    if names & {"feltpost", "slots"}:
        names -= {"main.py", "feltpost", "feltpost.json", "slots", "current", "crash.txt"}
    return sorted(names)

nvs = esp32.NVS("feltpost")
facts = {
    "micropython": sys.implementation[1][:3],
    "machine": sys.implementation[2],
    "mac": machine.unique_id().hex(),
    "key": bool(blob("key")),
    "key_id": blob("key_id").hex(),
    "journal": bool(esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")),
    "crash": read("/crash.txt"),
    "files": others_files(),
}
try:
    os.chdir("/slots/" + (read("/current") or ""))
    import feltpost
    facts["feltpost"] = feltpost.VERSION
    gc.collect()
    from feltpost import config
    facts["left_out"] = config.load().problems
except Exception as error:
    if "feltpost" in facts:
        facts["configuration"] = str(error)
os.chdir("/")
print(json.dumps(facts))
"""


class Doing(StrEnum):
    """What a board is doing."""

    APPLICATION = "application"
    PROMPT = "prompt"
    BOOT_LOOP = "boot-loop"
    LOADER = "loader"
    SILENT = "silent"
    UNREADABLE = "unreadable"
    OTHER = "other"


@dataclass(frozen=True)
class BoardState:
    """What was found out. What nobody could tell is None, or False.

    doing: OTHER is a board that talks but does not come to the prompt. heard: the last of what it
    said by itself. brown_outs: how often it said that its voltage was too low. safe_mode: the
    application ran without sensors, after ten bad boots. chip: esptool's name. micropython: its
    version. feltpost: the application's version. key_id: the node's, b"" for none. has_key: whether
    a key is there. has_journal: whether the flash has the partition. configuration_fault: why the
    configuration can't be used; left_out: what in it can't. crash: the traceback that waits for the
    gateway. files: what is on its file system that is neither MicroPython's nor ours.
    """

    port: str
    doing: Doing
    heard: str = ""
    brown_outs: int = 0
    safe_mode: bool = False
    chip: str | None = None
    mac: bytes | None = None
    micropython: tuple[int, ...] | None = None
    feltpost: str | None = None
    key_id: bytes = b""
    has_key: bool = False
    has_journal: bool = False
    configuration_fault: str | None = None
    left_out: tuple[str, ...] = field(default=())
    crash: str | None = None
    files: tuple[str, ...] | None = None


async def find_out(port: str, *, goes_on: bool = True) -> BoardState:
    """Find out what the board at a port is doing. Raises PortUnavailable or PortLost.

    goes_on: whether an application that ran runs again afterwards; else it stays at the prompt.
    """
    said = await console.ask(port)
    state = BoardState(
        port=port,
        doing=_doing(said),
        heard=said.unasked[-_HEARD_CHARACTERS:],
        brown_outs=said.brown_outs,
        safe_mode=said.interrupted and _SAFE_MODE in said.text,
        chip=_chip(said.machine or ""),
        micropython=said.micropython,
    )
    if said.prompt:
        return await _with_answers(state, goes_on)
    loader = RomLoader(port)
    if state.doing is Doing.BOOT_LOOP:
        # One reset more does it no harm.
        return await _with_chip(state, loader.identify)
    if state.doing in (Doing.SILENT, Doing.LOADER):
        found = await _with_chip(state, loader.look)
        return replace(found, doing=Doing.LOADER) if found.chip else found
    return state


def _doing(said: Said) -> Doing:
    if said.frames or said.interrupted:
        return Doing.APPLICATION
    if said.prompt:
        return Doing.PROMPT
    if said.in_loader:
        return Doing.LOADER
    if said.starts > 1:
        return Doing.BOOT_LOOP
    if not said.text:
        return Doing.SILENT
    return Doing.UNREADABLE if said.unreadable else Doing.OTHER


async def _with_answers(state: BoardState, goes_on: bool) -> BoardState:
    board = Mpremote(state.port)
    try:
        # On a fresh heap: what ran may have left little of it.
        answer = await board.run(_QUESTIONS, timeout_s=_QUESTIONS_S, soft_reset=True)
        return _from_facts(state, json.loads(answer))
    except (DeviceError, ValueError):
        # A prompt that can't be asked is still what was found.
        return state
    finally:
        if goes_on and state.doing is Doing.APPLICATION:
            with contextlib.suppress(DeviceError):
                await board.hard_reset()


def _from_facts(state: BoardState, facts: dict[str, Any]) -> BoardState:
    return replace(
        state,
        chip=_chip(facts["machine"]),
        mac=bytes.fromhex(facts["mac"]),
        micropython=tuple(facts["micropython"]),
        feltpost=facts.get("feltpost"),
        key_id=bytes.fromhex(facts["key_id"]),
        has_key=facts["key"],
        has_journal=facts["journal"],
        configuration_fault=facts.get("configuration"),
        left_out=tuple(facts.get("left_out", ())),
        crash=facts["crash"],
        files=tuple(facts["files"]),
    )


async def _with_chip(state: BoardState, ask: Callable[[], Awaitable[ChipFound]]) -> BoardState:
    try:
        found = await ask()
    except DeviceError:
        return state
    return replace(state, chip=found.name, mac=found.mac)


def _chip(machine: str) -> str | None:
    # MicroPython says "… with ESP32C3" where esptool says ESP32-C3.
    found = re.search(r"\bwith (ESP32)([A-Z]\d+)?", machine)
    return "-".join(filter(None, found.groups())) if found else None
