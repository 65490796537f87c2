"""A destination's broker for the model: what came to it, what it acknowledged, how it fails."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.gateway.fake_broker import SILENCE, FakeBroker, Published, until
from tests.support.broker import numbers_of

_UNAVAILABLE = 0x88
_NOT_AUTHORIZED = 0x87


@dataclass
class ModelBroker(FakeBroker):
    """Takes and acknowledges all, unless told otherwise.

    `arrivals` are number and value of every reading that it took, in the order of their coming,
    repetitions included; `has` are the numbers that it acknowledged.
    """

    is_away: bool = False
    is_silent: bool = False
    """It takes what comes, and its PUBACKs get lost."""
    owes: bool = False
    """A PUBACK got lost on a connection that is still there."""
    refuses: set[int] = field(default_factory=set)
    """Values that it takes no message with, for good."""
    refused: set[int] = field(default_factory=set)
    """The numbers that it refused at least once."""
    arrivals: list[tuple[int, int]] = field(default_factory=list)
    has: set[int] = field(default_factory=set)
    known_from: int = 0
    """What arrived before that is not known to the gateway any more, unless it is stored."""

    def __post_init__(self) -> None:
        self.judge = self._judge
        self.connack_code = lambda _: _UNAVAILABLE if self.is_away or self._is_shut else 0
        self._is_shut = False
        self._numbers: list[int] = []

    def forget(self) -> None:
        """Note that the gateway begins anew with this destination."""
        self.known_from = len(self.arrivals)

    @property
    def known(self) -> set[int]:
        """The numbers that arrived, answered or not, since the gateway began."""
        return {number for number, _ in self.arrivals[self.known_from :]}

    async def shut(self) -> None:
        """Reset all connections and take no new one; return when none is left."""
        self._is_shut = True
        for writer in self._writers:
            writer.transport.abort()
        await until(lambda: not self.open_connections)
        self.owes = False

    def reopen(self) -> None:
        """Take connections again, unless it is away."""
        self._is_shut = False

    def _parse(self, body: bytes) -> tuple[str, int, bytes]:
        topic, message_id, payload = super()._parse(body)
        properties = Properties(PacketTypes.PUBLISH)
        properties.unpack(body[2 + len(topic.encode()) + 2 :])
        named = dict(properties.UserProperty)
        assert named["journal"] == "7", "the node has one journal"
        self._numbers = numbers_of(named["seq"])
        return topic, message_id, payload

    def _judge(self, message: Published) -> int:
        values = [record["v"] for record in json.loads(message.payload)]
        if self.refuses.intersection(values):
            self.refused.update(self._numbers)
            return _NOT_AUTHORIZED
        self.arrivals += zip(self._numbers, values, strict=True)
        if self.is_silent:
            self.owes = True
            return SILENCE
        self.has.update(self._numbers)
        return 0
