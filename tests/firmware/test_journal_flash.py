"""The journal on flash against the simulator's flash chip, in the size that a board has.

mp_journal_flash_cuts.py cuts the power everywhere; here the process dies with it.
"""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.flash import BLOCK_BYTES, FlashMisuse, NorFlash, PowerCut, Torn
from feltpost_tools.sim.interpreter import Interpreter

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("journal_node.py")
BLOCKS = 4


class Node:
    """A MicroPython process with a journal on a chip; each boot is a new process."""

    def __init__(self, interpreter: Interpreter, flash: NorFlash, boot: int) -> None:
        self.flash = flash
        self._process = subprocess.Popen(
            [*interpreter.command, "-X", "heapsize=512K", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )
        self._command(f"mount {BLOCKS} {boot}")

    def append(self, number: int) -> int:
        return self._command("append {} {} {} {}".format(*value(number)))

    def free(self, below: int) -> None:
        self._command(f"free {below}")

    def held(self) -> dict[int, tuple[int, int, int, int]]:
        return self._command("held")

    def state(self):
        return self._command("state")

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0
        self._process.stdout.close()

    def die(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _command(self, line: str):
        self._send(line)
        while True:
            verb, *words = self._process.stdout.readline().split(" ", 1)
            if verb == "answer":
                return ast.literal_eval(words[0])
            arguments = words[0].split() if words else []
            try:
                self._send(self._serve(verb, arguments))
            except PowerCut:
                self.die()
                raise

    def _serve(self, verb: str, arguments: list[str]) -> str:
        if verb == "erase":
            self.flash.erase(int(arguments[0]))
            return "done"
        assert verb in ("read", "write"), f"the node died: {verb}"
        block, position = int(arguments[0]), int(arguments[1])
        if verb == "read":
            return self.flash.read(block, position, int(arguments[2])).hex()
        self.flash.write(block, position, bytes.fromhex(arguments[2]))
        return "done"

    def _send(self, line: str) -> None:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


@pytest.fixture
def chip(tmp_path: Path):
    flash = NorFlash(tmp_path / "journal.flash", BLOCKS)
    yield flash
    flash.close()


def value(number: int) -> tuple[int, int, int, int]:
    return number % 5, number * 7919 - 2**31, number % 7, 1000 * number


def test_a_full_journal_keeps_its_newest_blocks(micropython: Interpreter, chip: NorFlash) -> None:
    node = Node(micropython, chip, 1)
    for number in range(1100):
        assert node.append(number) == number
    first, after, gap = node.state()
    assert gap == (0, first, 1)
    node.close()
    node = Node(micropython, chip, 2)
    assert node.state() == (first, after, gap)
    assert node.held() == {number: value(number) for number in range(first, 1100)}
    node.close()
    # 4,096 bytes hold a header of 80, some marks, and a reading in 16 each.
    assert 2 * 240 <= 1100 - first <= 4 * 251
    assert chip.programmed_bytes < 1.1 * 16 * 1100
    assert max(chip.erases) - min(chip.erases) <= 1


@pytest.mark.parametrize("torn", Torn)
def test_the_process_dies_with_the_power(
    micropython: Interpreter, chip: NorFlash, torn: Torn
) -> None:
    readings: dict[int, tuple[int, int, int, int]] = {}
    freed = 0
    for boot in range(1, 12):
        # Short of the first block's end, then across it, so that every kind of operation is hit.
        chip.cut_at(30 + 7 * boot, torn, seed=boot)
        node = None
        try:
            node = Node(micropython, chip, boot)
            if readings:
                held = node.held()
                assert {n: held[n] for n in readings if n >= freed} == {
                    n: reading for n, reading in readings.items() if n >= freed
                }
            first, following, _ = node.state()
            assert following > max(readings, default=-1)
            while True:
                number = node.append(following)
                assert number not in readings
                readings[number] = value(following)
                following = number + 1
                if number % 8 == 0:
                    freed = max(freed, number - 20)
                    node.free(freed)
        except PowerCut:
            pass
    assert len(readings) > 300
    assert sum(chip.erases) > 1


def test_the_chip_keeps_to_its_rules(tmp_path: Path) -> None:
    path = tmp_path / "chip"
    chip = NorFlash(path, 2)
    chip.write(1, 10, b"\x0f")
    chip.write(1, 10, b"\x05")
    with pytest.raises(FlashMisuse, match="block 1, byte 10"):
        chip.write(1, 10, b"\x07")
    with pytest.raises(FlashMisuse):
        chip.write(1, BLOCK_BYTES - 1, b"\x00\x00")
    with pytest.raises(FlashMisuse):
        chip.read(2, 0, 1)
    chip.close()
    chip = NorFlash(path, 2)
    assert chip.read(1, 9, 3) == b"\xff\x05\xff"
    chip.erase(1)
    chip.flip(1, 0, 3)
    assert chip.read(1, 0, 11) == b"\xf7" + b"\xff" * 10
    assert (chip.writes, chip.erases, chip.programmed_bytes) == ([0, 0], [0, 1], 0)
    chip.close()
    with pytest.raises(FeltpostError, match="remove the file"):
        NorFlash(path, 3)


def test_what_a_cut_leaves_of_an_operation(tmp_path: Path) -> None:
    data = bytes(range(200))
    seen = {}
    for torn in Torn:
        chip = NorFlash(tmp_path / torn.name, 1)
        chip.cut_at(2, torn, seed=5)
        # The last byte, so that it tells an erase that came to its end.
        chip.write(0, BLOCK_BYTES - 1, b"\x00")
        with pytest.raises(PowerCut):
            chip.write(0, 0, data)
        seen[torn] = chip.read(0, 0, len(data))
        assert chip.read(0, BLOCK_BYTES - 1, 1) == b"\x00"
        chip.cut_at(1, torn, seed=5)
        with pytest.raises(PowerCut):
            chip.erase(0)
        erased = chip.read(0, 0, BLOCK_BYTES) == b"\xff" * BLOCK_BYTES
        assert erased == (torn is Torn.WHOLE)
        chip.close()
    assert seen[Torn.NOTHING] == b"\xff" * len(data)
    assert seen[Torn.WHOLE] == data
    done = next(i for i, byte in enumerate(seen[Torn.PREFIX]) if byte != data[i])
    assert seen[Torn.PREFIX] == data[:done] + b"\xff" * (len(data) - done)
    assert all(
        after & before == before for after, before in zip(seen[Torn.BITS], data, strict=True)
    )
    assert seen[Torn.BITS] not in (data, seen[Torn.NOTHING])
