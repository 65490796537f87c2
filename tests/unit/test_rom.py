"""The model of the loader in the ESP32's ROM, packet by packet, and what the chip starts from."""

import hashlib
import struct
import zlib
from functools import reduce
from operator import xor

import pytest

from feltpost_tools.sim.chipflash import BLOCKS, BOOTLOADER, ChipFlash, NotBootable, micropython
from feltpost_tools.sim.flash import BLOCK_BYTES, FlashMisuse, PowerCut, Torn
from feltpost_tools.sim.rom import GREETING, Command, Loader

MAC = bytes.fromhex("020046500001")
INVALID, FAILED, CHECKSUM, WRITE = 0x05, 0x06, 0x07, 0x08
CONTENT = bytes(range(256)) * 20


class Host:
    """The other end of the line."""

    def __init__(self, flash):
        self.flash = flash
        self.starts = self.nvs_erasures = 0
        self._out = bytearray()
        self.loader = Loader(flash, MAC, self._out.extend, self._started, self._erased)
        assert self.frames(raw=True) == [GREETING]

    def _started(self):
        self.starts += 1

    def _erased(self):
        self.nvs_erasures += 1

    def frames(self, raw=False):
        data = bytes(self._out)
        self._out.clear()
        if raw:
            return [data]
        found = [part for part in data.split(b"\xc0") if part]
        return [part.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb") for part in found]

    def send(self, packet, cut=None):
        frame = packet.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
        frame = b"\xc0" + frame + b"\xc0"
        for piece in (frame[:cut], frame[cut:]) if cut else (frame,):
            self.loader.feed(piece)

    def ask(self, command, payload=b"", checksum=0, cut=None):
        """Send a request; return the response's value, data and error."""
        self.send(struct.pack("<BBHI", 0, command, len(payload), checksum) + payload, cut)
        response = self.frames()[0]
        direction, operation, length, value = struct.unpack_from("<BBHI", response)
        body = response[8:]
        assert (direction, operation, length) == (1, command, len(body))
        status = 2 if self.loader.is_stub else 4
        data, (failed, error) = body[:-status], body[-status:][:2]
        assert failed == bool(error)
        return value, data, error

    def data(self, command, sequence, data):
        payload = struct.pack("<IIII", len(data), sequence, 0, 0) + data
        return self.ask(command, payload, reduce(xor, data, 0xEF))[2]

    def words(self, command, *words):
        return self.ask(command, struct.pack(f"<{len(words)}I", *words))

    def run_stub(self):
        self.words(Command.MEM_BEGIN, 8, 1, 8, 0x4009F000)
        assert self.data(Command.MEM_DATA, 0, bytes(8)) == 0
        self.send(struct.pack("<BBHIII", 0, Command.MEM_END, 8, 0, 0, 0x4009F004))
        assert self.frames()[-1] == b"OHAI"
        assert self.loader.is_stub


@pytest.fixture
def flash(tmp_path):
    whole = ChipFlash(tmp_path, 4)
    yield whole
    whole.close()


@pytest.fixture
def host(flash):
    return Host(flash.chip)


@pytest.fixture
def attached(host):
    host.words(Command.SPI_ATTACH, 0, 0)
    return host


def test_a_sync_is_answered_eight_times_with_what_tells_rom_from_stub(host):
    request = struct.pack("<BBHI", 0, Command.SYNC, 36, 0) + b"\x07\x07\x12\x20" + b"U" * 32
    for stub in (False, True):
        host.send(request, cut=5)
        responses = host.frames()
        assert len(responses) == 8
        values = {struct.unpack_from("<I", response, 4)[0] for response in responses}
        assert (values == {0}) == stub
        if not stub:
            host.run_stub()


def test_what_is_no_request_is_passed_over(host):
    host.loader.feed(b"noise \xc0\xc0\xc0 \xc0")
    host.send(b"\x01\x08\x00\x00\0\0\0\0")
    host.send(struct.pack("<BBHI", 0, Command.SYNC, 99, 0))
    assert host.frames() == []
    assert host.ask(0x99)[2] == INVALID
    assert host.ask(Command.READ_REG, b"\0")[2] == INVALID


def test_registers_tell_the_chip_and_its_address(host):
    assert host.words(Command.READ_REG, 0x40001000)[0] == 0x00F01D83
    high, low = (host.words(Command.READ_REG, 0x3FF5A000 + 4 * n)[0] for n in (2, 1))
    assert struct.pack(">II", high, low)[2:] == MAC
    assert host.words(Command.READ_REG, 0x12345678)[0] == 0
    host.words(Command.WRITE_REG, 0x12345678, 0xABCD, 0xFF, 0)
    assert host.words(Command.READ_REG, 0x12345678)[0] == 0xCD


def test_flash_is_out_of_reach_until_attached(host):
    assert host.words(Command.FLASH_BEGIN, 16, 1, 1024, 0x10000)[2] == FAILED
    assert host.words(Command.SPI_FLASH_MD5, 0, 16, 0, 0)[2] == FAILED


def test_the_rom_writes_what_comes_in_order_and_whole(attached, flash):
    assert attached.words(Command.FLASH_BEGIN, len(CONTENT), 5, 1024, 0x10000)[2] == 0
    pieces = [CONTENT[start : start + 1024] for start in range(0, len(CONTENT), 1024)]
    assert attached.data(Command.FLASH_DATA, 0, pieces[0]) == 0
    assert attached.data(Command.FLASH_DATA, 2, pieces[2]) == FAILED
    payload = struct.pack("<IIII", 1024, 1, 0, 0) + pieces[1]
    assert attached.ask(Command.FLASH_DATA, payload, 0)[2] == CHECKSUM
    for sequence, piece in enumerate(pieces[1:], start=1):
        assert attached.data(Command.FLASH_DATA, sequence, piece) == 0
    assert flash.get(0x10000, len(CONTENT)) == CONTENT
    _, digest, _ = attached.words(Command.SPI_FLASH_MD5, 0x10000, len(CONTENT), 0, 0)
    assert digest.decode() == hashlib.md5(CONTENT).hexdigest()
    assert attached.words(Command.READ_FLASH_SLOW, 0x10000 + 200, 10)[1][:10] == CONTENT[200:210]
    # Only the stub knows this, and the end of the writing ends the loader.
    assert attached.ask(Command.ERASE_FLASH)[2] == INVALID
    attached.words(Command.FLASH_END, 1)
    assert attached.starts == 1


def test_the_stub_unpacks_reads_erases_and_goes_back_to_the_rom(host, flash):
    host.run_stub()
    packed = zlib.compress(CONTENT)
    assert host.words(Command.FLASH_DEFL_BEGIN, len(CONTENT), 2, 16384, 0x10100, 0)[2] == 0
    assert host.data(Command.FLASH_DEFL_DATA, 0, packed[:100]) == 0
    assert host.data(Command.FLASH_DEFL_DATA, 1, packed[100:]) == 0
    host.words(Command.FLASH_DEFL_END, 1)
    assert flash.get(0x10100, len(CONTENT)) == CONTENT
    _, digest, _ = host.words(Command.SPI_FLASH_MD5, 0x10100, len(CONTENT), 0, 0)
    assert digest == hashlib.md5(CONTENT).digest()
    host.words(Command.FLASH_DEFL_BEGIN, len(CONTENT), 1, 16384, 0x20000, 0)
    assert host.data(Command.FLASH_DEFL_DATA, 0, b"not packed") == WRITE
    # A read: a block, an acknowledgement of what came, the next one, and a digest.
    payload = struct.pack("<IIII", 0x10100, 5000, BLOCK_BYTES, 64)
    host.send(struct.pack("<BBHI", 0, Command.READ_FLASH, len(payload), 0) + payload)
    _, block = host.frames()
    host.send(struct.pack("<I", len(block)))
    (rest,) = host.frames()
    host.send(struct.pack("<I", 5000))
    assert block + rest == CONTENT[:5000]
    assert host.frames() == [hashlib.md5(CONTENT[:5000]).digest()]
    host.words(Command.ERASE_REGION, 0x10000, 0x1000)
    assert set(flash.get(0x10000, 0x1000)) == {0xFF}
    assert flash.get(0x11000, 16) == CONTENT[0xF00:][:16]
    assert host.words(Command.ERASE_REGION, BLOCKS * BLOCK_BYTES, 0x1000)[2] == FAILED
    assert host.starts == host.nvs_erasures == 0
    host.ask(Command.ERASE_FLASH)
    assert host.nvs_erasures > 0
    host.send(struct.pack("<BBHII", 0, Command.FLASH_END, 4, 0, 0))
    assert not host.loader.is_stub and host.starts == 0


def test_an_entry_point_outside_of_what_was_loaded_is_no_stub(host):
    host.words(Command.MEM_BEGIN, 8, 1, 8, 0x4009F000)
    host.words(Command.MEM_END, 0, 0x40080000)
    assert not host.loader.is_stub
    assert host.starts == 1


def test_a_power_cut_reaches_the_board(attached, flash):
    flash.chip.cut_at(2, Torn.PREFIX)
    attached.words(Command.FLASH_BEGIN, 1024, 1, 1024, 0x10000)
    with pytest.raises(PowerCut):
        attached.data(Command.FLASH_DATA, 0, CONTENT[:1024])


def test_partitions_share_the_chip_but_not_their_counts(flash):
    flash.put(flash.files_start, b"\xff" * 16)
    flash.files.write(0, 0, b"\x0f")
    flash.journal.write(0, 0, b"\xf0")
    assert flash.get(flash.files_start, 1) == b"\x0f"
    assert flash.get((BLOCKS - 4) * BLOCK_BYTES, 1) == b"\xf0"
    assert (flash.files.operations, flash.journal.operations, flash.chip.operations) == (1, 1, 0)
    with pytest.raises(FlashMisuse):
        flash.files.erase(flash.files.blocks)


def test_any_flipped_byte_of_what_counts_is_noticed(flash):
    image = micropython("1.25.0", journal_blocks=4)
    flash.put(BOOTLOADER, image)
    assert flash.micropython() == "1.25.0"
    assert {"vfs", "journal"} < flash.partitions().keys()
    assert flash.partitions()["journal"].size == 4 * BLOCK_BYTES
    table = 0x8000
    segment = 0x10000 + 24 + 8
    for address in (
        BOOTLOADER,
        BOOTLOADER + 40,
        table,
        table + 5,
        table + 32,
        segment,
        segment + 20,
    ):
        old = flash.get(address, 1)
        flash.put(address, bytes((old[0] ^ 0x10,)))
        with pytest.raises(NotBootable):
            flash.micropython()
        flash.put(address, old)
    assert flash.micropython() == "1.25.0"
    flash.blank()
    with pytest.raises(NotBootable, match="invalid header: 0xffffffff"):
        flash.micropython()
