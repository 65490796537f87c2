"""A simulated board's processor: how it is interrupted."""

import asyncio
import random

from feltpost_tools.sim import interpreter
from feltpost_tools.sim.processor import Processor

TIMES = 60
# Collects garbage nearly all the time, else it waits for the simulator, as boards do; says how it
# took each interrupt.
PROGRAM = """
import gc, os, sys
channel = open(int(os.getenv("FELTPOST_CHANNEL")), "r+b")
kept = [bytearray(16) for _ in range(4000)]
for _ in range({}):
    try:
        print("collects")
        while True:
            for _ in range(5):
                gc.collect()
            channel.write(b"?")
            if channel.read(2) + channel.read(1) != b"abc":
                print("torn")
    except KeyboardInterrupt:
        pass
    try:
        bytearray(64)
        print("interrupted")
    except MemoryError:
        sys.stdout.write("locked\\n")
"""


def test_an_interrupt_leaves_heap_and_channel_as_they_were(tmp_path):
    chance = random.Random(1)
    program = tmp_path / "collect.py"
    program.write_text(PROGRAM.format(TIMES))
    printed = asyncio.Queue()

    def heard(data):
        for word in data.split():
            printed.put_nowait(word)

    def asked(_):
        loop = asyncio.get_running_loop()
        loop.call_later(chance.choice((0, 0.0002)), processor.tell, b"abc")

    processor = Processor(heard, asked)

    async def run():
        await processor.start([*interpreter.find().command, str(program)], {}, tmp_path)
        said = []
        try:
            async with asyncio.timeout(60):
                for _ in range(TIMES):
                    assert await printed.get() == b"collects"
                    # At any point of a collection.
                    await asyncio.sleep(chance.uniform(0, 0.005))
                    processor.interrupt()
                    said.append(await printed.get())
        finally:
            if len(said) < TIMES:
                processor.kill()
            code = await processor.end()
        return said, code

    said, code = asyncio.run(run())
    assert said == [b"interrupted"] * TIMES
    assert code == 0
