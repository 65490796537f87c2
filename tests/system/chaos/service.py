"""The gateway as systemd runs it: started again whenever it ends by itself."""

from __future__ import annotations

import asyncio

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.gateway_process import GatewayProcess


class Service:
    """Keeps a gateway running that a fault may end. ended_itself: with which codes it did."""

    def __init__(self, process: GatewayProcess, checkpoint_bytes: int):
        """process: a running one. checkpoint_bytes: how long the store's log gets."""
        self.process = process
        self._checkpoint = f"checkpoint-at {checkpoint_bytes}"
        process.tell(self._checkpoint)
        self.ended_itself: list[int] = []
        self._armed = False
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._changing = asyncio.Lock()

    async def up(self) -> None:
        """See that it runs."""
        async with self._changing:
            while not self.process.running:
                await self._start()
            self._wanted.set()

    async def kill(self) -> None:
        """End it as a power cut does, until it is to run again."""
        async with self._changing:
            self._wanted.clear()
            await self.process.kill()

    async def stop(self) -> None:
        """Have it end in an orderly way, until it is to run again."""
        async with self._changing:
            self._wanted.clear()
            await self.process.stop()

    def crash_at(self, point: str, nth: int) -> None:
        """Have it die at a point of `gateway_faults`."""
        self._armed = True
        self.process.crash_at(point, nth)

    async def disarm(self) -> None:
        """Have it die at no point any more, and run."""
        if self._armed:
            await self.kill()
        await self.up()

    async def watch(self) -> None:
        """Start it again whenever it ends, for ever."""
        while True:
            await self._wanted.wait()
            code = await self.process.ended()
            if self._wanted.is_set() and not self.process.crashed_at:
                self.ended_itself.append(code)
            if self._wanted.is_set():
                await self.up()

    async def _start(self) -> None:
        self._armed = self._armed and not self.process.crashed_at
        self.process.tell(self._checkpoint)
        try:
            await self.process.start()
        except FeltpostError:
            # It may have died as it was told to, before it was ready.
            if not self.process.crashed_at:
                raise
