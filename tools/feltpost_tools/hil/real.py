"""A real board at a port, or whatever answers there as one does.

The board's own readings, key and configuration are wiped: a bench's boards are for tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from dataclasses import dataclass, field

import serial

from feltpost_gateway.nodes import parse_mac
from feltpost_tools.device import ports, state
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.device.state import BoardState
from feltpost_tools.errors import DeviceError, FeltpostError, NoAnswer, PortUnavailable
from feltpost_tools.faults.disturbance import Disturbance
from feltpost_tools.faults.udp_proxy import UdpProxy
from feltpost_tools.flashing import application, configuration, factory_reset, key
from feltpost_tools.flashing.compile import Application
from feltpost_tools.hil import hub
from feltpost_tools.hil.backend import Backend, Surroundings
from feltpost_tools.hil.identity import Identity
from feltpost_tools.hil.inventory import BoardEntry
from feltpost_tools.hil.lock import BoardLock
from feltpost_tools.sim.gateway_process import Enrolled
from feltpost_tools.sim.tap import Promise, Tap

_OFF_S = 2.0
_PORT_S = 20.0
_LOOK_S = 0.2
_COAP_PORT = 5683
_ADVICE = "Check cable, hub and power, or ask `feltpost doctor`."
# Out of what runs and out of the raw prompt; then what the button does, for a port without lines.
_RESET_BY_PROMPT = b"\r\x03\r\x02import machine\rmachine.reset()\r"


@dataclass
class Tenancy:
    """One session's use of a board, over all its tests: the lock, and what is done once."""

    entry: BoardEntry
    lock: BoardLock
    enrolled: Enrolled | None = field(default=None, repr=False)
    identity: Identity | None = None
    under_way: bool = False

    def begin(self, who: str, wait_s: float) -> None:
        """Take the board; does nothing the second time. Raises BoardBusy."""
        if not self.under_way:
            self.lock.take(who, wait_s)
            self.under_way = True

    async def set_up(self, board: Mpremote, firmware: Application) -> None:
        """Put application and key on the board and find out who it is. Raises a FeltpostError."""
        found = await state.find_out(board.port, goes_on=False)
        _check(found, self.entry)
        assert found.mac
        await application.install(board, firmware)
        made = (await key.ensure(board)).made or await key.read_key(board)
        self.enrolled = Enrolled(self.entry.name, found.mac, made.key_id, made.key)
        self.identity = Identity(
            chip=found.chip or self.entry.chip,
            eui64=parse_mac(found.mac.hex(":")).hex(),
            micropython=".".join(map(str, found.micropython or ())),
            firmware=firmware.version,
            digest=firmware.name,
            simulated=False,
        )

    async def end(self) -> None:
        """Leave the board without key, readings and configuration, and let others have it."""
        if self.enrolled:
            # One that does not answer any more was reported where it mattered.
            with contextlib.suppress(DeviceError):
                await factory_reset.factory_reset(Mpremote(self.entry.port))
        if self.under_way:
            self.lock.release()
            self.under_way = False


class RealBoard(Backend):
    """A board at a port; see docs/hardware-in-the-loop.md for what it must have."""

    interval_s = 5

    def __init__(self, entry: BoardEntry, around: Surroundings, tenancy: Tenancy):
        super().__init__(entry, entry.port, around)
        self._tenancy = tenancy
        self._wifi: UdpProxy | None = None

    async def open(self) -> None:
        """Give it application, configuration and an empty journal, and start it."""
        self.relay.line.plug()
        await self._open_wifi()
        if self._tenancy.identity is None:
            await self._tenancy.set_up(self.mpremote, self.around.application)
        assert self._tenancy.identity
        assert self._tenancy.enrolled
        self.identity, self.enrolled = self._tenancy.identity, self._tenancy.enrolled
        await configuration.write(self.mpremote, self.settings)
        await factory_reset.erase_journal(self.mpremote)
        self.relay.tap = Tap(self.enrolled.key_id, self.enrolled.key, self._promised)
        self.relay.take_port()
        await self.reset()
        await self._until_started()

    async def close(self) -> None:
        """Leave it as it is; the next test makes it new."""
        self.console.close()
        self.relay.close()
        if self._wifi:
            await self._wifi.__aexit__()

    async def reset(self) -> None:
        """Reset it by the port's line RTS, or at the prompt where the port has no such line."""
        self.console.note("reset")
        port = self.relay.port
        if port is None:
            raise self._no_answer("The board's port is gone.")
        try:
            await _pulse(port, native=_native(self.entry.port))
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise self._no_answer(f"It can't be reset: {error.strerror}.") from None
            self.relay.send(_RESET_BY_PROMPT)
        # The chip's own USB may have gone with it.
        await self._retake_port()

    async def power_off(self) -> None:
        """Switch its port of the hub off, see Backend."""
        await self._switch(on=False)
        # What its capacitors hold must be gone, too.
        await asyncio.sleep(_OFF_S)

    async def power_on(self) -> None:
        """Switch its port of the hub on, and wait until its serial port is there."""
        await self._switch(on=True)
        await self._retake_port()

    def now_us(self) -> int:
        """Return this computer's time, which the gateway gives the board."""
        return time.time_ns() // 1000

    async def pass_time(self, duration_s: float) -> None:
        """Wait, see Backend."""
        await asyncio.sleep(duration_s)

    def answers(self, anybody: bool) -> None:
        """Do nothing: a real board finds out by itself."""

    def set_disturbance(self, disturbance: Disturbance | None) -> None:
        """Disturb what the relay carries."""
        carrier = self._wifi or self.relay.line
        carrier.disturbance = disturbance

    async def _open_wifi(self) -> None:
        if self.entry.link != "wifi":
            return
        link = self.entry.site.links[0]
        here = link["host"], link.get("port", _COAP_PORT)
        proxy = UdpProxy(("127.0.0.1", self.around.gateway_port), here)
        try:
            self._wifi = await proxy.__aenter__()
        except OSError as error:
            raise FeltpostError(
                f"board {self.entry.name}: {here[0]} port {here[1]}, to which its site sends it, "
                f"can't be had: {error.strerror}. It must be this computer, at a UDP port that "
                "nobody else has, such as a gateway's service."
            ) from None

    def _promised(self, promise: Promise) -> None:
        ledger, node = self.around.book.ledger, self.enrolled.name
        ledger.acknowledged(node, promise.journal, promise.first, promise.count)

    async def _retake_port(self) -> None:
        # One that comes back has the right to it a moment later, from udev.
        deadline = time.monotonic() + _PORT_S
        while self.relay.port is None:
            try:
                self.relay.take_port()
            except PortUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_LOOK_S)

    async def _switch(self, *, on: bool) -> None:
        if self.entry.power is None:
            raise FeltpostError(
                f"board {self.entry.name}: no power switch is in the inventory; "
                'mark the test with needs("power")'
            )
        self.console.note(f"power {'on' if on else 'off'}")
        await hub.switch(self.entry.power, on)

    async def _until_started(self) -> None:
        try:
            await self.started()
        except TimeoutError as error:
            raise self._no_answer(f"The application does not start: {error}.") from None

    def _no_answer(self, happened: str) -> NoAnswer:
        return NoAnswer(self.entry.port, happened, _ADVICE)


def _check(found: BoardState, entry: BoardEntry) -> None:
    if found.mac is None or found.micropython is None:
        raise NoAnswer(
            entry.port,
            f"MicroPython does not answer ({found.doing}).",
            "Put it on the board with `feltpost flash --no-enrol`, or ask `feltpost doctor`.",
        )
    if not found.has_journal:
        raise NoAnswer(
            entry.port,
            "The board has no partition for a journal.",
            "Make it with `feltpost flash --no-enrol`.",
        )
    if found.has_key and not entry.listed:
        raise FeltpostError(
            f"{entry.port}: the board is a node (key id {found.key_id.hex()}), and tests would "
            "wipe it. Name it in an inventory, which says that it is for tests; or make it a board "
            "again with `feltpost factory-reset`."
        )


async def _pulse(port: serial.Serial, *, native: bool) -> None:
    # It takes half a second to import, and is of use for real ports only.
    from esptool.reset import HardReset

    await asyncio.to_thread(HardReset(port, uses_usb=native).reset)


def _native(port: str) -> bool:
    return any(found.native for found in ports.named([port]))
