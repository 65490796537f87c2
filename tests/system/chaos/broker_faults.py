"""What happens at and on the way to the broker. Timers there run by real time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.system.chaos.fault import Fault


@dataclass(frozen=True)
class BrokerKilled(Fault):
    """What it had in memory is gone; its sessions too."""

    KIND = "SIGKILL of the broker"
    KILLS = 1
    MINUTES = (1, 5)

    async def strike(self, run):
        await run.broker_up()
        await run.rig.broker.kill()

    async def heal(self, run):
        await run.broker_up()


@dataclass(frozen=True)
class BrokerStopped(Fault):
    KIND = "broker away"
    MINUTES = (1, 6)

    async def strike(self, run):
        await run.rig.broker.stop()

    async def heal(self, run):
        await run.broker_up()


@dataclass(frozen=True)
class BrokerForgets(Fault):
    KIND = "broker loses its sessions"
    MINUTES = (0, 4)

    async def strike(self, run):
        await run.rig.broker.stop()
        run.rig.broker.forget()

    async def heal(self, run):
        await run.broker_up()


@dataclass(frozen=True)
class HalfOpen(Fault):
    """Bytes are taken and go nowhere; in the end the connection is reset, as by a firewall."""

    KIND = "half-open connection to the broker"
    MINUTES = (1, 6)

    async def strike(self, run):
        run.rig.mqtt.stall()

    async def heal(self, run):
        run.rig.mqtt.resume()
        run.rig.mqtt.cut()


@dataclass(frozen=True)
class PubacksMissing(Fault):
    """Kept back and given in the end, or lost, upon which the connection is reset."""

    KIND = "PUBACKs missing"
    MINUTES = (1, 6)

    what: Literal["held", "dropped"]

    @classmethod
    def parameters(cls, chance, links):
        return {"what": chance.choice(("held", "dropped"))}

    async def strike(self, run):
        if self.what == "held":
            run.rig.mqtt.hold_pubacks()
        else:
            run.rig.mqtt.drop_pubacks()

    async def heal(self, run):
        run.rig.mqtt.release_pubacks()
        if self.what == "dropped":
            run.rig.mqtt.cut()


@dataclass(frozen=True)
class ConnectionCut(Fault):
    """Again and again: each new connection is reset for a while."""

    KIND = "connection to the broker cut"
    MINUTES = (0, 4)

    async def strike(self, run):
        run.rig.mqtt.refuse()
        run.rig.mqtt.cut()

    async def heal(self, run):
        run.rig.mqtt.accept()


KINDS = (BrokerKilled, BrokerStopped, BrokerForgets, HalfOpen, PubacksMissing, ConnectionCut)
