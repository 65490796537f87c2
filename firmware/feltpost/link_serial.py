"""The link over the console's serial line, which it shares with console text by slipmux.

Its reader is also what keeps the prompt within reach: while frames are read the keyboard interrupt
is off, and a 0x03 outside a frame does what the interrupt would have done.
"""

import asyncio
import select
from time import ticks_diff, ticks_ms

import micropython
from micropython import const

from . import link, slip

_INTERRUPT = const(0x03)
_INTERRUPT_OFF = const(-1)

_FRAME_SILENCE_MS = const(250)
# At 115,200 bit/s the line brings 58 bytes meanwhile; the ESP32 keeps 260.
_FRAME_LOOK_MS = const(5)
# Other tasks get their turn after so many bytes, however fast they come.
_BURST_BYTES = const(256)

# One being received, one being read by the client, one waiting between them.
_BUFFERS = const(3)
_DIAGNOSTIC_CHARACTERS = const(200)


class SerialLink:
    """Datagrams as slipmux frames on the streams ``stdin`` and ``stdout`` (binary).

    run() must be running for anything to be received.
    """

    name = "serial"
    mtu = link.MTU

    def __init__(self, stdin, stdout):
        self._stdin = stdin
        self._stdout = stdout
        self._out = memoryview(bytearray(slip.encoded_bytes(link.MTU)))
        self._free = [bytearray(link.ANSWER_BYTES) for _ in range(_BUFFERS)]
        self._decoder = slip.Decoder(self._free.pop())
        self._waiting = []
        self._held = None
        self._arrived = asyncio.Event()

    async def connect(self):
        """Forget what arrived before; the line itself needs nothing."""
        self._drop()

    def send(self, data):
        """Send one datagram as a frame."""
        self._write(slip.COAP, data)

    def diagnostic(self, text):
        """Send a line of text for people, cut to 200 characters, as a diagnostic frame."""
        self._write(slip.DIAGNOSTIC, (text[:_DIAGNOSTIC_CHARACTERS] + "\n").encode())

    async def receive(self, timeout_ms):
        """Return the next datagram, or None after timeout_ms."""
        self._free_held()
        if not self._waiting:
            self._arrived.clear()
            try:
                await asyncio.wait_for_ms(self._arrived.wait(), timeout_ms)
            except asyncio.TimeoutError:
                return None
        self._held, length = self._waiting.pop(0)
        return memoryview(self._held)[:length]

    def close(self):
        """Forget what arrived. The reader goes on: the way to the prompt stays open."""
        self._drop()

    def release(self):
        """Give the console back to the keyboard interrupt, for when run() has been abandoned."""
        micropython.kbd_intr(_INTERRUPT)

    async def run(self):
        """Read the line for ever. Raise KeyboardInterrupt at a 0x03 outside a frame, and EOFError
        where a line can end.
        """
        micropython.kbd_intr(_INTERRUPT_OFF)
        try:
            await self._read()
        finally:
            self.release()

    async def _read(self):
        poller = select.poll()
        poller.register(self._stdin, select.POLLIN)
        byte = bytearray(1)
        heard_ms = ticks_ms()
        while True:
            if self._decoder.inside:
                # Looking again instead of waiting for input tells silence on the line from this
                # task's having been kept from reading: only what is not there was not sent.
                await asyncio.sleep_ms(_FRAME_LOOK_MS)
            else:
                await link.readable(self._stdin)
            silent = True
            burst = _BURST_BYTES
            while burst and _ready(poller):
                if not self._stdin.readinto(byte):
                    raise EOFError("console closed")
                silent = False
                burst -= 1
                self._take(byte[0])
            now_ms = ticks_ms()
            if not silent:
                heard_ms = now_ms
            elif ticks_diff(now_ms, heard_ms) > _FRAME_SILENCE_MS:
                self._decoder.reset()

    def _take(self, byte):
        decoder = self._decoder
        event = decoder.feed(byte)
        if event == slip.FRAME:
            # Without a free buffer the frame is dropped, and CoAP retransmits it.
            if self._free:
                self._waiting.append((decoder.buf, decoder.length))
                decoder.buf = self._free.pop()
                self._arrived.set()
        elif event == slip.OUTSIDE and byte == _INTERRUPT:
            raise KeyboardInterrupt

    def _write(self, kind, data):
        length = slip.encode(kind, data, self._out)
        self._stdout.write(self._out[:length])

    def _free_held(self):
        if self._held is not None:
            self._free.append(self._held)
            self._held = None

    def _drop(self):
        self._free_held()
        while self._waiting:
            self._free.append(self._waiting.pop()[0])


def _ready(poller):
    for _ in poller.ipoll(0):
        return True
    return False
