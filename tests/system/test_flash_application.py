"""The application on a board: slots, cuts, configuration, key; with the unmodified mpremote."""

import asyncio
import json
import random
import struct
from contextlib import asynccontextmanager

import pytest

from feltpost_gateway.enrolment import check_value
from feltpost_tools import boards, kits
from feltpost_tools.device import child
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import DeviceError, FlashFull, NotVerified, SelftestFailed
from feltpost_tools.flashing import application, configuration, factory_reset, key, selftest
from feltpost_tools.flashing.compile import build, firmware_source
from feltpost_tools.flashing.configuration import Settings
from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board, Hardware
from feltpost_tools.sim.clock import SharedClock
from feltpost_tools.sim.flash import Torn
from feltpost_tools.sim.world import World

pytestmark = pytest.mark.timeout(300)

START_US = 1_700_000_000_000_000
WAIT_S = 20
MAC = bytes.fromhex("020046500002")
PROMPT = b">>> "
# Leaves 64 blocks for files, which are formatted, copied and filled in no time.
LARGE_JOURNAL = 448
SERIAL = {"kind": "serial"}
CONFIGURATION = {"links": [SERIAL], "sensors": []}

# An application that says which one it is, from a module besides its first.
MODULE = "NAME = {!r}\nDATA = {!r}\n"
DATA_BYTES = 8_000
APP = "from .name import NAME\n\ndef run():\n    print('application', NAME, 'runs')\n"


@pytest.fixture(scope="module")
def applications(tmp_path_factory):
    """Two small applications, "old" and "new", with the project's main.py."""
    folder = tmp_path_factory.mktemp("applications")
    built = {}
    for name in ("old", "new"):
        package = folder / name / "source" / "feltpost"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        data = random.Random(name).randbytes(DATA_BYTES)
        (package / "name.py").write_text(MODULE.format(name, data))
        (package / "app.py").write_text(APP)
        (package.parent / "main.py").write_text((firmware_source() / "main.py").read_text())
        built[name] = build(folder / name / "slot", package.parent)
    return built


class Bench:
    """A board on a bench, and what it has said."""

    def __init__(self, board):
        self.board = board
        self.port = Mpremote(str(board.line.path))

    def said(self):
        return (self.board.folder / "console.log").read_bytes()

    async def until_said(self, text, since=0):
        """Wait until the board has said a text; return all that it has said since then."""
        async with asyncio.timeout(WAIT_S):
            while text not in self.said()[since:]:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(0.01)
        return self.said()[since:]

    async def restart(self):
        """Take the power away and give it back; return what the board says up to its prompt."""
        return await self.restart_until(PROMPT)

    async def restart_until(self, text):
        await self.board.power_off()
        since = len(self.said())
        await self.board.power_on()
        return await self.until_said(text, since)

    async def run(self, program):
        """Run a program at the prompt as it is; return what it prints."""
        return await self.port.run(program, timeout_s=WAIT_S)

    async def printed(self, expression):
        return (await self.run(f"print({expression})")).strip()


@pytest.fixture
def on_bench(firmware, tmp_path):
    """Return a function that runs a coroutine function with a board that runs MicroPython only."""

    @asynccontextmanager
    async def make(journal_blocks):
        world = World(SharedClock(tmp_path / "clock", START_US), speed=1)
        hardware = Hardware(MAC, 96, {}, journal_blocks)
        board = Board("node", tmp_path / "node", hardware, firmware, interpreter.find(), world)
        board.line.plug()
        try:
            await board.power_on()
            bench = Bench(board)
            await bench.until_said(PROMPT)
            yield bench
        finally:
            await board.close()

    def go(script, journal_blocks=LARGE_JOURNAL):
        async def run():
            async with make(journal_blocks) as bench:
                await script(bench)

        asyncio.run(run())

    return go


def test_a_fresh_board_runs_the_application_after_one_installation(on_bench, applications):
    new = applications["new"]
    told = []

    async def script(bench):
        settings = Settings(CONFIGURATION)
        await application.install(bench.port, new, settings, lambda *step: told.append(step))
        assert b"application new runs" in await bench.restart()
        # At the top, where a technician's mpremote looks.
        assert await bench.printed("__import__('os').getcwd()") == "/"
        assert (await application.look(bench.port, new)).starts(new)
        assert (await configuration.read(bench.port)).configuration == CONFIGURATION
        # What is there already is left alone.
        operations = bench.board.chip.files.operations
        await application.install(bench.port, new, settings)
        assert bench.board.chip.files.operations == operations

    on_bench(script)
    assert told[0] == ("look", 0, 1)
    assert ("copy", 0, 3) in told
    assert ("copy", 3, 3) in told
    assert told[-1] == ("use", 1, 1)


def test_what_is_stale_goes_and_what_is_damaged_is_put_right(on_bench, applications, tmp_path):
    old, new = applications["old"], applications["new"]

    async def script(bench):
        # A board from before there were slots.
        former = tmp_path / "former"
        (former / "feltpost").mkdir(parents=True)
        (former / "feltpost" / "app.py").write_text("def run():\n    print('former runs')\n")
        (former / "main.py").write_text("from feltpost import app\n\napp.run()\n")
        await bench.port.copy(former, "/", timeout_s=WAIT_S)
        assert b"former runs" in await bench.restart()
        await application.install(bench.port, old)
        assert b"application old runs" in await bench.restart()
        assert "feltpost" not in await bench.printed("__import__('os').listdir()")

        # A module's source beats its compiled form, and a name that leads nowhere any other.
        await bench.run(
            f"with open('/slots/{old.name}/feltpost/name.py', 'w') as file:\n"
            "    file.write('NAME = \"stale\"')\n"
            "with open('/current', 'w') as file:\n"
            "    file.write('\\0\\0')\n"
        )
        assert b"application stale runs" in await bench.restart()
        # The only slot that starts is left alone until the other one does.
        await application.install(bench.port, old)
        assert b"application old runs" in await bench.restart()
        assert (await application.look(bench.port, old)).slots.keys() == {old.name + "b"}

        await application.install(bench.port, new)
        assert b"application new runs" in await bench.restart()
        assert (await application.look(bench.port, new)).slots.keys() == {new.name}

    on_bench(script)


# At how many moments of an upgrade the power is cut, besides the last ones. What is done then has
# all its writes and erases cut in tests/firmware/mp_slots.py, without mpremote.
CUTS = 3
LAST_CUTS = (2, 9)


def test_a_power_cut_leaves_an_application_and_the_next_run_finishes(on_bench, applications):
    old, new = applications["old"], applications["new"]
    torn = [Torn.NOTHING, Torn.PREFIX, Torn.BITS, Torn.WHOLE]
    seen = []

    async def script(bench):
        await application.install(bench.port, old, Settings(CONFIGURATION))
        await bench.board.power_off()
        chip = bench.board.chip
        before = chip.get(chip.files_start, chip.files.blocks * 4096)
        await bench.board.power_on()
        begun = chip.files.operations
        await application.install(bench.port, new)
        total = chip.files.operations - begun
        cuts = [1 + total * i // CUTS for i in range(CUTS)]
        for i, operation in enumerate(cuts + [total - back for back in LAST_CUTS]):
            await bench.board.power_off()
            chip.put(chip.files_start, before)
            await bench.board.power_on()
            chip.files.cut_at(operation, torn[i % len(torn)], seed=i)
            installing = asyncio.create_task(application.install(bench.port, new))
            await asyncio.wait_for(bench.board.died.wait(), WAIT_S)
            # Else mpremote waits for a board that says nothing.
            bench.board.line.unplug()
            with pytest.raises(DeviceError):
                await installing
            bench.board.line.plug()
            said = await bench.restart()
            seen.append(b"application new runs" in said)
            assert seen[-1] or b"application old runs" in said, operation
        await application.install(bench.port, new)
        assert b"application new runs" in await bench.restart()

    on_bench(script)
    # Some were before the switch and some after it.
    assert set(seen) == {False, True}


def test_an_unplugged_cable_is_told_and_the_next_run_finishes(on_bench, applications):
    old, new = applications["old"], applications["new"]

    async def script(bench):
        await application.install(bench.port, old)
        for count in (500, 1_000):
            bench.board.line.unplug_after(count)
            with pytest.raises(DeviceError):
                await application.install(bench.port, new)
            bench.board.line.plug()
            assert b"application old runs" in await bench.restart()
        # Without a restart in between, in the middle of what the tool was saying.
        bench.board.line.unplug_after(1_200)
        with pytest.raises(DeviceError):
            await application.install(bench.port, new)
        bench.board.line.plug()
        await application.install(bench.port, new)
        assert b"application new runs" in await bench.restart()

    on_bench(script)


def test_a_full_flash_is_told_and_the_application_stays(on_bench, applications):
    old, new = applications["old"], applications["new"]

    async def script(bench):
        await application.install(bench.port, old)
        await bench.run(
            "n = 0\n"
            "try:\n"
            "    while True:\n"
            "        with open('/photo{}'.format(n), 'wb') as file:\n"
            "            file.write(bytes(4096))\n"
            "        n += 1\n"
            "except OSError:\n"
            "    pass\n"
        )
        with pytest.raises(FlashFull):
            await application.install(bench.port, new)
        assert b"application old runs" in await bench.restart()
        await bench.run("import os\nfor i in range(9): os.remove('/photo{}'.format(i))\n")
        await application.install(bench.port, new)
        assert b"application new runs" in await bench.restart()

    on_bench(script)


class Bad(Mpremote):
    """The board behind a cable that spoils so many copies, each in one bit of the last file."""

    def __init__(self, port, times):
        super().__init__(port)
        self.left = times

    async def copy(self, source, target, **options):
        await super().copy(source, target, **options)
        if self.left:
            self.left -= 1
            spoil = (
                "with open({!r}, 'r+b') as file:\n"
                "    byte = file.read(1)[0]\n"
                "    file.seek(0)\n"
                "    file.write(bytes((byte ^ 1,)))\n"
            )
            await self.run(spoil.format(f"{target}/feltpost/name.mpy"), timeout_s=WAIT_S)


def test_what_does_not_read_back_is_copied_again_and_never_put_in_use(on_bench, applications):
    old, new = applications["old"], applications["new"]

    async def script(bench):
        await application.install(bench.port, old)
        with pytest.raises(NotVerified, match="feltpost/name.mpy"):
            await application.install(Bad(bench.port.port, 2), new)
        assert b"application old runs" in await bench.restart()
        await application.install(Bad(bench.port.port, 1), new)
        assert b"application new runs" in await bench.restart()

    on_bench(script)


def test_the_key_is_made_once_and_is_seen_nowhere(on_bench, tmp_path):
    async def script(bench):
        made = await key.ensure(bench.port)
        assert made.made.key == bench.board.nvs.get("feltpost/key")
        assert made.key_id == made.made.key_id == bench.board.nvs.get("feltpost/key_id")
        assert made.check == check_value(made.made.key)
        kept = await key.ensure(bench.port)
        assert (kept.key_id, kept.check, kept.made) == (made.key_id, made.check, None)
        assert (await key.look(bench.port)) == kept
        assert repr(made.made.key) not in repr(made)
        # What went over the line from the board has it neither, until somebody reads it.
        secrets = (made.made.key, made.made.key.hex().encode())
        assert not any(secret in bench.said() for secret in secrets)
        assert await key.read_key(bench.port) == made.made
        first_journal = bench.board.nvs.get("feltpost/journal")
        other = await key.ensure(bench.port, new_identity=True)
        assert other.made.key == bench.board.nvs.get("feltpost/key") != made.made.key
        assert other.key_id != made.key_id
        assert bench.board.nvs.get("feltpost/journal") == first_journal != bytes(4)

    on_bench(script)


def test_the_projects_own_application_is_flashed_and_wiped(on_bench, tmp_path, mocker):
    calls = mocker.spy(child, "run")

    async def script(bench):
        whole = await asyncio.to_thread(build, tmp_path / "application")
        links = [SERIAL, {"kind": "udp", "host": "192.0.2.1", "ssid": "Skole Ø"}]
        kit, board = kits.load("indoor-climate"), boards.load("esp32-devkitc")
        passwords = {"Skole Ø": "hemmelig"}
        settings = configuration.make(kit, board, links, {"health": {"interval_s": 60}}, passwords)
        await application.install(bench.port, whole, settings)
        made = await key.ensure(bench.port)
        # Its sensors are not there, so the self-test fails: that of the node is another test's.
        with pytest.raises(SelftestFailed, match="scd41"):
            await selftest.run(bench.port)
        assert calls.call_count <= 6
        assert b"feltpost" in await bench.restart_until(b"sensors")

        nvs = bench.board.nvs
        assert json.loads(nvs.get("feltpost/networks")) == passwords
        held = await configuration.read(bench.port)
        assert held == configuration.Held(settings.configuration, ("Skole Ø",))
        # Another configuration without the password keeps it, and one without the network drops it.
        other = configuration.changed(held.configuration, "health.interval_s", "120")
        await configuration.write(bench.port, Settings(other))
        assert json.loads(nvs.get("feltpost/networks")) == passwords
        await configuration.write(bench.port, Settings(other | {"links": [SERIAL]}))
        assert (await configuration.read(bench.port)).networks == ()
        assert b"hemmelig" not in bench.said()

        counted = nvs.get("feltpost/journal")
        journal = bench.board.chip.journal
        assert counted != struct.pack("<i", 1)
        assert journal.read(0, 0, 16) != b"\xff" * 16
        await factory_reset.erase_journal(bench.port)
        assert {journal.read(block, 0, 4096) for block in range(4)} == {b"\xff" * 4096}
        assert nvs.get("feltpost/key") == made.made.key
        await factory_reset.factory_reset(bench.port)
        assert b"can't start" in await bench.restart_until(PROMPT)
        left = json.loads((bench.board.folder / "nvs.json").read_text())
        assert left.keys() == {"feltpost/journal", "feltpost/boot"}
        assert nvs.get("feltpost/journal") == counted
        await factory_reset.factory_reset(bench.port, application=True)
        assert await bench.printed("__import__('os').listdir()") == "['boot.py']"

    on_bench(script, journal_blocks=4)
