"""A thousand nodes in one process of MicroPython (light_nodes_mp.py), as seen from outside."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feltpost_tools.errors import FeltpostError
from feltpost_tools.flashing.compile import firmware_source
from feltpost_tools.sim.gateway_process import Enrolled
from feltpost_tools.sim.interpreter import Interpreter

_SCRIPT = Path(__file__).with_name("light_nodes_mp.py")
# fake_board.py is what firmware has for a board where there is none.
_FAKES = Path(__file__).parents[1] / "firmware"
# Nothing is collected until that is full, so it must take what all nodes allocate.
_HEAP_KIB_PER_NODE = 400
_LINE_MOST_BYTES = 1 << 20
# A boot skips what is left of its block of sequence numbers (firmware/feltpost/reserve.py).
_SEQUENCE_BLOCK = 128


@dataclass(frozen=True)
class Outcome:
    """What the nodes did from the moment that they got power until all of them were served.

    datagrams: requests that were sent, retransmissions included. exchanges: requests that were
    needed. unanswered: exchanges that were given up. hasty: retransmissions that came earlier than
    RFC 7252 section 4.2 lets them. codes: answers by code, as on the wire. in_a_row: how many nodes
    at most sent their first request one after the other as they stand, which all of them do that
    don't wait for a time of their own. served_ms: since they got power, one for each node.
    """

    datagrams: int
    exchanges: int
    unanswered: int
    hasty: int
    codes: dict[int, int]
    in_a_row: int
    served_ms: list[int]

    @property
    def amplification(self) -> float:
        """How many datagrams it took for each request that was needed."""
        return self.datagrams / self.exchanges


class LightNodes:
    """The nodes of a building: ``prepare``, ``power_on`` and ``served``, once for each boot."""

    def __init__(self, interpreter: Interpreter, nodes: Sequence[Enrolled], port: int):
        """port: the gateway's, on the loopback interface."""
        self._interpreter = interpreter
        self._nodes = nodes
        self._port = port
        self._sequences = [0] * len(nodes)
        self._boot = 0
        self._process: asyncio.subprocess.Process | None = None

    async def prepare(self, readings: int, kept_from_ms: int, interval_ms: int) -> int:
        """Have all nodes ready to boot, each with so many readings; return their journal's number.

        The readings are of four channels; the first four were taken at kept_from_ms (Unix time).
        """
        self._boot += 1
        self._process = await asyncio.create_subprocess_exec(
            *self._interpreter.command,
            "-X",
            f"heapsize={_HEAP_KIB_PER_NODE * len(self._nodes)}K",
            str(_SCRIPT),
            env={**os.environ, "MICROPYPATH": f"{firmware_source()}:{_FAKES}:.frozen"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_MOST_BYTES,
        )
        self._tell(
            {
                "port": self._port,
                "journal": self._boot,
                "boot": self._boot,
                "readings": readings,
                "kept_from_ms": kept_from_ms,
                "interval_ms": interval_ms,
                "nodes": [
                    (node.key_id.hex(), node.key.hex(), sequence)
                    for node, sequence in zip(self._nodes, self._sequences, strict=True)
                ],
            }
        )
        await self._line()
        return self._boot

    def power_on(self) -> None:
        """Give power to all of them at the same moment."""
        self._tell(None)

    async def served(self) -> Outcome:
        """Return what they did, once the gateway has all that they had for it; they end then."""
        answer = json.loads(await self._line())
        assert self._process is not None
        await self._process.wait()
        self._process = None
        self._sequences = [number + _SEQUENCE_BLOCK for number in answer.pop("sequences")]
        codes = {int(code): count for code, count in answer.pop("codes").items()}
        return Outcome(codes=codes, **answer)

    async def close(self) -> None:
        """End them wherever they are."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()

    def _tell(self, message: Any) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _line(self) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise FeltpostError("the light nodes' MicroPython has ended; why is above")
        return line
