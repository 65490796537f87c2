"""From boards as they come out of the bag to readings at the broker, with `feltpost flash`."""

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feltpost_gateway.nodes import format_mac, parse_mac
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython
from feltpost_tools.sim.flash import Torn
from feltpost_tools.sim.gateway_process import write_configuration
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.image import Image
from feltpost_tools.sim.rig import OWNER

HEAP_KIB = 160
JOURNAL_BLOCKS = 256
WAIT_S = 60
FLASH_S = 400
SPEED = 60
KIT = "indoor-climate"
FILL = """
try:
    for number in range(99):
        with open("filling%d" % number, "wb") as file:
            for _ in range(64):
                file.write(bytes(4096))
except OSError:
    pass
"""
CLEAR = """
import os
for name in os.listdir("/"):
    if name.startswith("filling"):
        os.remove("/" + name)
"""


class Workshop:
    """Boards on a table, the command `feltpost`, and a gateway that runs elsewhere."""

    def __init__(self, rig, folder):
        self.rig = rig
        self.folder = folder
        self.boards = []
        self._image = None

    def board(self, number, **hardware):
        """Return a board as it comes: it has MicroPython, and its cable is plugged in."""
        name = f"lokale-{number}"
        self._image = self._image or Image(self.folder / "image")
        parts = self.rig.plan.kit.parts(
            name, self.rig._environment, lambda reading: self._sampled(board, reading)
        )
        made = Hardware(
            bytes.fromhex("02004652") + number.to_bytes(2),
            HEAP_KIB,
            parts,
            **{"journal_blocks": JOURNAL_BLOCKS, **hardware},
        )
        found = interpreter.find()
        board = Board(name, self.folder / name, made, self._image, found, self.rig.world)
        board.line.plug()
        self.boards.append(board)
        return board

    def _sampled(self, board, reading):
        # A self-test's readings are for the technician; the others must arrive.
        said = console(board)
        if said.rfind(b": journal ") > said.rfind(b"raw REPL"):
            self.rig._sampled(reading)

    def site(self, link):
        """Write the file on the place; return its path."""
        path = self.folder / "site.toml"
        lines = [f'owner = "{OWNER}"', f'site = "{self.rig.site}"', "[[links]]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in link.items()]
        path.write_text("\n".join(lines) + "\n")
        return path

    def list(self, boards):
        """Write the list of nodes; return its path."""
        path = self.folder / "nodes.csv"
        rows = [f"{board.name},{KIT},esp32-devkitc,{mac(board)}" for board in boards]
        path.write_text("\n".join(["name,kit,board,mac", *rows]) + "\n")
        return path

    async def feltpost(self, *arguments, program="feltpost", **options):
        """Run a command; return its exit code and what it printed."""
        process = await self.begin(*arguments, program=program, **options)
        async with asyncio.timeout(FLASH_S):
            printed, _ = await process.communicate()
        return process.returncode, printed.decode()

    async def begin(self, *arguments, program="feltpost", **environment):
        return await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name(program),
            *map(str, arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "LANG": "C.UTF-8",
                "XDG_STATE_HOME": str(self.folder / "state"),
                **environment,
            },
        )

    @property
    def gateway_configuration(self):
        return self.rig.folder / "gateway.toml"

    async def gateway_with(self, boards):
        """Let the gateway listen on these boards' lines from now on."""
        await self.rig.gateway.stop()
        assert self.rig.broker
        write_configuration(
            self.gateway_configuration,
            store=self.rig.folder / "feltpost.db",
            udp_port=self.rig.udp_port,
            serial_ports=[board.line.path for board in boards],
            broker=(self.rig.broker.host, self.rig.broker.port),
            nodes=[],
            owner=OWNER,
            site=self.rig.site,
        )
        await self.rig.gateway.start()

    async def sampled(self, readings):
        """Wait until so many readings were sampled."""
        async with asyncio.timeout(WAIT_S):
            while self.rig.ledger.outcome().sampled < readings:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)

    async def drained(self, readings):
        """Wait until so many readings were sampled, and all have arrived; the ledger ends there."""
        await self.sampled(readings)
        await self.rig.drain(WAIT_S)
        return self.rig.ledger.outcome()


def console(board):
    return (board.folder / "console.log").read_bytes()


def mac(board):
    return format_mac(parse_mac(board._hardware.mac.hex(":")))


async def until_printed(board, text, times=1):
    async with asyncio.timeout(WAIT_S):
        while console(board).count(text) < times:  # noqa: ASYNC110 - the console has no event
            await asyncio.sleep(0.02)


@pytest.fixture
def workshop(rig, tmp_path):
    """Return a function that runs a coroutine function with a workshop."""

    def go(script):
        async def run():
            async with rig([], speed=SPEED) as running:
                shop = Workshop(running, tmp_path / "workshop")
                shop.folder.mkdir()
                try:
                    await script(shop)
                finally:
                    for board in shop.boards:
                        await board.close()

        asyncio.run(run())

    return go


@pytest.mark.timeout(900)
def test_ten_boards_side_by_side_and_what_befalls_them(workshop, tmp_path):
    """Offline, in one run: one unplugged in the middle, one with a full flash, one in a boot loop,
    one running its old application, one with a torn write. A second run finishes the five that are
    left; their readings arrive at the broker."""
    image = tmp_path / "micropython.bin"
    image.write_bytes(micropython("1.26.1"))

    async def script(shop):
        boards = [shop.board(number) for number in range(1, 11)]
        running, unplugged, full, looping, torn = boards[:5]
        running.install({"links": [{"kind": "serial"}], "sensors": []})
        running.enrol(b"\x11\x22\x33\x44", bytes(range(16)))
        looping.chip.put(BOOTLOADER, b"\0" * 4096)
        for board in boards:
            await board.power_on()
        await until_printed(running, b": journal ")
        await Mpremote(str(full.line.path)).run(FILL, timeout_s=60)

        code, printed = await shop.feltpost(
            "enrol-key", shop.folder / "key", "--config", shop.gateway_configuration,
            program="feltpost-gateway",
        )  # fmt: skip
        assert code == 0, printed
        order = [
            "flash", "--batch", shop.list(boards), "--site-file", shop.site({"kind": "serial"}),
            "--enrol-file", shop.folder / "enrolments", "--gateway-key", shop.folder / "key",
            "--micropython", image,
        ]  # fmt: skip
        for board in boards:
            order += ["--port", board.line.path]

        flash = asyncio.create_task(shop.feltpost(*order))
        await until_printed(unplugged, b"raw REPL", 3)
        unplugged.line.unplug()
        torn.chip.files.cut_at(40, Torn.PREFIX)
        code, printed = await flash
        assert code == 1, printed
        for board in boards[5:]:
            assert f"{board.line.path} {board.name}: written to the enrolment file" in printed
        for board in (unplugged, full, looping, torn):
            assert f"{board.line.path}" in printed
        assert printed.count(": failed at") == 4, printed
        assert "The board's file system is full" in printed
        assert "Hold the button BOOT" in printed

        unplugged.line.plug()
        await Mpremote(str(full.line.path)).run(CLEAR, timeout_s=60)
        looping.press_reset(boot_held=True)
        await until_printed(looping, b"waiting for download")
        await torn.power_on()
        code, printed = await shop.feltpost(*order)
        assert code == 0, printed
        assert printed.count(": done before, the list says") == 6

        with (shop.folder / "nodes.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["result"] for row in rows] == ["ok"] * 10
        assert {row["firmware"] for row in rows} == {"0.1.0"}

        code, printed = await shop.feltpost(
            "enrol-import", shop.folder / "enrolments", "--yes", "--config",
            shop.gateway_configuration, program="feltpost-gateway",
        )  # fmt: skip
        assert code == 0, printed
        await shop.gateway_with(boards)
        outcome = await shop.drained(10 * 4)
        assert outcome.missing == outcome.wrong == 0, outcome
        assert set(shop.rig.ledger.nodes) == {board.name for board in boards}

    workshop(script)


@pytest.mark.timeout(400)
def test_one_board_with_a_code_interrupted_and_flashed_again(workshop):
    """Over the network, in Danish; Ctrl-C while the application is copied, then once more. Later it
    keeps its key and its readings, and without a name gets the application only."""

    async def script(shop):
        board = shop.board(1)
        port = board.join(("127.0.0.1", shop.rig.udp_port))
        await board.power_on()
        code, printed = await shop.feltpost(
            "enrol-code", "--config", shop.gateway_configuration, program="feltpost-gateway"
        )
        assert code == 0, printed
        (secret,) = re.findall(r"\b\w+(?:-\w+){3,}\b", printed)
        site = shop.site({"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": "simulated"})
        order = ["flash", "--port", board.line.path, "--site-file", site]
        order += ["--gateway", f"127.0.0.1:{shop.rig.udp_port}"]
        named = [*order, "--name", board.name, "--kit", KIT, "--board", "esp32-devkitc"]

        flash = await shop.begin(*named, FELTPOST_CODE=secret, LANG="da_DK.UTF-8")
        assert flash.stdout
        printed = ""
        async for line in flash.stdout:
            printed += line.decode()
            if b"kopierer" in line:
                flash.send_signal(signal.SIGINT)
        assert await flash.wait() == 1, printed
        assert "afbrudt" in printed, printed

        code, printed = await shop.feltpost(*named, FELTPOST_CODE=secret)
        assert code == 0, printed
        assert f"enrolled as {OWNER}/{shop.rig.site}/{board.name}" in printed
        key = board.nvs.get("feltpost/key")
        await shop.sampled(4)

        code, printed = await shop.feltpost(*order, FELTPOST_CODE=secret)
        assert code == 0, printed
        assert "enrolled already" in printed
        assert board.nvs.get("feltpost/key") == key
        for text in (printed, (shop.folder / "state" / "feltpost" / "audit.jsonl").read_text()):
            assert key.hex() not in text
            assert secret not in text
        code, printed = await shop.feltpost("log", "--verify")
        assert code == 0, printed
        outcome = await shop.drained(12)
        assert outcome.missing == outcome.wrong == 0, outcome

    workshop(script)
