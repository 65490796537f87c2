"""What a disk may hold when the power goes: all that was synced, and any of what was not.

Files and names are apart, as in a file system: a file's content is certain once it was synced, its
name once its directory was. What has not been synced may be there or not, and in any order, by
sectors of 512 bytes; a write changes nothing beside its own bytes (SQLite's "powersafe overwrite").
Calls that change names are each done as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

SECTOR_BYTES = 512


@dataclass(frozen=True)
class Create:
    """A file with that name, empty; `at` is when, in all of these."""

    at: int
    name: str


@dataclass(frozen=True)
class Rename:
    at: int
    name: str
    to: str


@dataclass(frozen=True)
class Unlink:
    at: int
    name: str


@dataclass(frozen=True)
class Write:
    at: int
    name: str
    offset: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    at: int
    name: str
    size: int


@dataclass(frozen=True)
class Sync:
    """fsync or fdatasync, of a file or, where `name` is empty, of the directory.

    It holds for what was done before `begun`.
    """

    at: int
    name: str
    begun: int


Change = Create | Rename | Unlink | Write | Truncate | Sync


class Survives(Enum):
    """What of the changes that were not synced survives."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    FIRST = "the first ones, the last of them torn"
    ANY = "any of them, in any order"


@dataclass
class _File:
    content: bytes = b""
    unsynced: list[Write | Truncate] = field(default_factory=list)


@dataclass(frozen=True)
class _Naming:
    """A change of names: `gone` is no more, and `name` is now that of `file`."""

    at: int
    gone: str | None
    name: str | None
    file: _File

    def do(self, names: dict[str, _File]) -> None:
        if self.gone is not None and names.get(self.gone) is self.file:
            del names[self.gone]
        if self.name is not None:
            names[self.name] = self.file


class Disk:
    """One directory of a disk."""

    def __init__(self, files: dict[str, bytes]) -> None:
        """`files` are on the disk already."""
        self._certain = {name: _File(content) for name, content in files.items()}
        self._names = dict(self._certain)
        self._unsynced: list[_Naming] = []

    @property
    def is_certain(self) -> bool:
        """Whether there is only one thing that the disk may hold."""
        return not self._unsynced and not any(file.unsynced for file in self._names.values())

    @property
    def has_renamed(self) -> bool:
        """Whether a file has got another name, and that is not certain."""
        return any(naming.gone and naming.name for naming in self._unsynced)

    def apply(self, change: Change) -> None:
        """Do what the process did."""
        match change:
            case Create(at, name):
                if name not in self._names:
                    self._rename(_Naming(at, None, name, _File()))
            case Rename(at, name, to):
                self._rename(_Naming(at, name, to, self._names[name]))
            case Unlink(at, name):
                self._rename(_Naming(at, name, None, self._names[name]))
            case Write() | Truncate():
                self._names[change.name].unsynced.append(change)
            case Sync(_, "", begun):
                for naming in self._unsynced:
                    if naming.at < begun:
                        naming.do(self._certain)
                self._unsynced = [naming for naming in self._unsynced if naming.at >= begun]
            case Sync(_, name, begun):
                file = self._names[name]
                done = [change for change in file.unsynced if change.at < begun]
                file.content = _changed(file.content, done)
                file.unsynced = [change for change in file.unsynced if change.at >= begun]

    def _rename(self, naming: _Naming) -> None:
        naming.do(self._names)
        self._unsynced.append(naming)

    def after_power_loss(
        self, contents: Survives, names: Survives, random: Random
    ) -> dict[str, bytes]:
        """Return the files that are there when the power is back."""
        found = dict(self._certain)
        for naming in _survivors(self._unsynced, names, random):
            naming.do(found)
        # Every file has its own luck, and the same under each of its names.
        return {
            name: _changed(file.content, _surviving_changes(file.unsynced, contents, random))
            for name, file in sorted(found.items())
        }


def _survivors(namings: list[_Naming], survives: Survives, random: Random) -> list[_Naming]:
    match survives:
        case Survives.NOTHING:
            return []
        case Survives.EVERYTHING:
            return namings
        case Survives.FIRST:
            return namings[: random.randrange(len(namings) + 1)]
        case Survives.ANY:
            return [naming for naming in namings if random.random() < 0.5]


def _surviving_changes(
    changes: list[Write | Truncate], survives: Survives, random: Random
) -> Iterable[Write | Truncate]:
    match survives:
        case Survives.NOTHING:
            return []
        case Survives.EVERYTHING:
            return changes
        case Survives.FIRST:
            first = changes[: random.randrange(len(changes) + 1)]
            return [*first[:-1], *_torn(first[-1], random)] if first else []
        case Survives.ANY:
            pieces = [piece for change in changes for piece in _sectors(change)]
            chosen = [piece for piece in pieces if random.random() < 0.5]
            random.shuffle(chosen)
            return chosen


def _torn(change: Write | Truncate, random: Random) -> list[Write | Truncate]:
    sectors = _sectors(change)
    return sectors[: random.randrange(len(sectors) + 1)]


def _sectors(change: Write | Truncate) -> list[Write | Truncate]:
    """Cut a write where sectors begin."""
    if isinstance(change, Truncate):
        return [change]
    first = SECTOR_BYTES - change.offset % SECTOR_BYTES
    cuts = [0, *range(first, len(change.data), SECTOR_BYTES), len(change.data)]
    return [
        Write(change.at, change.name, change.offset + begin, change.data[begin:end])
        for begin, end in zip(cuts, cuts[1:], strict=False)
    ]


def _changed(content: bytes, changes: Iterable[Write | Truncate]) -> bytes:
    changed = bytearray(content)
    for change in changes:
        if isinstance(change, Truncate):
            del changed[change.size :]
            changed.extend(bytes(change.size - len(changed)))
        else:
            # What lies between the end of a file and a write beyond it reads as zeros.
            changed.extend(bytes(max(0, change.offset - len(changed))))
            changed[change.offset : change.offset + len(change.data)] = change.data
    return bytes(changed)
