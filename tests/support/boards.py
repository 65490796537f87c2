"""What tests ask of simulated boards."""

import asyncio

from feltpost_tools.sim.board import Board


async def at_rest(board: Board) -> None:
    """Wait until the board has nothing to do: what it sampled is in its journal then."""
    while not board.at_rest:  # noqa: ASYNC110 - it is, at every turn of the loop but a few
        await asyncio.sleep(0)
