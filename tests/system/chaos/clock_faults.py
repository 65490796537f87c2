"""What happens to the gateway's clock: it is set wrong for a while, or not set at a start."""

from __future__ import annotations

from dataclasses import dataclass

from tests.system.chaos.fault import Fault

_HOUR_S = 3600


@dataclass(frozen=True)
class ClockWrong(Fault):
    KIND = "gateway's clock steps"
    MINUTES = (2, 5)

    error_s: int

    @classmethod
    def parameters(cls, chance, links):
        most_s = chance.choice((5, 90, _HOUR_S, 30 * _HOUR_S))
        return {"error_s": chance.randint(-most_s, most_s)}

    async def strike(self, run):
        run.set_gateway_clock(self.error_s)

    async def heal(self, run):
        run.set_gateway_clock(0)


@dataclass(frozen=True)
class ClockAtItsBeginning(Fault):
    """The gateway starts in 1970, as a computer without a battery does, and is set later."""

    KIND = "gateway starts in 1970"
    KILLS = 1
    MINUTES = (1, 6)

    async def strike(self, run):
        await run.gateway.up()
        await run.gateway.kill()
        run.reset_gateway_clock()
        await run.gateway.up()

    async def heal(self, run):
        run.set_gateway_clock(0)


KINDS = (ClockWrong, ClockAtItsBeginning)
