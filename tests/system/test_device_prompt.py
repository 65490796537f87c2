"""Reaching boards at the prompt, with the real mpremote."""

import asyncio
import os
from pathlib import Path

import pytest

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import (
    FlashFull,
    NoAnswer,
    NotAtPrompt,
    PortLost,
    PortUnavailable,
    ScriptFailed,
    TookTooLong,
)

SECRET = "correct-horse-battery"


def processes_at(port):
    """Return the command lines and environments of the tools that work at a port."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if os.fsencode(port) in line:
            found.append(line)
    return found


def test_scripts_run_and_their_failures_are_told(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        assert await board.run("print('a')\nprint('b', end='')", timeout_s=10) == "a\nb"
        assert await board.run("kept = 1", timeout_s=10) == ""
        assert await board.run("print(kept)", timeout_s=10) == "1\n"
        with pytest.raises(ScriptFailed, match="NameError") as caught:
            await board.run("print('x')\nprint(kept)", timeout_s=10, soft_reset=True)
        assert caught.value.traceback.endswith("NameError: name 'kept' isn't defined")
        # mpremote's exit code is 0 there.
        with pytest.raises(ScriptFailed, match="before its end"):
            await board.run("raise SystemExit(3)", timeout_s=10)

    at_prompt(script)


def test_a_secret_in_a_script_is_seen_by_nobody(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        wait = f"secret = '{SECRET}'\nimport time\ntime.sleep(1)\nraise ValueError"
        running = asyncio.create_task(board.run(wait, timeout_s=20))
        while not (seen := processes_at(bench.port)):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        assert SECRET.encode() not in b"".join(seen)
        with pytest.raises(ScriptFailed) as caught:
            await running
        assert SECRET not in f"{caught.value}{vars(caught.value)}"
        assert SECRET.encode() not in bench.console()

    at_prompt(script)


def test_a_script_that_takes_too_long_is_ended_with_its_tool(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        with pytest.raises(TookTooLong):
            await board.run("while True: pass", timeout_s=0.5)
        assert not processes_at(bench.port)
        assert await board.run("print(1)", timeout_s=10) == "1\n"

    at_prompt(script)


def test_folders_are_copied_once(at_prompt, tmp_path):
    source = tmp_path / "source"
    (source / "inner" / "most").mkdir(parents=True)
    (source / "a.py").write_text("a = 1\n")
    (source / "inner" / "most" / "b c.bin").write_bytes(bytes(range(256)) * 3)

    async def script(bench):
        board = Mpremote(bench.port)
        told = []
        await board.copy(source, "/new/slot", timeout_s=30, progress=told.append)
        assert told == ["a.py", "inner/most/b c.bin"]
        written = bench.board.chip.files.operations
        await board.copy(source, "/new/slot", timeout_s=30)
        assert bench.board.chip.files.operations == written
        read = "print(open('/new/slot/inner/most/b c.bin', 'rb').read() == bytes(range(256)) * 3)"
        assert await board.run(read, timeout_s=10) == "True\n"

    at_prompt(script)


def test_a_full_flash_is_told(at_prompt, tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "file").write_bytes(bytes(20_000))
    fill = (
        "block = bytes(4096)\n"
        "for size in (16, 1):\n"
        " try:\n"
        "  for n in range(999):\n"
        "   with open('filling%d-%d' % (size, n), 'wb') as file:\n"
        "    for _ in range(size): file.write(block)\n"
        " except OSError: pass\n"
    )

    async def script(bench):
        board = Mpremote(bench.port)
        await board.run(fill, timeout_s=60)
        with pytest.raises(FlashFull):
            await board.copy(tmp_path / "big", "/", timeout_s=60)

    at_prompt(script)


def test_a_port_that_goes_away_or_is_taken_is_told(at_prompt):
    async def script(bench):
        board = Mpremote(bench.port)
        bench.board.line.unplug_after(200)
        with pytest.raises(PortLost):
            await board.run("for _ in range(99): print('x' * 20)", timeout_s=20)
        with pytest.raises(PortUnavailable, match="no such port"):
            await board.run("print(1)", timeout_s=20)
        bench.board.line.plug()
        waiting = asyncio.create_task(board.run("while True: pass", timeout_s=5))
        while not processes_at(bench.port):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.01)
        await bench.printed(b"raw REPL", 2)
        with pytest.raises(PortUnavailable, match="in use by"):
            await Mpremote(bench.port).run("print(1)", timeout_s=5)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert not processes_at(bench.port)

    at_prompt(script)


def test_boards_without_a_prompt_are_told_in_time(on_boards):
    async def script(silent, looping):
        looping.board.chip.blank()
        await looping.board.power_on()
        async with asyncio.timeout(15):
            errors = await asyncio.gather(
                *(
                    Mpremote(bench.port).run("print(1)", timeout_s=60)
                    for bench in (silent, looping)
                ),
                return_exceptions=True,
            )
        assert isinstance(errors[0], NoAnswer)
        assert isinstance(errors[1], NotAtPrompt) and "invalid header" in errors[1].said

    on_boards(script, count=2)
