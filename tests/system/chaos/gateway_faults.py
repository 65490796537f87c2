"""What happens to the gateway: it dies, at any moment or at a certain one, or can't write."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from tests.system.chaos.fault import Fault

from feltpost_tools.sim import gateway_faults as points


@dataclass(frozen=True)
class GatewayKilled(Fault):
    KIND = "SIGKILL of the gateway"
    KILLS = 1
    MINUTES = (0, 4)

    async def strike(self, run):
        await run.gateway.up()
        await run.gateway.kill()

    async def heal(self, run):
        await run.gateway.up()


@dataclass(frozen=True)
class GatewayStopped(Fault):
    KIND = "orderly restart of the gateway"
    MINUTES = (0, 4)

    async def strike(self, run):
        await run.gateway.up()
        await run.gateway.stop()

    async def heal(self, run):
        await run.gateway.up()


@dataclass(frozen=True)
class _CrashPoint(Fault):
    KILLS = 1

    point: str
    nth: int

    async def heal(self, run):
        await run.gateway.disarm()


@dataclass(frozen=True)
class CrashInService(_CrashPoint):
    """At a point that the gateway passes all the time."""

    KIND = "gateway dies at a named point"
    MINUTES = (3, 6)

    @classmethod
    def parameters(cls, chance, links):
        point = chance.choice(
            (
                points.AFTER_COMMIT_BEFORE_ANSWER,
                points.AFTER_PUBLISH_BEFORE_PUBACK,
                points.AFTER_PUBACK_BEFORE_CURSOR,
            )
        )
        return {"point": point, "nth": chance.randint(1, 8)}

    async def strike(self, run):
        await run.gateway.up()
        run.gateway.crash_at(self.point, self.nth)


@dataclass(frozen=True)
class CrashInHousekeeping(_CrashPoint):
    """At a point that it passes soon after a start, where there is something to tidy up."""

    KIND = "gateway dies in housekeeping"
    MINUTES = (1, 4)

    @classmethod
    def parameters(cls, chance, links):
        return {"point": chance.choice((points.DURING_PRUNE, points.DURING_VACUUM)), "nth": 1}

    async def strike(self, run):
        await run.gateway.up()
        await run.gateway.kill()
        if self.point == points.DURING_VACUUM:
            run.store.leave_room()
        run.gateway.crash_at(self.point, self.nth)
        await run.gateway.up()


@dataclass(frozen=True)
class WritesFail(Fault):
    KIND = "writes of the store fail"
    MINUTES = (1, 6)

    error: str

    @classmethod
    def parameters(cls, chance, links):
        return {"error": chance.choice(("ENOSPC", "EIO", "EROFS"))}

    async def strike(self, run):
        await run.gateway.up()
        run.gateway.process.fail_writes(getattr(errno, self.error))

    async def heal(self, run):
        await run.gateway.up()
        run.gateway.process.fail_writes(None)


KINDS = (GatewayKilled, GatewayStopped, CrashInService, CrashInHousekeeping, WritesFail)
