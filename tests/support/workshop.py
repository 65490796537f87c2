"""Boards on a technician's table, the command `feltpost`, and a gateway that runs elsewhere."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from feltpost_gateway.nodes import format_mac, parse_mac
from feltpost_tools.sim import interpreter
from feltpost_tools.sim.board import Board
from feltpost_tools.sim.gateway_process import write_configuration
from feltpost_tools.sim.hardware import Hardware
from feltpost_tools.sim.rig import OWNER

_HEAP_KIB = 160
_JOURNAL_BLOCKS = 256
_WAIT_S = 60
_FLASH_S = 400
SPEED = 60
KIT = "indoor-climate"


class Workshop:
    """Boards on a table, the command `feltpost`, and a gateway that runs elsewhere."""

    def __init__(self, rig, folder):
        self.rig = rig
        self.folder = folder
        self.boards = []

    def board(self, number, **hardware):
        """Return a board as it comes: it has MicroPython, and its cable is plugged in."""
        name = f"lokale-{number}"
        parts = self.rig.plan.kit.parts(
            name, self.rig._environment, lambda reading: self._sampled(board, reading)
        )
        made = Hardware(
            bytes.fromhex("02004652") + number.to_bytes(2),
            _HEAP_KIB,
            parts,
            **{"journal_blocks": _JOURNAL_BLOCKS, **hardware},
        )
        found = interpreter.find()
        board = Board(name, self.folder / name, made, self.rig.image, found, self.rig.world)
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
        async with asyncio.timeout(_FLASH_S):
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
        async with asyncio.timeout(_WAIT_S):
            while self.rig.ledger.outcome().sampled < readings:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)

    async def drained(self, readings):
        """Wait until so many readings were sampled, and all have arrived; the ledger ends there."""
        await self.sampled(readings)
        await self.rig.drain(_WAIT_S)
        return self.rig.ledger.outcome()


def console(board):
    return (board.folder / "console.log").read_bytes()


def mac(board):
    return format_mac(parse_mac(board._hardware.mac.hex(":")))


async def until_printed(board, text, times=1):
    async with asyncio.timeout(_WAIT_S):
        while console(board).count(text) < times:  # noqa: ASYNC110 - the console has no event
            await asyncio.sleep(0.02)
