"""Cuts the power of a recorded run at many moments, and opens what a disk may hold then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.gateway.disks import in_memory
from tests.gateway.power_loss.disk import Disk, Survives, Sync
from tests.gateway.power_loss.known import Known
from tests.gateway.power_loss.recording import Event, HandedOver, Told

from feltpost_gateway.store import Store

# What survives of contents, and of names.
_CHOICES = (
    (Survives.NOTHING, Survives.NOTHING),
    (Survives.EVERYTHING, Survives.EVERYTHING),
    (Survives.NOTHING, Survives.EVERYTHING),
    (Survives.EVERYTHING, Survives.NOTHING),
    (Survives.FIRST, Survives.FIRST),
    (Survives.FIRST, Survives.ANY),
    (Survives.NOTHING, Survives.ANY),
    (Survives.EVERYTHING, Survives.ANY),
    (Survives.ANY, Survives.FIRST),
    (Survives.ANY, Survives.ANY),
)
# More where a file has got another name: which of several renames survive is what matters then.
_RENAMED = ((Survives.NOTHING, Survives.ANY),) * 12


@dataclass
class Counts:
    """What a replay has gone through."""

    boundaries: int = 0
    states: int = 0
    readings: int = 0

    def __str__(self) -> str:
        return (
            f"{self.boundaries} sync boundaries, {self.states} states opened,"
            f" {self.readings} readings looked for"
        )


@dataclass(frozen=True)
class Moment:
    """Between two events of a run: what the disk may hold, and what had been told."""

    number: int
    disk: Disk
    known: Known


@dataclass
class Replay:
    """The events of a run that began with `files` in the store's directory.

    `known` is what was told before it, `take` what notes more. `look` is shown the directory after
    the store was opened, and raises `AssertionError` where something is wrong.
    """

    events: Sequence[Event]
    files: dict[str, bytes]
    store: str
    known: Known
    take: Callable[[Known, Told | HandedOver], None]
    look: Callable[[Path], None]
    counts: Counts = field(default_factory=Counts)

    async def run(self, seed: int, share: float) -> None:
        """Open a share of all states, chosen by `seed`; raise `AssertionError` for a wrong one.

        Where a file has just been given another name, all of them are opened.
        """
        random = Random(seed)
        for moment in self._moments(random, share):
            for turn, (contents, names) in enumerate(_choices(moment.disk)):
                # The same for each state, however many others were opened before it.
                luck = f"{seed} {moment.number} {turn}"
                if random.random() >= share and not moment.disk.has_renamed:
                    continue
                files = moment.disk.after_power_loss(contents, names, Random(luck))
                try:
                    self.counts.readings += await self._check(files, moment.known)
                except Exception as error:
                    raise AssertionError(
                        f"power loss after event {moment.number} of {len(self.events)},"
                        f" contents: {contents.value}, names: {names.value}, seed {seed}: {error}"
                    ) from error
                self.counts.states += 1

    def _moments(self, random: Random, share: float) -> Iterator[Moment]:
        """Return the moments just before and after each sync, and some of those between."""
        disk = Disk(self.files)
        between = share / 10
        for number, event in enumerate(self.events):
            is_sync = isinstance(event, Sync)
            if is_sync or random.random() < between or disk.has_renamed:
                yield Moment(number, disk, self.known)
            if isinstance(event, Told | HandedOver):
                self.take(self.known, event)
            else:
                disk.apply(event)
            if is_sync:
                self.counts.boundaries += 1
                yield Moment(number + 1, disk, self.known)

    async def _check(self, files: dict[str, bytes], known: Known) -> int:
        """Open the store as a gateway does that finds these files, and compare it with `known`.

        Returns how many readings were looked for.
        """
        with in_memory() as directory:
            path = directory / self.store
            await open_and_close(path, files)
            self.look(directory)
            return known.check(path)


def _choices(disk: Disk) -> Sequence[tuple[Survives, Survives]]:
    if disk.is_certain:
        return _CHOICES[:1]
    return (*_CHOICES, *_RENAMED) if disk.has_renamed else _CHOICES


async def open_and_close(path: Path, files: dict[str, bytes]) -> None:
    """Have the gateway's store found among `files`, opened, and closed again."""
    for file, content in files.items():
        path.with_name(file).write_bytes(content)
    store = Store(path)
    await store.open()
    await store.close()
