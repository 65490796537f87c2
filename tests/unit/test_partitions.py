"""Partition table and flash plan: what a board keeps, and what has to be written where."""

import struct

import pytest

from feltpost_tools.device import flash_plan, micropython_image, partitions
from feltpost_tools.device.partitions import Partition
from feltpost_tools.errors import UnusableImage
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython

MIB = 1 << 20
FLASH = 4 * MIB
# What ESP-IDF's gen_esp32part.py makes of "nvs, data, nvs, 0x9000, 0x6000" (first entry).
NVS_ENTRY = bytes.fromhex("aa50 01 02 00900000 00600000") + b"nvs".ljust(16, b"\0") + bytes(4)
STOCK = [
    Partition("nvs", 1, 2, 0x9000, 0x6000),
    Partition("phy_init", 1, 1, 0xF000, 0x1000),
    Partition("factory", 0, 0, 0x10000, 0x1F0000),
]
VFS = Partition("vfs", 1, 0x81, 0x200000, 0x200000)


def test_a_table_is_as_esp_idf_has_it():
    raw = partitions.encode([*STOCK, VFS])
    assert raw.startswith(NVS_ENTRY) and len(raw) == 0xC00
    assert raw[4 * 32 : 4 * 32 + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert partitions.decode(raw) == [*STOCK, VFS]


@pytest.mark.parametrize("at", [0, 9, 40, 4 * 32 + 20])
def test_a_damaged_table_is_none(at):
    raw = bytearray(partitions.encode([*STOCK, VFS]))
    raw[at] ^= 1
    with pytest.raises(partitions.BadTable):
        partitions.decode(bytes(raw))


@pytest.mark.parametrize("raw", [b"", b"\xff" * 0xC00, NVS_ENTRY * 96])
def test_what_is_no_table_is_none(raw):
    with pytest.raises(partitions.BadTable):
        partitions.decode(raw)


@pytest.mark.parametrize("table", [[*STOCK, VFS], STOCK], ids=["named", "left over"])
def test_the_journal_takes_the_end_of_the_files(table):
    made = partitions.with_journal(table, FLASH)
    assert made[:3] == STOCK
    assert made[3] == Partition("vfs", 1, 0x81, 0x200000, MIB)
    assert made[4] == Partition("journal", 1, 0x40, 3 * MIB, MIB)
    assert partitions.with_journal(made, FLASH) == made


def test_what_is_free_behind_the_files_is_taken_first():
    made = partitions.with_journal([*STOCK, VFS], 8 * MIB)
    assert made[3] == VFS
    assert made[4].offset == 7 * MIB


@pytest.mark.parametrize(
    ("table", "flash_bytes"),
    [
        ([*STOCK[:2], Partition("factory", 0, 0, 0x10000, 0x180000)], 2 * MIB),
        ([*STOCK, VFS, Partition("other", 1, 0x40, 7 * MIB, MIB)], 8 * MIB),
    ],
    ids=["2 MiB", "taken"],
)
def test_a_journal_without_room_is_refused(table, flash_bytes):
    with pytest.raises(partitions.NoRoom):
        partitions.with_journal(table, flash_bytes)


class Flash:
    """A flash in memory, with what a plan asks of it and what it leads to."""

    def __init__(self, data=b""):
        self.data = bytearray(data.ljust(FLASH, b"\xff"))

    def put(self, address, data):
        self.data[address : address + len(data)] = data

    def read(self, address, count):
        return bytes(self.data[address : address + count])

    def file_system(self, address, size, block=0):
        """Put LittleFS's superblock there, as its SPEC.md has it."""
        head = struct.pack("<IIQIIII", 1, 0, 0, 0, 0x20001, 4096, size // 4096)
        self.put(address + block * 4096, head[:8] + b"littlefs" + head[16:])

    def plan(self, image=None, lose_files=False):
        chip = micropython_image.CHIPS["ESP32"]
        return flash_plan.make(self.read, chip, FLASH, image, lose_files)

    def carry_out(self, plan):
        if plan.erase:
            address, count = plan.erase
            self.put(address, b"\xff" * count)
        for address, data in plan.pieces:
            self.put(address, data)


@pytest.fixture
def image_of(tmp_path):
    def make(version="1.26.1", journal_blocks=0, change=lambda data: data):
        path = tmp_path / f"{version}.bin"
        path.write_bytes(change(micropython(version, journal_blocks)))
        return micropython_image.read(path)

    return make


def test_a_blank_flash_gets_all_and_nvs_is_left_alone(image_of):
    flash = Flash()
    flash.put(0x9000, b"keys")
    plan = flash.plan(image_of())
    # Blank already, but nobody knows how the blocks behind the first look.
    assert plan.erase == (0x200000, 8192)
    flash.carry_out(plan)
    assert flash.read(0x9000, 4) == b"keys"
    assert [address for address, _ in plan.pieces] == [0x1000, 0x8000, 0x10000]
    assert "journal" in [p.label for p in partitions.decode(flash.read(0x8000, 0xC00))]


def test_a_file_system_of_the_right_size_is_kept(image_of):
    flash = Flash()
    flash.put(BOOTLOADER, micropython("1.25.0", journal_blocks=256))
    flash.file_system(0x200000, MIB, block=1)
    plan = flash.plan(image_of())
    assert plan.erase is None
    # The table is as it has to be.
    assert [address for address, _ in plan.pieces] == [0x1000, 0x10000]
    assert flash.plan().pieces == ()


def test_a_torn_table_does_not_cost_the_files(image_of):
    flash = Flash()
    flash.put(BOOTLOADER, micropython("1.25.0", journal_blocks=256))
    flash.file_system(0x200000, MIB)
    flash.put(0x8000, bytes(7))
    plan = flash.plan(image_of())
    assert plan.erase is None and 0x8000 in dict(plan.pieces)


@pytest.mark.parametrize("block", [0, 1])
def test_files_are_lost_only_by_consent(image_of, block):
    flash = Flash()
    flash.put(BOOTLOADER, micropython("1.25.0"))
    flash.file_system(0x200000, 2 * MIB, block)
    for image in (None, image_of()):
        with pytest.raises(flash_plan.LosesFiles):
            flash.plan(image)
    plan = flash.plan(None, lose_files=True)
    assert plan.erase == (0x200000, 8192)
    assert [address for address, _ in plan.pieces] == [0x8000]
    # Interrupted after the erase, it is finished without asking again.
    flash.carry_out(flash_plan.Plan(plan.erase, ()))
    flash.carry_out(flash.plan())
    assert flash.plan().pieces == ()


def test_files_elsewhere_count_too(image_of):
    # Newer MicroPythons begin their files later.
    flash = Flash()
    flash.put(BOOTLOADER, micropython("1.25.0"))
    flash.put(0x8000, partitions.encode([*STOCK[:2], Partition("factory", 0, 0, 0x20000, MIB)]))
    flash.file_system(0x120000, FLASH - 0x120000)
    with pytest.raises(flash_plan.LosesFiles):
        flash.plan(image_of())


def test_a_journal_is_never_given_up_for_a_larger_micropython(image_of):
    flash = Flash()
    table = partitions.with_journal([*STOCK[:2], Partition("factory", 0, 0, 0x10000, 256)], FLASH)
    flash.put(0x8000, partitions.encode(table))
    with pytest.raises(flash_plan.TooLarge):
        flash.plan(image_of(), lose_files=True)


def test_the_table_stays_within_the_flash_that_the_bootloader_knows(image_of):
    image = image_of(change=lambda data: data[:3] + bytes((0x10,)) + data[4:])
    with pytest.raises(partitions.NoRoom):
        Flash().plan(image)


def test_without_micropython_there_is_nothing_to_add_a_journal_to():
    with pytest.raises(flash_plan.NoApplication):
        Flash().plan()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: b"", "no image"),
        (lambda data: b"\x7fELF" + data[4:], "no image"),
        (lambda data: data[:12] + b"\x07\x00" + data[14:], "does not run on"),
        (lambda data: data[:0x6000], "not a whole"),
        (lambda data: data[: 0x10000 - 0x1000], "not a whole"),
        (lambda data: data[:0x7004] + b"?" + data[0x7005:], "not a whole"),
    ],
)
def test_what_is_no_image_is_refused(image_of, change, complaint):
    with pytest.raises(UnusableImage, match=complaint):
        image_of(change=change)


def test_an_image_tells_what_it_is(image_of):
    image = image_of("1.26.1")
    assert (image.version, image.chip.name) == ((1, 26, 1), "ESP32")
    assert image.bootloader[0] == image.application[0] == 0xE9


def test_a_wrong_digest_beside_it_is_found(image_of, tmp_path):
    (tmp_path / "1.26.1.bin.sha256").write_text("0" * 64 + "  1.26.1.bin\n")
    with pytest.raises(UnusableImage, match="SHA-256"):
        image_of("1.26.1")
