"""Goes before the node's own main.py on a board under measurement: a task that tells its heap.

Every simulated hour the heap is collected and what MicroPython says of it goes to the console.
"""

import asyncio
import gc

import micropython

_HOUR_S = 3600


async def _watch():
    while True:
        await asyncio.sleep(_HOUR_S)
        gc.collect()
        micropython.mem_info()


# It waits in asyncio's queue until the node starts, which then runs it beside its own tasks.
asyncio.create_task(_watch())
