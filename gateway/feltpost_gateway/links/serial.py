"""CoAP over slipmux on a serial port that comes and goes.

The port is opened when its path appears, closed when it vanishes, and opened again. Diagnostics
and console text of the board go to the log.
"""

import asyncio
import contextlib
import os
from collections import deque
from pathlib import Path

import serial
from aiocoap.messagemanager import MessageManager

from feltpost_gateway.config import SerialConfig
from feltpost_gateway.links.base import Link, LinkAddress, Take
from feltpost_gateway.logs import EventLog
from feltpost_gateway.slipmux import Coap, Console, Decoder, Diagnostic, Item, encode_coap

_POLL_S = 0.5
_IDLE_S = 0.25
_READ_BYTES = 4096
_OUTPUT_MAX_FRAMES = 64


class SerialLink(Link):
    """One serial port."""

    def __init__(self, manager: MessageManager, take: Take, config: SerialConfig) -> None:
        super().__init__(manager, take, EventLog("serial"))
        self._config = config
        self._loop = asyncio.get_running_loop()
        self._port: serial.Serial | None = None
        self._fd = -1
        self._openings = 0
        self._address = LinkAddress((), config.port)
        self._decoder = Decoder()
        self._idle: asyncio.TimerHandle | None = None
        self._output: deque[bytes] = deque()
        self._open_if_there()
        self._watcher = asyncio.create_task(self._watch(), name=f"watch {config.port}")

    @property
    def is_open(self) -> bool:
        """Whether the port is there and open."""
        return self._port is not None

    def send_bytes(self, message: bytes, address: LinkAddress) -> None:
        """Queue a message; where the queue is full, CoAP's retransmission helps."""
        if self._port is None or address != self._address:
            self._log.limited((self._config.port,), "unsent", port=self._config.port)
        elif len(self._output) >= _OUTPUT_MAX_FRAMES:
            self._log.limited((self._config.port,), "output-full", port=self._config.port)
        else:
            self._output.append(encode_coap(message))
            self._write()

    async def shutdown(self) -> None:
        """Close the port and stop looking for it."""
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher
        self._close("gateway stops")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            if self._port is None:
                self._open_if_there()
            elif not self._is_same_device():
                self._close("its path is gone or leads to another device")
                self._open_if_there()

    def _is_same_device(self) -> bool:
        try:
            return Path(self._config.port).stat().st_rdev == os.fstat(self._fd).st_rdev
        except OSError:
            return False

    def _open_if_there(self) -> None:
        if not Path(self._config.port).exists():
            return
        port = serial.Serial()
        port.port = self._config.port
        port.baudrate = self._config.baud
        port.timeout = 0
        port.exclusive = True
        # On ESP32 boards these two lines are wired to reset and boot mode.
        port.dtr = False
        port.rts = False
        try:
            port.open()
        except (serial.SerialException, OSError, ValueError) as error:
            self._log.limited(
                (self._config.port, str(error)), "not-opened", port=self._config.port, error=error
            )
            return
        self._port = port
        self._fd = port.fileno()
        self._openings += 1
        # Message ids start anew with a board that was plugged in, so it is another peer.
        self._address = LinkAddress(
            ("serial", self._config.port, self._openings), self._config.port
        )
        self._decoder = Decoder()
        self._loop.add_reader(self._fd, self._read)
        self._log.info("opened", port=self._config.port)

    def _close(self, reason: str) -> None:
        port, self._port = self._port, None
        if port is None:
            return
        self._stop_idle_timer()
        self._output.clear()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with contextlib.suppress(serial.SerialException, OSError):
            port.close()
        self._log.info("closed", port=self._config.port, reason=reason)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(str(error))
            return
        if not data:
            self._close("hang-up")
            return
        self._stop_idle_timer()
        bad_before = self._decoder.bad_frames
        self._handle(self._decoder.feed(data))
        if self._decoder.bad_frames > bad_before:
            self._log.limited(
                (self._config.port,),
                "bad-frame",
                port=self._config.port,
                total=self._decoder.bad_frames,
            )
        if self._decoder.in_frame:
            # Bytes that wait while the loop is busy are read before a timer that ran out
            # meanwhile fires, so the gateway's own delays don't cost a frame.
            self._idle = self._loop.call_later(_IDLE_S, self._abandon)

    def _abandon(self) -> None:
        self._handle(self._decoder.abandon())

    def _stop_idle_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _handle(self, items: list[Item]) -> None:
        for item in items:
            match item:
                case Coap(message):
                    self.received(message, self._address)
                case Diagnostic(text):
                    self._log.info("diagnostic", port=self._config.port, text=text.rstrip())
                case Console(text):
                    self._log.debug("console", port=self._config.port, text=text.rstrip())

    def _write(self) -> None:
        while self._output:
            try:
                written = os.write(self._fd, self._output[0])
            except BlockingIOError:
                self._loop.add_writer(self._fd, self._write)
                return
            except OSError as error:
                self._close(str(error))
                return
            rest = self._output.popleft()[written:]
            if rest:
                self._output.appendleft(rest)
        self._loop.remove_writer(self._fd)
