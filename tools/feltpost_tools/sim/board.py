"""One simulated board: real MicroPython with the real firmware, and the hardware around it."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feltpost_gateway import slipmux
from feltpost_tools.sim import channel
from feltpost_tools.sim.air import Air
from feltpost_tools.sim.channel import Kind
from feltpost_tools.sim.chipflash import BOOTLOADER, ChipFlash, NotBootable, micropython
from feltpost_tools.sim.clock import monotonic_us
from feltpost_tools.sim.console import SerialLine
from feltpost_tools.sim.flash import BLOCK_BYTES, NorFlash, PowerCut
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.lines import Line
from feltpost_tools.sim.nvs import Nvs
from feltpost_tools.sim.parts import Part
from feltpost_tools.sim.radio import Radio
from feltpost_tools.sim.rom import Loader
from feltpost_tools.sim.rtc import RtcMemory, WriteTorn
from feltpost_tools.sim.world import ANSWER_WAIT_US, World

_TICKS_PERIOD = 1 << 30
_CTRL_C = 0x03
_NO_INTERRUPT = -1
# What the shims and the prompt take of the heap (30 kB without asyncio, 32-bit); on a board the
# like is in flash. It is given on top, so that heap_kib means what it means on a board.
_SHIMS_KIB = 29
_CHUNK = 65_536

_JOURNAL_PARTITION = "journal"

# The date at which a board without battery starts, 2000-01-01, Unix time.
_POWER_ON_MS = 946_684_800_000

# How soon a Ctrl-C that came while the file system was at work comes again.
_AGAIN_S = 0.02
# How soon a chip that can't start tries again; its watchdog takes that long.
_LOOP_S = 0.3

# Exit codes with which a board asks for a soft reset, see shims/boot.py.
_SOFT_RESET = 64
_SOFT_RESET_RAW = 66

# What machine.reset_cause() tells (MicroPython's ports/esp32/modmachine.c), for a brown-out too.
_CAUSE_POWER_ON = 1
_CAUSE_HARD = 2
_CAUSE_WATCHDOG = 3
_CAUSE_DEEP_SLEEP = 4
_CAUSE_SOFT = 5

# What machine.wake_reason() tells after a deep sleep that the timer ended, and otherwise.
_WOKEN_BY_TIMER = 4
_NOT_WOKEN = 0


@dataclass(frozen=True)
class Hardware:
    """What a board is made of.

    mac: six bytes. heap_kib: what the application has of MicroPython's heap. parts: what its
    pins and buses lead to, by place. journal_blocks: the flash partition "journal" in blocks of
    4 KiB, 0 for a board without one. crystal_ppm: how much too fast its clock runs, parts per
    million; sleep_ppm: the same in deep sleep. epoch:
    the year from which its time.time() counts, 2000 as on the ESP32 or 1970.
    """

    mac: bytes
    heap_kib: int
    parts: Mapping[str, Part]
    journal_blocks: int = 0
    crystal_ppm: int = 0
    sleep_ppm: int = 0
    epoch: int = 2000


@dataclass(frozen=True)
class _Restart:
    # The chip stops at once and boots again with that cause, after deep sleep once the simulated
    # time is due_us (None: never).
    cause: int
    asleep: bool = False
    due_us: int | None = None


class Board:
    """A board in its folder: its flash in ``chip.flash``, NVS in ``nvs.json``, logs beside them.

    It comes with MicroPython in its flash and an empty file system. NVS is apart from the flash,
    but goes when its place there is erased. The board takes part in a World's clock from power_on()
    to power_off(), deep sleep included. RTC memory and the time of day go on as long as it has
    power.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        hardware: Hardware,
        image: Image,
        interpreter: Interpreter,
        world: World,
    ):
        self.name = name
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.nvs = Nvs(folder / "nvs.json")
        new = not (folder / "chip.flash").exists()
        self.chip = ChipFlash(folder, hardware.journal_blocks)
        if new:
            version = ".".join(map(str, interpreter.version))
            self.chip.put(BOOTLOADER, micropython(version, hardware.journal_blocks))
        self.flash: NorFlash | None = self.chip.journal if hardware.journal_blocks else None
        self.rtc = RtcMemory()
        self.line = SerialLine(folder / "tty", self._from_line)
        self.air: Air | None = None
        self._hardware = hardware
        self._image = image
        self._interpreter = interpreter
        self._world = world
        self._console_log = (folder / "console.log").open("ab", buffering=0)
        # One of these is there while it has power: MicroPython, the loader in the chip's ROM, or
        # the timer of a chip that starts over and over; and what is about to become one of them.
        self._process: asyncio.subprocess.Process | None = None
        self._loader: Loader | None = None
        self._loop_timer: asyncio.TimerHandle | None = None
        self._starting: asyncio.Task[None] | None = None
        self._boot_held = False
        self._version = ""
        self._supervisor: asyncio.Task[None] | None = None
        self._channel: socket.socket | None = None
        self._stdin = self._stdout = -1
        self._received = bytearray()
        self._at_rest = False
        self.died = asyncio.Event()
        self._due_us: int | None = None
        self._doorbells = 0
        self._boot_us = self._power_us = 0
        self._reset_cause = _CAUSE_POWER_ON
        # Why the process is being ended, while it is; what ends a deep sleep.
        self._restart: _Restart | None = None
        self._awake = asyncio.Event()
        self._watchdog_ms = 0
        self._watchdog_us: int | None = None
        self._watchdog_timer: asyncio.TimerHandle | None = None
        # By pin: which edges interrupt the board, and up to when it has been told of them.
        self._armed: dict[int, tuple[int, int]] = {}
        self._interrupt = _NO_INTERRUPT
        self._again: asyncio.TimerHandle | None = None
        self._sent = slipmux.Decoder()
        self._answered = slipmux.Decoder()
        self.answer_awaited_until_us = 0

    # Set-up

    def install(self, configuration: Mapping[str, Any]) -> None:
        """Make its file system anew, with the firmware and a configuration on it."""
        blocks = self.chip.files.blocks
        files = self._image.files(self._interpreter, blocks, configuration)
        self.chip.put(self.chip.files_start, files)

    def enrol(self, key_id: bytes, key: bytes) -> None:
        """Put a key into its NVS."""
        self.nvs.put("feltpost/key", key)
        self.nvs.put("feltpost/key_id", key_id)
        self.nvs.commit()

    def join(self, gateway: tuple[str, int]) -> int:
        """Bring the board within reach of a gateway's UDP port; return the port to send to."""
        self.air = Air(
            gateway,
            self._world.clock.now_us,
            self._request_sent,
            self._deliver_datagram,
            self._no_answer_expected,
        )
        return self.air.port

    # Power

    async def power_on(self) -> None:
        """Start the board; ``died`` is set when it ends by itself."""
        self.died.clear()
        self._lose_power()
        await self._start()
        self._world.add(self)

    async def power_off(self) -> None:
        """Cut the power, at once and whatever it is doing."""
        if not self.running:
            return
        self._world.remove(self)
        if self._starting:
            await self._starting
        self._leave_rom()
        # More than once where it was just booting.
        while self._process is not None:
            process, supervisor = self._process, self._supervisor
            self._process = None
            self._feed_watchdog(0)
            if process.returncode is None:
                process.kill()
            self._awake.set()
            if supervisor:
                await supervisor
        self.nvs.revert()

    def brown_out(self, seed: int = 0) -> None:
        """Let the supply voltage dip: the chip boots again, and RTC memory is damaged.

        To the firmware it is a power-on. A board in deep sleep does not notice.
        """
        if self._channel is None:
            return
        self._kill(_Restart(_CAUSE_POWER_ON))
        self.rtc.decay(seed)
        self._power_us = self._world.clock.now_us()

    def reset(self) -> None:
        """Reset the chip as its watchdog does, at once and whatever it is doing."""
        if self._channel is not None:
            self._kill(_Restart(_CAUSE_WATCHDOG))

    def press_reset(self, boot_held: bool = False) -> None:
        """Press the button EN, which is a power-on to the chip, with the button BOOT held or not.

        With it the chip starts the loader in its ROM, which esptool speaks to.
        """
        if not self.running:
            return
        asleep = self.in_deep_sleep
        self._boot_held = boot_held
        self._lose_power()
        if self._process is None:
            self._leave_rom()
            self._starting = asyncio.create_task(self._start())
            return
        restart = _Restart(_CAUSE_POWER_ON)
        if asleep:
            self._restart = restart
            self._awake.set()
        else:
            self._kill(restart)

    @property
    def in_loader(self) -> bool:
        """Whether it runs the loader in its ROM."""
        return self._loader is not None

    @property
    def in_boot_loop(self) -> bool:
        """Whether it starts over and over, since nothing in its flash can be started."""
        return self._loop_timer is not None

    @property
    def in_deep_sleep(self) -> bool:
        """Whether it has power and its processor has none."""
        return self._restart is not None and self._restart.asleep and self._channel is None

    async def close(self) -> None:
        """Power off and take the cable and the air away."""
        await self.power_off()
        if self.line.plugged:
            self.line.unplug()
        if self.air:
            self.air.close()
            self.air = None
        self.chip.close()
        self._console_log.close()

    @property
    def running(self) -> bool:
        """Whether the board has power."""
        return bool(self._process or self._loader or self._loop_timer or self._starting)

    async def _start(self) -> None:
        # What the chip does when it comes out of a reset.
        self._at_rest = False
        if self._boot_held:
            self._loader = Loader(
                self.chip.chip, self._hardware.mac, self._print, self._from_loader, self._erased
            )
        else:
            try:
                self._version = self.chip.micropython()
            except NotBootable as error:
                self._start_over(str(error))
            else:
                await self._boot()
        self._starting = None

    def _start_over(self, message: str) -> None:
        # Nobody in the run has to wait for it.
        self._due_us = None
        self._at_rest = True
        self._print(message.encode())
        loop = asyncio.get_running_loop()
        self._loop_timer = loop.call_later(_LOOP_S, self._start_over, message)

    def _leave_rom(self) -> None:
        self._loader = None
        if self._loop_timer:
            self._loop_timer.cancel()
            self._loop_timer = None

    def _from_loader(self) -> None:
        # The loader was asked to start what is in the flash.
        self.press_reset()

    def _erased(self) -> None:
        # NVS, with the flash it lies in.
        self.nvs.forget()

    async def _boot(self, raw: bool = False) -> None:
        inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        stdin_read, self._stdin = os.pipe()
        self._stdout, stdout_write = os.pipe()
        with (self.folder / "stderr.log").open("ab") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *self._interpreter.command,
                "-X",
                f"heapsize={self._hardware.heap_kib + _SHIMS_KIB}K",
                str(self._image.shims / "boot.py"),
                cwd=self.folder,
                env={
                    "MICROPYPATH": f"{self._image.shims}:.frozen",
                    "FELTPOST_SHIMS": str(self._image.shims),
                    "FELTPOST_CHANNEL": str(inside.fileno()),
                    "FELTPOST_FLASH": str(self.chip.path),
                    "FELTPOST_FILES": f"{self.chip.files_start} {self.chip.files.blocks}",
                    "FELTPOST_VERSION": self._version,
                    "FELTPOST_RAW": str(int(raw)),
                    "FELTPOST_EPOCH": str(self._hardware.epoch),
                    "TZ": "UTC",
                },
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=stderr,
                pass_fds=(inside.fileno(),),
            )
        inside.close()
        os.close(stdin_read)
        os.close(stdout_write)
        outside.setblocking(False)
        os.set_blocking(self._stdin, False)
        os.set_blocking(self._stdout, False)
        self._channel = outside
        self._boot_us = self._world.clock.now_us()
        self._received.clear()
        # A reset may have come in the middle of a frame.
        self._sent = slipmux.Decoder()
        self._answered = slipmux.Decoder()
        self._armed.clear()
        self._at_rest = False
        self._doorbells = 0
        # Until MicroPython says otherwise, as it does when it is about to run something.
        self._interrupt = _NO_INTERRUPT
        self._interrupt_again(wanted=False)
        if self.air:
            self.air.radio.reset()
        self.answer_awaited_until_us = 0
        loop = asyncio.get_running_loop()
        loop.add_reader(outside, self._from_channel)
        loop.add_reader(self._stdout, self._from_stdout)
        # The board's clock starts at its offset; it reads this before anything else.
        self._ring()
        self._supervisor = asyncio.create_task(self._supervise(self._process))

    async def _supervise(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._from_stdout()
        loop = asyncio.get_running_loop()
        assert self._channel is not None
        loop.remove_reader(self._channel)
        loop.remove_reader(self._stdout)
        self._channel.close()
        self._channel = None
        os.close(self._stdin)
        os.close(self._stdout)
        if process is not self._process:
            return
        if code in (_SOFT_RESET, _SOFT_RESET_RAW):
            self._reset_cause = _CAUSE_SOFT
            await self._boot(raw=code == _SOFT_RESET_RAW)
        elif self._restart:
            await self._boot_again(process, self._restart)
        else:
            # It died: from here on it is like a board without power.
            self._process = None
            self._feed_watchdog(0)
            self._world.remove(self)
            self.died.set()

    # Resets and deep sleep

    def _lose_power(self) -> None:
        self._reset_cause = _CAUSE_POWER_ON
        self._restart = None
        self._power_us = self._world.clock.now_us()
        self.rtc.lose()

    def _kill(self, restart: _Restart | None) -> None:
        # Stop the processor at once, as a reset does: no handler of the application runs.
        assert self._process is not None
        self._restart = restart
        self._at_rest = False
        if self._process.returncode is None:
            self._process.kill()

    async def _boot_again(self, process: asyncio.subprocess.Process, restart: _Restart) -> None:
        self._feed_watchdog(0)
        self.nvs.revert()
        if restart.asleep:
            self.answer_awaited_until_us = 0
            self._awake.clear()
            self._due_us = restart.due_us
            self._at_rest = True
            self._world.changed()
            await self._awake.wait()
            if process is not self._process:
                return
            # A button may have been pressed meanwhile.
            restart = self._restart or restart
        self._restart = None
        self._reset_cause = restart.cause
        self._process = None
        self._starting = asyncio.current_task()
        await self._start()

    def _sleep_deeply(self, duration_ms: int) -> None:
        # As on the ESP32, no duration is for ever.
        due_us = None
        if duration_ms:
            # Its RC oscillator counts the duration, and the time of day goes by it meanwhile.
            counted_us = duration_ms * 1000
            duration_us = counted_us * 1_000_000 // (1_000_000 + self._hardware.sleep_ppm)
            self._power_us -= counted_us - duration_us
            due_us = self._world.clock.now_us() + duration_us
        self._kill(_Restart(_CAUSE_DEEP_SLEEP, asleep=True, due_us=due_us))

    def _feed_watchdog(self, timeout_ms: int) -> None:
        # Start it, feed it, or with 0 stop it, which only a reset can.
        self._watchdog_us = None
        if timeout_ms:
            self._watchdog_us = self._world.clock.now_us() + timeout_ms * 1000
            if self._watchdog_timer is None:
                self._watch(timeout_ms / 1000)
        elif self._watchdog_timer:
            self._watchdog_timer.cancel()
            self._watchdog_timer = None

    def _watch(self, delay_s: float) -> None:
        self._watchdog_timer = asyncio.get_running_loop().call_later(delay_s, self._check_watchdog)

    def _check_watchdog(self) -> None:
        # A board that is busy finds no rest at which the world's clock could end its time.
        self._watchdog_timer = None
        if self._watchdog_us is None or self._bitten():
            return
        self._watch((self._watchdog_us - self._world.clock.now_us()) / 1e6)

    def _bitten(self) -> bool:
        # Reset the board when it has not fed its watchdog in time; return whether it has not.
        if self._watchdog_us is None or self._world.clock.now_us() < self._watchdog_us:
            return False
        self._feed_watchdog(0)
        self._kill(_Restart(_CAUSE_WATCHDOG))
        return True

    # Its part in the world's clock

    @property
    def at_rest(self) -> bool:
        """Whether the board waits for its time or for input."""
        return self._at_rest

    @property
    def due_us(self) -> int | None:
        """Until when it waits, simulated Unix microseconds; None: until input comes."""
        edge = self._next_edge()
        ends = (self._due_us, self._watchdog_us, edge and edge[0])
        return min((end for end in ends if end is not None), default=None)

    def wake(self) -> None:
        """Tell the board that its time has come."""
        self._at_rest = False
        if self.in_deep_sleep:
            self._awake.set()
        elif not self._bitten() and not self._tell_edges():
            self._tell(channel.wake(*self._offsets()))

    def collect_output(self) -> None:
        """Take in all that the board has sent up to now."""
        self._from_stdout()
        if self.air:
            self.air.collect()

    def _offsets(self) -> tuple[int, int]:
        uptime_us = self._world.clock.now_us() - self._boot_us
        since_boot_us = self._world.clock.offset_us - self._boot_us
        # The board adds its own monotonic clock, so what its crystal gains is told as offset.
        gained_us = uptime_us * self._hardware.crystal_ppm // 1_000_000
        ticks_offset = ((since_boot_us + gained_us) // 1000) % _TICKS_PERIOD
        powered_ms = (self._world.clock.now_us() - self._power_us) // 1000
        return ticks_offset, powered_ms - time.time_ns() // 1_000_000

    def _input(self, put: Callable[[], None]) -> None:
        # Give the board input: first the clock, then the input, then the doorbell.
        if self._channel is None:
            return
        self._world.before_input()
        self._at_rest = False
        put()
        self._ring()

    def _ring(self) -> None:
        self._doorbells += 1
        self._tell(channel.doorbell(*self._offsets()))

    def _tell(self, message: bytes) -> None:
        if self._channel is None:
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # A board that has just died is told nothing any more.
            self._channel.send(message)

    def _from_channel(self) -> None:
        assert self._channel is not None
        try:
            message = self._channel.recv(_CHUNK)
        except (BlockingIOError, ConnectionResetError):
            return
        if self._restart:
            # It was reset meanwhile.
            return
        self._received += message
        self._tell_edges()
        for item in channel.split(self._received):
            if isinstance(item, channel.Rest):
                self._go_to_rest(item)
            else:
                self._tell(self._serve(item))

    def _go_to_rest(self, rest: channel.Rest) -> None:
        if rest.doorbells != self._doorbells & 0xFFFF:
            # It went to rest before it had seen the newest input; it will notice.
            return
        self._due_us = None
        if rest.limit_ms is not None:
            pace = 1_000_000 + self._hardware.crystal_ppm
            self._due_us = self._world.clock.now_us() + rest.limit_ms * 1_000_000_000 // pace
        self._at_rest = True
        self._world.changed()

    # Interrupts

    def _arm(self, pin: int, trigger: int) -> None:
        self._armed.pop(pin, None)
        if trigger and isinstance(self._hardware.parts.get(f"pin{pin}"), Line):
            self._armed[pin] = trigger, self._world.clock.now_us()

    def _next_edge(self) -> tuple[int, int] | None:
        # When and at which pin the next interrupt comes; none, in deep sleep.
        edges = []
        for pin, (trigger, told_us) in self._armed.items() if self._channel else ():
            line = self._hardware.parts[f"pin{pin}"]
            assert isinstance(line, Line)
            edge_us = line.next_edge_us(told_us, trigger)
            if edge_us is not None:
                edges.append((edge_us, pin))
        return min(edges, default=None)

    def _tell_edges(self) -> bool:
        # Tell the board of all edges that have come by now; return whether there were any.
        told = False
        while (edge := self._next_edge()) and edge[0] <= self._world.clock.now_us():
            edge_us, pin = edge
            self._armed[pin] = self._armed[pin][0], edge_us
            self._at_rest = False
            self._doorbells += 1
            self._tell(channel.interrupt(*self._offsets(), pin))
            told = True
        return told

    # Hardware

    def _serve(self, request: channel.Request) -> bytes:
        payload = request.payload
        match request.kind:
            case Kind.PART:
                return self._ask_part(request)
            case Kind.PIN_INTERRUPT:
                self._arm(*payload)
                return channel.reply(request)
            case Kind.UNIQUE_ID:
                return channel.reply(request, self._hardware.mac)
            case Kind.RESET_CAUSE:
                woken = self._reset_cause == _CAUSE_DEEP_SLEEP
                wake_reason = _WOKEN_BY_TIMER if woken else _NOT_WOKEN
                return channel.reply(request, bytes((self._reset_cause, wake_reason)))
            case Kind.NVS_GET:
                value = self.nvs.get(payload[1:].decode())
                return _found(request, value)
            case Kind.NVS_PUT:
                name_end = 2 + payload[1]
                self.nvs.put(payload[2:name_end].decode(), payload[name_end:])
                return channel.reply(request)
            case Kind.NVS_ERASE:
                return _found(request, b"" if self.nvs.erase(payload.decode()) else None)
            case Kind.NVS_COMMIT:
                self.nvs.commit()
                return channel.reply(request)
            case Kind.FLASH_SIZE:
                size = 0
                if payload.decode() == _JOURNAL_PARTITION in self.chip.partitions():
                    size = self.chip.journal.blocks * BLOCK_BYTES
                return channel.reply(request, struct.pack("<I", size))
            case Kind.FILES_WRITE | Kind.FILES_ERASE:
                return self._use_flash(request, self.chip.files)
            case Kind.FLASH_READ | Kind.FLASH_WRITE | Kind.FLASH_ERASE if self.flash:
                return self._use_flash(request, self.flash)
            case Kind.WLAN_STATE | Kind.WLAN_JOIN | Kind.WLAN_LEAVE if self.air:
                return self._use_radio(request, self.air.radio)
            case Kind.KEYBOARD_INTERRUPT:
                (self._interrupt,) = struct.unpack("<b", payload)
                # What was meant for the code that ran before is not for the next.
                self._interrupt_again(wanted=False)
                return channel.reply(request)
            case Kind.INTERRUPT_AGAIN:
                self._interrupt_again(wanted=payload == b"\x01")
                return channel.reply(request)
            case Kind.DATE_SET:
                (date_ms,) = struct.unpack("<q", payload)
                self._power_us = self._world.clock.now_us() - (date_ms - _POWER_ON_MS) * 1000
                self._ring()
                return channel.reply(request)
            case Kind.RTC_READ:
                return channel.reply(request, self.rtc.read())
            case Kind.RTC_WRITE:
                length, start = struct.unpack_from("<HH", payload)
                try:
                    self.rtc.take(length, start, payload[4:])
                except WriteTorn:
                    self._kill(_Restart(_CAUSE_WATCHDOG))
                return channel.reply(request)
            case Kind.WATCHDOG:
                self._feed_watchdog(*struct.unpack("<I", payload))
                return channel.reply(request)
            case Kind.HARD_RESET:
                self._kill(_Restart(_CAUSE_HARD))
                return channel.reply(request)
            case Kind.DEEP_SLEEP:
                self._sleep_deeply(*struct.unpack("<I", payload))
                return channel.reply(request)
            case _:
                return channel.reply(request, errno=errno.ENOSYS)

    def _use_flash(self, request: channel.Request, flash: NorFlash) -> bytes:
        block, position, count = struct.unpack_from("<HHH", request.payload + bytes(4))
        try:
            match request.kind:
                case Kind.FLASH_READ:
                    return channel.reply(request, flash.read(block, position, count))
                case Kind.FLASH_WRITE | Kind.FILES_WRITE:
                    flash.write(block, position, request.payload[4:])
                case _:
                    flash.erase(block)
        except PowerCut:
            # The chip stopped in the middle, and so must the processor, before it hears of it.
            self._kill(None)
        return channel.reply(request)

    def _use_radio(self, request: channel.Request, radio: Radio) -> bytes:
        match request.kind:
            case Kind.WLAN_STATE:
                return channel.reply(request, radio.state())
            case Kind.WLAN_JOIN if not radio.join(request.payload):
                return channel.reply(request, errno=errno.ENOSYS)
            case Kind.WLAN_LEAVE:
                radio.leave()
        return channel.reply(request)

    def _ask_part(self, request: channel.Request) -> bytes:
        place_end = 1 + request.payload[0]
        part = self._hardware.parts.get(request.payload[1:place_end].decode())
        if part is None:
            return channel.reply(request, errno=errno.ENODEV)
        try:
            answer = part.serve(request.payload[place_end:], self._world.clock.now_us())
        except OSError as error:
            return channel.reply(request, errno=error.errno or errno.EIO)
        return channel.reply(request, answer)

    # Console and links

    def _from_stdout(self) -> None:
        if self._channel is None:
            return
        try:
            data = os.read(self._stdout, _CHUNK)
        except (BlockingIOError, OSError):
            return
        if not data:
            return
        for item in self._sent.feed(data):
            if isinstance(item, slipmux.Coap) and self.line.plugged:
                self._request_sent()
        self._print(data)

    def _print(self, data: bytes) -> None:
        self.line.send(data)
        self._console_log.write(data)

    def _from_line(self, data: bytes) -> None:
        if self._loader:
            self._to_loader(self._loader, data)
        if self._process is None or self._channel is None:
            return
        if self._interrupt == _CTRL_C and _CTRL_C in data:
            data = data.replace(bytes((_CTRL_C,)), b"")
            self._send_interrupt()
        answers = [i for i in self._answered.feed(data) if isinstance(i, slipmux.Coap)]
        if answers:
            self._no_answer_expected()
        elif not self._answered.in_frame:
            # Somebody types, or a tool does, and has its time-outs in real time.
            self._request_sent()
        if data:
            self._input(lambda: self._type(data))

    def _to_loader(self, loader: Loader, data: bytes) -> None:
        try:
            loader.feed(data)
        except PowerCut:
            self._leave_rom()
            self._world.remove(self)
            self.died.set()

    def _interrupt_again(self, wanted: bool) -> None:
        if self._again:
            self._again.cancel()
            self._again = None
        if wanted:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_S, self._send_interrupt)

    def _send_interrupt(self) -> None:
        if self._process and self._channel and self._interrupt == _CTRL_C:
            self._process.send_signal(signal.SIGINT)

    def _type(self, data: bytes) -> None:
        # A board that does not read loses input, as when a UART's buffer runs over.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._stdin, data)

    def _request_sent(self) -> None:
        self.answer_awaited_until_us = monotonic_us() + ANSWER_WAIT_US

    def _no_answer_expected(self) -> None:
        self.answer_awaited_until_us = 0
        self._world.changed()

    def _deliver_datagram(self, put: Callable[[], None]) -> None:
        self._no_answer_expected()
        self._input(put)


def _found(request: channel.Request, value: bytes | None) -> bytes:
    if value is None:
        return channel.reply(request, errno=errno.ENOENT)
    return channel.reply(request, value)
