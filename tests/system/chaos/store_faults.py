"""What happens to the gateway's files while it is down: bits that flip, a log that is cut short.

What a damaged store may cost is said in docs/durability.md, "When the file is damaged".
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from tests.system.chaos.fault import Fault, minutes

# Reasons of gaps, docs/durability.md.
_UNSEEN, _UNREADABLE, _DAMAGED = 0, 5, 7


@dataclass(frozen=True)
class _WhileDown(Fault):
    """The gateway is killed while readings wait for the broker, and started again at the end.

    backlog_s: for how long they have waited.
    """

    KILLS = 1
    MINUTES = (0, 3)

    backlog_s: int
    seed: int

    @classmethod
    def parameters(cls, chance, links):
        return {"backlog_s": minutes(chance, 2, 15), "seed": chance.getrandbits(16)}

    async def strike(self, run):
        await run.gateway.up()
        run.rig.mqtt.refuse()
        run.rig.mqtt.cut()
        await run.passes(self.backlog_s)
        await run.gateway.kill()
        self.damage(run)

    async def heal(self, run):
        run.rig.mqtt.accept()
        await run.gateway.up()

    @abstractmethod
    def damage(self, run):
        """Do it."""


@dataclass(frozen=True)
class DatabaseBits(_WhileDown):
    KIND = "bits flipped in the gateway's database"

    bits: int

    @classmethod
    def parameters(cls, chance, links):
        return super().parameters(chance, links) | {"bits": chance.choice((1, 4, 16, 64))}

    def damage(self, run):
        run.store_damaged(_UNREADABLE, _DAMAGED)
        run.store.flip(self.bits, self.seed)


@dataclass(frozen=True)
class LogTruncated(_WhileDown):
    KIND = "WAL truncated"

    def damage(self, run):
        run.store_damaged(_UNSEEN, _UNREADABLE, _DAMAGED)
        run.store.truncate_log(self.seed)


KINDS = (DatabaseBits, LogTruncated)
