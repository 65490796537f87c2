"""Runs on MicroPython: the serial link on its standard streams, sending back every datagram.

It says in diagnostic frames when it is ready and what ended it.
"""

import asyncio
import sys

from feltpost.link_serial import SerialLink

link = SerialLink(sys.stdin.buffer, sys.stdout.buffer)


async def main():
    await link.connect()
    reader = asyncio.create_task(link.run())
    # One turn for the reader to switch the keyboard interrupt off.
    await asyncio.sleep_ms(0)
    link.diagnostic("ready")
    while not reader.done():
        data = await link.receive(100)
        if data:
            link.send(data)


try:
    asyncio.run(main())
    link.diagnostic("ended")
except KeyboardInterrupt:
    link.diagnostic("interrupted")
