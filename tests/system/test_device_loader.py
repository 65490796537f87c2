"""Reaching the loader in a board's ROM, with the real esptool."""

import pytest
from tests.support.bench import KEY, KEY_ID, MAC, PROMPT, STARTED, started

from feltpost_tools import board_doctor
from feltpost_tools.device import micropython_image, partitions, state
from feltpost_tools.device.loader import RomLoader
from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import PortLost, WouldLoseFiles, WrongChip
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "micropython.bin"
    path.write_bytes(micropython("1.26.1"))
    return micropython_image.read(path)


def test_a_blank_board_gets_micropython_and_a_journal(on_boards, image):
    async def script(bench):
        board = bench.board
        board.chip.blank()
        board.enrol(KEY_ID, KEY)
        await board.power_on()
        await bench.into_loader()
        told = []
        chip = await RomLoader(bench.port).write(image, progress=lambda *done: told.append(done))
        assert (chip.name, chip.mac, chip.flash_bytes) == ("ESP32", MAC, 4 << 20)
        assert told and told[-1][0] == told[-1][1]
        await bench.printed(b"Performing initial setup")
        await bench.printed(PROMPT)
        journal = board.chip.partitions()["journal"]
        assert (journal.offset, journal.size) == (3 << 20, 1 << 20)
        # The key is where it was, and the firmware finds the journal.
        assert board.nvs.get("feltpost/key") == KEY
        seen = await state.find_out(bench.port)
        assert seen.has_journal and seen.micropython == (1, 26, 1) and seen.feltpost is None

    on_boards(script)


def test_a_newer_micropython_keeps_files_and_key(on_boards, image):
    async def script(bench):
        board = bench.board
        board.chip.put(BOOTLOADER, micropython("1.24.0", journal_blocks=4))
        await started(bench)
        seen = await state.find_out(bench.port)
        assert seen.micropython == (1, 24, 0)
        assert any("too old" in finding.means for finding in board_doctor.of_state(seen))
        await bench.printed(STARTED, 2)
        # The cable comes out in the middle; then again, to the end.
        await bench.into_loader()
        board.line.unplug_after(2000)
        with pytest.raises(PortLost):
            await RomLoader(bench.port).write(image)
        board.line.plug()
        await bench.into_loader()
        await RomLoader(bench.port).write(image)
        await Mpremote(bench.port).hard_reset()
        await bench.printed(STARTED, 3)
        assert b"initial setup" not in bench.console()
        assert (await state.find_out(bench.port)).micropython == (1, 26, 1)

    on_boards(script)


def test_files_are_not_lost_without_consent(on_boards, firmware, tmp_path):
    async def script(bench):
        board = bench.board
        # As MicroPython is downloaded, with a file system up to the end of the flash.
        board.chip.blank()
        board.chip.put(BOOTLOADER, micropython("1.26.1"))
        await board.power_on()
        await bench.printed(b"Performing initial setup")
        await bench.printed(PROMPT)
        await bench.into_loader()
        with pytest.raises(WouldLoseFiles):
            await RomLoader(bench.port).add_journal()
        assert "journal" not in board.chip.partitions()
        await bench.into_loader()
        await RomLoader(bench.port).add_journal(lose_files=True)
        await bench.printed(b"Performing initial setup", 2)
        await bench.printed(PROMPT, 2)
        assert (await state.find_out(bench.port)).has_journal
        # It is done once: there is nothing to lose any more.
        await bench.into_loader()
        written = board.chip.chip.operations
        await RomLoader(bench.port).add_journal()
        assert board.chip.chip.operations == written

    on_boards(script)


def test_an_image_for_another_chip_is_refused_before_anything_is_written(on_boards, tmp_path):
    # An ESP32-C3 has its bootloader at the very beginning.
    data = bytearray(b"\xff" * BOOTLOADER + micropython("1.26.1"))
    data[:BOOTLOADER] = data[BOOTLOADER : 2 * BOOTLOADER]
    data[12] = micropython_image.CHIPS["ESP32-C3"].number
    (tmp_path / "c3.bin").write_bytes(data)
    image = micropython_image.read(tmp_path / "c3.bin")

    async def script(bench):
        await bench.board.power_on()
        await bench.into_loader()
        written = bench.board.chip.chip.operations
        with pytest.raises(WrongChip, match="has the chip ESP32"):
            await RomLoader(bench.port).write(image)
        assert bench.board.chip.chip.operations == written

    on_boards(script)


def test_the_firmware_finds_the_journal_by_the_name_that_the_table_gives_it():
    assert partitions.JOURNAL == "journal"
