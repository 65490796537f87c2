"""A simulated board, with the kit indoor-climate; time runs sixty times faster where it can."""

import secrets

from feltpost_gateway.nodes import parse_mac
from feltpost_tools.faults.disturbance import Disturbance
from feltpost_tools.hil.backend import Backend, Surroundings
from feltpost_tools.hil.identity import Identity
from feltpost_tools.hil.inventory import BoardEntry
from feltpost_tools.sim import interpreter, kit, taps
from feltpost_tools.sim.air import SSID
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.gateway_process import Enrolled
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.interpreter import Interpreter
from feltpost_tools.sim.rig import shared_recording
from feltpost_tools.sim.trace import Trace
from feltpost_tools.sim.world import Alarm, World

# A locally administered address, so that it is nobody's.
_MAC = bytes.fromhex("020046500101")
_HEAP_KIB = 160
_JOURNAL_BLOCKS = 64
# The hour that the watchdog leaves somebody at the prompt must not be over at once, and what the
# board says must be read in time.
_SPEED = 60


class SimulatedBoard(Backend):
    """Everything of it is in its folder, and new."""

    interval_s = 60

    def __init__(self, entry: BoardEntry, around: Surroundings, image: Image):
        super().__init__(entry, str(around.folder / "board" / "tty"), around)
        self._image = image
        self._board: Board | None = None
        # Whether anybody is there to answer it; whether nothing else is done than to let time pass.
        self._answered = False
        self._idle = False

    @property
    def board(self) -> Board:
        """The simulation."""
        assert self._board is not None
        return self._board

    async def open(self) -> None:
        """Make it and switch it on."""
        found = interpreter.find()
        board = self._board = self._make(found)
        self.enrolled = Enrolled(board.name, _MAC, secrets.token_bytes(4), secrets.token_bytes(16))
        board.enrol(self.enrolled.key_id, self.enrolled.key)
        self._connect(board)
        await board.power_on()
        said = await self.started()
        self.identity = Identity(
            chip=self.entry.chip,
            eui64=parse_mac(_MAC.hex(":")).hex(),
            micropython=".".join(map(str, found.version)),
            firmware=said[1],
            digest=self.around.application.name,
            simulated=True,
        )

    def _make(self, found: Interpreter) -> Board:
        trace = Trace.load(shared_recording())
        start_us = int(trace.start * 1e6)
        self._clock = SharedClock(self.around.folder / "clock", start_us)
        self._world = World(self._clock, _SPEED)
        # A tool at the prompt needs real time, too.
        self._world.listening = lambda: self._answered or not self._idle

        def environment(quantity: str, now_us: int) -> float:
            return trace.value(quantity, now_us / 1e6)

        name, folder = self.entry.name, self.around.folder / "board"
        parts = kit.parts(name, environment, self.around.book.sampled)
        hardware = Hardware(_MAC, _HEAP_KIB, parts, journal_blocks=_JOURNAL_BLOCKS)
        return Board(name, folder, hardware, self._image, found, self._world)

    def _connect(self, board: Board) -> None:
        if self.entry.link == "wifi":
            port = board.join(("127.0.0.1", self.around.gateway_port))
            link = {"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": SSID}
            self.configuration["links"] = [link]
        board.install(self.configuration)
        taps.connect(board, self.enrolled, self.around.book.ledger, self.now_us)
        board.line.plug()
        self.relay.line.plug()
        self.relay.take_port()

    async def close(self) -> None:
        """Switch it off."""
        self.console.close()
        self.relay.close()
        if self._board:
            await self._board.close()

    async def reset(self) -> None:
        """Press its button, see Backend."""
        self.board.press_reset()

    async def power_off(self) -> None:
        """Cut its power, see Backend."""
        self.console.note("power off")
        await self.board.power_off()

    async def power_on(self) -> None:
        """Give it power, see Backend."""
        self.console.note("power on")
        await self.board.power_on()

    def now_us(self) -> int:
        """Return the simulated time."""
        return self._clock.now_us()

    async def pass_time(self, duration_s: float) -> None:
        """Wait for simulated time, see Backend."""
        alarm = Alarm(self.now_us() + int(duration_s * 1e6))
        self._world.add(alarm)
        self._idle = True
        try:
            await alarm.rung.wait()
        finally:
            self._idle = False
            self._world.remove(alarm)

    def answers(self, anybody: bool) -> None:
        """Have nobody wait for answers, in real time, that can't come."""
        self._answered = anybody

    def set_disturbance(self, disturbance: Disturbance | None) -> None:
        """Disturb the simulated link, whose clock then knows what is lost."""
        carrier = self.board.air or self.board.line
        carrier.disturbance = disturbance
