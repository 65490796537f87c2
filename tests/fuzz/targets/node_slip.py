"""The node's slipmux decoder: what it takes is taken again, and a frame gets through afterwards."""

from __future__ import annotations

import random

from tests.fuzz.micropython import NodeTarget
from tests.fuzz.targets.slipmux import Slipmux

from feltpost_gateway.slipmux import Coap, Decoder


class NodeSlip(NodeTarget):
    decoder = "slip"
    tokens = Slipmux.tokens
    executions = 200

    def __init__(self) -> None:
        super().__init__()
        self._grammar = Slipmux()

    def generate(self, rng: random.Random) -> bytes:
        return self._grammar.generate(rng)

    def check(self, data: bytes, said: str) -> None:
        # What the node takes for a message, the gateway would take for one as well.
        _, *frames = said.strip().split(" ")
        gateway = [item.message for item in Decoder().feed(data) if isinstance(item, Coap)]
        rest = iter(gateway)
        assert all(bytes.fromhex(frame) in rest for frame in frames), (frames, gateway)
