"""One simulated board: real MicroPython with the real firmware, and the hardware around it."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feltpost_tools.sim import channel, launch
from feltpost_tools.sim.air import Air
from feltpost_tools.sim.board_clock import BoardClock
from feltpost_tools.sim.boot_rom import BootRom
from feltpost_tools.sim.channel import Kind, Request
from feltpost_tools.sim.chipflash import BOOTLOADER, ChipFlash, micropython
from feltpost_tools.sim.console import SerialLine
from feltpost_tools.sim.exchanges import Exchanges
from feltpost_tools.sim.flash import NorFlash, PowerCut
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.interrupts import PinInterrupts
from feltpost_tools.sim.keyboard import KeyboardInterrupts
from feltpost_tools.sim.launch import Launcher
from feltpost_tools.sim.nvs import Nvs
from feltpost_tools.sim.peripherals import Peripherals
from feltpost_tools.sim.processor import Processor
from feltpost_tools.sim.resets import Cause, Restart
from feltpost_tools.sim.rom import BROWN_OUT
from feltpost_tools.sim.rtc import RtcMemory, WriteTorn
from feltpost_tools.sim.watchdog import Watchdog
from feltpost_tools.sim.world import World

if TYPE_CHECKING:
    from feltpost_tools.sim.tap import Tap


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
        self.rtc = RtcMemory()
        self._exchanges = Exchanges(world.changed)
        self.line = SerialLine(
            folder / "tty", self._from_line, self._exchanges.none_expected, world.later
        )
        self._hardware = hardware
        self._launcher = Launcher(interpreter, image, hardware, self.chip)
        self._world = world
        self._clock = BoardClock(hardware, world.clock)
        self._peripherals = Peripherals(hardware, self.chip, self.nvs, self.rtc)
        self._interrupts = PinInterrupts(hardware.parts)
        self._watchdog = Watchdog(world.clock, self._bite)
        self._keyboard = KeyboardInterrupts(self._interrupt)
        self._console_log = (folder / "console.log").open("ab", buffering=0)
        # One of these is there while it has power: MicroPython (kept through deep sleep), the
        # loader in the chip's ROM, or the timer of a chip that starts over and over; and what is
        # about to become one of them.
        self._processor: Processor | None = None
        self._rom = BootRom(self.chip, hardware.mac, self._print, self.press_reset, self.nvs.forget)
        self._starting: asyncio.Task[None] | None = None
        self._boot_held = False
        self._version = ""
        self._supervisor: asyncio.Task[None] | None = None
        self._received = bytearray()
        self._at_rest = False
        self.died = asyncio.Event()
        self._due_us: int | None = None
        self._doorbells = 0
        self._reset_cause = Cause.POWER_ON
        # Why the process is being ended, while it is; what ends a deep sleep.
        self._restart: Restart | None = None
        self._awake = asyncio.Event()

    # Set-up

    def install(self, configuration: Mapping[str, Any]) -> None:
        """Make its file system anew, with the firmware and a configuration on it."""
        blocks = self.chip.files.blocks
        launcher = self._launcher
        files = launcher.image.files(launcher.interpreter, blocks, configuration)
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
            self._exchanges.request_sent,
            self._deliver_datagram,
            self._exchanges.none_expected,
            self._world.later,
        )
        return self.air.port

    @property
    def flash(self) -> NorFlash | None:
        """The flash partition of its journal; None for none."""
        return self.chip.journal

    @property
    def air(self) -> Air | None:
        """The Wi-Fi networks around the board; None for none."""
        return self._peripherals.air

    @air.setter
    def air(self, air: Air | None) -> None:
        self._peripherals.air = air

    @property
    def tap(self) -> "Tap | None":
        """What is shown the messages on its cable; None for nobody."""
        return self._exchanges.tap

    @tap.setter
    def tap(self, tap: "Tap | None") -> None:
        self._exchanges.tap = tap

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
        self._rom.leave()
        # More than once where it was just booting.
        while self._processor is not None:
            processor, supervisor = self._processor, self._supervisor
            self._processor = None
            self._watchdog.stop()
            processor.kill()
            self._awake.set()
            if supervisor:
                await supervisor
        self.nvs.revert()

    def set_date(self, date_ms: int) -> None:
        """Set the date, Unix milliseconds, while the application runs."""
        self._input(lambda: self._clock.set_date(date_ms))

    def brown_out(self, seed: int = 0) -> None:
        """Let the supply voltage dip: the chip boots again, and RTC memory is damaged.

        To the firmware it is a power-on. A board in deep sleep does not notice.
        """
        if not self._awake_now:
            return
        self._kill(Restart(Cause.POWER_ON))
        self._print(BROWN_OUT)
        self.rtc.decay(seed)
        self._clock.power_on()

    def reset(self) -> None:
        """Reset the chip as its watchdog does, at once and whatever it is doing."""
        if self._awake_now:
            self._bite()

    def press_reset(self, boot_held: bool = False) -> None:
        """Press the button EN, which is a power-on to the chip, with the button BOOT held or not.

        With it the chip starts the loader in its ROM, which esptool speaks to.
        """
        if not self.running:
            return
        asleep = self.in_deep_sleep
        self._boot_held = boot_held
        self._lose_power()
        if self._processor is None:
            self._rom.leave()
            self._starting = asyncio.create_task(self._start())
            return
        restart = Restart(Cause.POWER_ON)
        if asleep:
            self._restart = restart
            self._awake.set()
        else:
            self._kill(restart)

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
        return bool(self._processor or self._rom.running or self._starting)

    @property
    def in_loader(self) -> bool:
        """Whether it runs the loader in its ROM."""
        return self._rom.in_loader

    @property
    def in_boot_loop(self) -> bool:
        """Whether it starts over and over, since nothing in its flash can be started."""
        return self._rom.in_loop

    @property
    def in_deep_sleep(self) -> bool:
        """Whether it has power and its processor has none."""
        return self._restart is not None and self._restart.asleep and not self._awake_now

    @property
    def _awake_now(self) -> bool:
        return self._processor is not None and self._processor.open

    async def _start(self) -> None:
        # What the chip does when it comes out of a reset.
        self._at_rest = False
        version = self._rom.start(self._boot_held)
        if version:
            self._version = version
            await self._boot()
        else:
            # Nobody in the run has to wait for what is in the ROM.
            self._due_us = None
            self._at_rest = self._rom.in_loop
        self._starting = None

    # MicroPython, from boot to its end

    async def _boot(self, raw: bool = False) -> None:
        self._processor = Processor(self._from_stdout, self._from_channel)
        environment = self._launcher.environment(self._version, raw)
        await self._processor.start(self._launcher.command(), environment, self.folder)
        self._clock.boot()
        self._received.clear()
        self._exchanges.begin()
        self._interrupts.clear()
        self._at_rest = False
        self._doorbells = 0
        # Until MicroPython says otherwise, as it does when it is about to run something.
        self._keyboard.off()
        if self.air:
            self.air.radio.reset()
        # The board's clock starts at its offset; it reads this before anything else.
        self._ring()
        self._supervisor = asyncio.create_task(self._supervise(self._processor))

    async def _supervise(self, processor: Processor) -> None:
        code = await processor.end()
        if processor is not self._processor:
            return
        if launch.asks_for_soft_reset(code):
            self._reset_cause = Cause.SOFT
            await self._boot(raw=launch.asks_for_raw_prompt(code))
        elif self._restart:
            await self._boot_again(processor, self._restart)
        else:
            # It died: from here on it is like a board without power.
            self._processor = None
            self._watchdog.stop()
            self._world.remove(self)
            self.died.set()

    # Resets and deep sleep

    def _lose_power(self) -> None:
        self._reset_cause = Cause.POWER_ON
        self._restart = None
        self._clock.power_on()
        self.rtc.lose()

    def _bite(self) -> None:
        self._kill(Restart(Cause.WATCHDOG))

    def _kill(self, restart: Restart | None) -> None:
        assert self._processor is not None
        self._restart = restart
        self._at_rest = False
        self._processor.kill()

    async def _boot_again(self, processor: Processor, restart: Restart) -> None:
        self._watchdog.stop()
        self.nvs.revert()
        if restart.asleep:
            self._exchanges.begin()
            self._awake.clear()
            self._due_us = restart.due_us
            self._at_rest = True
            self._world.changed()
            await self._awake.wait()
            if processor is not self._processor:
                return
            # A button may have been pressed meanwhile.
            restart = self._restart or restart
        self._restart = None
        self._reset_cause = restart.cause
        self._processor = None
        self._starting = asyncio.current_task()
        await self._start()

    def _sleep_deeply(self, duration_ms: int) -> None:
        # As on the ESP32, no duration is for ever.
        due_us = self._clock.sleep_until_us(duration_ms) if duration_ms else None
        self._kill(Restart(Cause.DEEP_SLEEP, asleep=True, due_us=due_us))

    # Its part in the world's clock

    @property
    def at_rest(self) -> bool:
        """Whether the board waits for its time or for input."""
        return self._at_rest

    @property
    def due_us(self) -> int | None:
        """Until when it waits, simulated Unix microseconds; None: until input comes."""
        # In deep sleep no pin is looked at.
        edge_us = self._interrupts.next_us() if self._awake_now else None
        ends = (self._due_us, self._watchdog.due_us, edge_us)
        return min((end for end in ends if end is not None), default=None)

    @property
    def answer_awaited_until_us(self) -> int:
        """Until when, in real time, an answer to the board is waited for."""
        return self._exchanges.awaited_until_us

    def wake(self) -> None:
        """Tell the board that its time has come."""
        self._at_rest = False
        if self.in_deep_sleep:
            self._awake.set()
        elif not self._watchdog.bitten() and not self._tell_edges():
            self._tell(channel.wake(*self._clock.offsets_ms()))

    def collect_output(self) -> None:
        """Take in all that the board has sent up to now."""
        if self._processor:
            self._processor.collect_output()
        if self.air:
            self.air.collect()

    def _input(self, put: Callable[[], None]) -> None:
        # Give the board input: first the clock, then the input, then the doorbell.
        if not self._awake_now:
            return
        self._world.before_input()
        self._at_rest = False
        put()
        self._ring()

    def _ring(self) -> None:
        self._doorbells += 1
        self._tell(channel.doorbell(*self._clock.offsets_ms()))

    def _tell(self, message: bytes) -> None:
        if self._processor:
            self._processor.tell(message)

    def _tell_edges(self) -> bool:
        # Tell the board of all edges that have come by now; return whether there were any.
        told = False
        for pin in self._interrupts.take(self._world.clock.now_us()) if self._awake_now else ():
            self._at_rest = False
            self._doorbells += 1
            self._tell(channel.interrupt(*self._clock.offsets_ms(), pin))
            told = True
        return told

    def _go_to_rest(self, rest: channel.Rest) -> None:
        if rest.doorbells != self._doorbells & 0xFFFF:
            # It went to rest before it had seen the newest input; it will notice.
            return
        limit_ms = rest.limit_ms
        self._due_us = None if limit_ms is None else self._clock.rest_until_us(limit_ms)
        self._at_rest = True
        self._world.changed()

    # What its shims ask for

    def _from_channel(self, message: bytes) -> None:
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

    def _serve(self, request: Request) -> bytes:
        try:
            if not self._control(request):
                return self._answer(request)
        except PowerCut:
            # The chip stopped in the middle, and so must the processor, before it hears of it.
            self._kill(None)
        except WriteTorn:
            self._bite()
        return channel.reply(request)

    def _answer(self, request: Request) -> bytes:
        if request.kind is Kind.RESET_CAUSE:
            return channel.reply(request, self._reset_cause.told())
        return self._peripherals.serve(request, self._world.clock.now_us())

    def _control(self, request: Request) -> bool:
        # Do what concerns the processor itself; return whether the request was of that kind.
        payload = request.payload
        match request.kind:
            case Kind.PIN_INTERRUPT:
                pin, trigger = payload
                self._interrupts.arm(pin, trigger, self._world.clock.now_us())
            case Kind.KEYBOARD_INTERRUPT:
                self._keyboard.set(*struct.unpack("<b", payload))
            case Kind.INTERRUPT_AGAIN:
                self._keyboard.repeat(wanted=payload == b"\x01")
            case Kind.DATE_SET:
                self._clock.set_date(*struct.unpack("<q", payload))
                self._ring()
            case Kind.WATCHDOG:
                self._watchdog.feed(*struct.unpack("<I", payload))
            case Kind.HARD_RESET:
                self._kill(Restart(Cause.HARD))
            case Kind.DEEP_SLEEP:
                self._sleep_deeply(*struct.unpack("<I", payload))
            case _:
                return False
        return True

    # Console and links

    def _from_stdout(self, data: bytes) -> None:
        if self.line.plugged:
            self._exchanges.sent(data)
        self._print(data)

    def _print(self, data: bytes) -> None:
        self.line.send(data)
        self._console_log.write(data)

    def _from_line(self, data: bytes) -> None:
        try:
            self._rom.feed(data)
        except PowerCut:
            self._rom.leave()
            self._world.remove(self)
            self.died.set()
        if self._processor is None or not self._processor.open:
            return
        data = self._keyboard.take(data)
        self._exchanges.received(data)
        if data:
            processor = self._processor
            self._input(lambda: processor.type(data))

    def _interrupt(self) -> None:
        if self._processor:
            self._processor.interrupt()

    def _deliver_datagram(self, put: Callable[[], None]) -> None:
        self._exchanges.none_expected()
        self._input(put)
