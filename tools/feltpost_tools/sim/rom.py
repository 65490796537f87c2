"""The loader in the ESP32's ROM, as esptool speaks to it on the serial line.

It answers as Espressif's "Serial Protocol" describes (esptool's documentation, Advanced Topics) and
works on the board's flash. It executes nothing: what is loaded into RAM and started is taken for
esptool's stub, whose dialect it speaks from then on.
"""

import enum
import hashlib
import struct
import zlib
from collections.abc import Callable
from functools import reduce
from operator import xor

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.chipflash import holds_nvs
from feltpost_tools.sim.flash import BLOCK_BYTES, NorFlash

_ROM = b"ets Jul 29 2019 12:21:46\r\n\r\n"
_FLASH_BOOT = b"boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
GREETING = (
    _ROM + b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n"
    b"waiting for download\r\n"
)
WATCHDOG_START = _ROM + b"rst:0x10 (RTCWDT_RTC_RESET)," + _FLASH_BOOT
"""What the ROM prints when the chip starts over because it could not start."""
BROWN_OUT = (
    b"\r\nBrownout detector was triggered\r\n\r\n" + _ROM + b"rst:0xc (SW_CPU_RESET)," + _FLASH_BOOT
)
"""What ESP-IDF and the ROM print when the voltage was too low."""

_END, _ESCAPE = b"\xc0", b"\xdb"
_ESCAPES = {b"\xdb": b"\xdb\xdd", b"\xc0": b"\xdb\xdc"}

_HEAD = struct.Struct("<BBHI")
_REQUEST, _RESPONSE = 0, 1
_WORDS = struct.Struct("<IIII")
_CHECKSUM_SEED = 0xEF
# A request is answered by that many responses, so that the host finds the baud rate.
_SYNC_RESPONSES = 8
# What the ROM gives as value there; the stub gives 0, which is how esptool tells them apart.
_SYNC_VALUE = 0x20120707
_SLOW_READ_BYTES = 64

# The chip's registers that esptool reads (ESP32 Technical Reference Manual).
_MAGIC_REGISTER, _MAGIC = 0x40001000, 0x00F01D83
_EFUSE = 0x3FF5A000
_APB_CTL_DATE = 0x3FF6607C
_UART_CLOCK_DIVIDER = 0x3FF40014
_CRYSTAL_HZ = 40_000_000
_BAUD = 115_200
_SPI_COMMAND = 0x3FF42000
_SPI_USER_2 = _SPI_COMMAND + 0x24
_SPI_W0 = _SPI_COMMAND + 0x80
_SPI_START = 1 << 18
_READ_ID = 0x9F
# A ZB25VQ32's: maker, type, and 2**0x16 bytes.
_FLASH_ID = 0x16405E


class Command(enum.IntEnum):
    """What the host asks for; those from 0xD0 on only the stub knows."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


_STUB_ONLY = Command.ERASE_FLASH


class _Refused(FeltpostError):
    """The request can't be done; error is the loader's number for the reason."""

    INVALID_MESSAGE, FAILED, INVALID_CHECKSUM, FLASH_WRITE = 0x05, 0x06, 0x07, 0x08

    def __init__(self, error: int):
        super().__init__(f"refused, error {error:#04x}")
        self.error = error


class Loader:
    """The loader, from a reset on until the next one.

    It may raise PowerCut where its flash does; the board has no power then.
    """

    def __init__(
        self,
        flash: NorFlash,
        mac: bytes,
        send: Callable[[bytes], None],
        start: Callable[[], None],
        nvs_erased: Callable[[], None],
    ):
        """flash: the whole chip. send takes what goes to the line. start is called when the chip
        is to start from its flash, nvs_erased when an erase has hit the place of NVS."""
        self._flash = flash
        self._mac = mac
        self._send = send
        self._start = start
        self._nvs_erased = nvs_erased
        self._received = bytearray()
        self._reset()

    def _reset(self) -> None:
        # Also without a button: which pins were held at the last one is still in a register.
        self.is_stub = False
        self._registers = _registers(self._mac)
        self._ram: list[range] = []
        self._attached = False
        # What is being written: where the next byte goes, what is blank up to where, and what
        # unpacks it.
        self._address = self._blank_to = 0
        self._sequence = 0
        self._unpack: Callable[[bytes], bytes] = bytes
        # What is left of a read that the host acknowledges block by block.
        self._reading: memoryview | None = None
        self._read_digest = b""
        self._send(GREETING)

    def feed(self, data: bytes) -> None:
        """Take what comes from the line."""
        self._received += data
        while _END in self._received:
            frame, _, rest = self._received.partition(_END)
            self._received = rest
            if frame:
                self._take(_unescape(bytes(frame)))

    def _take(self, packet: bytes) -> None:
        if self._reading is not None and len(packet) == 4:
            self._read_on()
            return
        if len(packet) < _HEAD.size:
            return
        direction, operation, length, checksum = _HEAD.unpack_from(packet)
        payload = packet[_HEAD.size :]
        if direction != _REQUEST or length != len(payload):
            return
        try:
            command = Command(operation)
            if command >= _STUB_ONLY and not self.is_stub:
                raise _Refused(_Refused.INVALID_MESSAGE)
            self._serve(command, payload, checksum)
        except _Refused as refused:
            self._respond(operation, error=refused.error)
        except (ValueError, struct.error):
            self._respond(operation, error=_Refused.INVALID_MESSAGE)

    def _respond(self, operation: int, value: int = 0, data: bytes = b"", error: int = 0) -> None:
        status = bytes((bool(error), error))
        if not self.is_stub:
            status += bytes(2)
        body = data + status
        self._send_frame(_HEAD.pack(_RESPONSE, operation, len(body), value) + body)

    def _send_frame(self, packet: bytes) -> None:
        escaped = packet
        for plain, escape in _ESCAPES.items():
            escaped = escaped.replace(plain, escape)
        self._send(_END + escaped + _END)

    def _serve(self, command: Command, payload: bytes, checksum: int) -> None:
        match command:
            case Command.SYNC:
                for _ in range(_SYNC_RESPONSES):
                    self._respond(command, 0 if self.is_stub else _SYNC_VALUE)
            case Command.READ_REG:
                (address,) = struct.unpack("<I", payload)
                self._respond(command, self._registers.get(address, 0))
            case Command.WRITE_REG:
                self._write_registers(payload)
                self._respond(command)
            case Command.CHANGE_BAUDRATE:
                (baud,) = struct.unpack_from("<I", payload)
                self._registers[_UART_CLOCK_DIVIDER] = _CRYSTAL_HZ // baud
                self._respond(command)
            case Command.SPI_ATTACH:
                self._attached = True
                self._respond(command)
            case Command.SPI_SET_PARAMS:
                self._respond(command)
            case Command.MEM_BEGIN | Command.MEM_DATA | Command.MEM_END:
                self._load(command, payload, checksum)
            case Command.RUN_USER_CODE:
                self._start()
            case _:
                self._use_flash(command, payload, checksum)

    def _write_registers(self, payload: bytes) -> None:
        for address, value, mask, _ in _WORDS.iter_unpack(payload):
            old = self._registers.get(address, 0)
            self._registers[address] = old & ~mask | value & mask
            if address == _SPI_COMMAND and value & _SPI_START:
                # The controller sends a command to the flash chip, and is done at once.
                self._registers[_SPI_COMMAND] = 0
                sent = self._registers.get(_SPI_USER_2, 0) & 0xFF
                self._registers[_SPI_W0] = _FLASH_ID if sent == _READ_ID else 0

    def _load(self, command: Command, payload: bytes, checksum: int) -> None:
        if command is Command.MEM_BEGIN:
            size, _, _, address = _WORDS.unpack(payload)
            self._ram.append(range(address, address + size))
            self._respond(command)
        elif command is Command.MEM_DATA:
            _checked(payload, checksum)
            self._respond(command)
        else:
            stays, entry = struct.unpack("<II", payload)
            self._respond(command)
            if stays:
                return
            if not any(entry in loaded for loaded in self._ram):
                self._start()
                return
            self.is_stub = self._attached = True
            self._send_frame(b"OHAI")

    # Flash

    def _use_flash(self, command: Command, payload: bytes, checksum: int) -> None:
        if not self._attached:
            raise _Refused(_Refused.FAILED)
        match command:
            case Command.FLASH_BEGIN | Command.FLASH_DEFL_BEGIN:
                self._begin(command, payload)
                self._respond(command)
            case Command.FLASH_DATA | Command.FLASH_DEFL_DATA:
                self._write(_checked(payload, checksum), *struct.unpack_from("<4xI", payload))
                self._respond(command)
            case Command.FLASH_END | Command.FLASH_DEFL_END:
                self._finish(command, *struct.unpack("<I", payload))
            case Command.SPI_FLASH_MD5:
                address, count, _, _ = _WORDS.unpack(payload)
                digest = hashlib.md5(self._read(address, count))
                raw = digest.digest() if self.is_stub else digest.hexdigest().encode()
                self._respond(command, data=raw)
            case Command.READ_FLASH_SLOW:
                address, count = struct.unpack("<II", payload)
                data = self._read(address, min(count, _SLOW_READ_BYTES))
                self._respond(command, data=data.ljust(_SLOW_READ_BYTES, b"\0"))
            case Command.READ_FLASH:
                address, count, _, _ = _WORDS.unpack(payload)
                data = self._read(address, count)
                self._reading = memoryview(data)
                self._read_digest = hashlib.md5(data).digest()
                self._respond(command)
                self._read_on()
            case Command.ERASE_FLASH:
                self._erase(0, self._flash.blocks * BLOCK_BYTES)
                self._respond(command)
            case _:
                address, count = struct.unpack("<II", payload)
                self._erase(address, address + count)
                self._respond(command)

    def _begin(self, command: Command, payload: bytes) -> None:
        size, _, _, address = _WORDS.unpack_from(payload)
        if address + size > self._flash.blocks * BLOCK_BYTES:
            raise _Refused(_Refused.FAILED)
        self._sequence = 0
        self._address = address
        self._blank_to = address - address % BLOCK_BYTES
        packed = command is Command.FLASH_DEFL_BEGIN
        self._unpack = zlib.decompressobj().decompress if packed else bytes
        if not self.is_stub:
            # The ROM erases all of it before the first byte comes, the stub as it goes.
            self._make_blank(address + size)

    def _write(self, data: bytes, sequence: int) -> None:
        if sequence != self._sequence:
            raise _Refused(_Refused.FAILED)
        try:
            data = self._unpack(data)
        except zlib.error:
            raise _Refused(_Refused.FLASH_WRITE) from None
        self._sequence += 1
        # The last block of what is not packed is filled up, beyond what was announced.
        self._make_blank(self._address + len(data))
        while data:
            block, position = divmod(self._address, BLOCK_BYTES)
            piece = data[: BLOCK_BYTES - position]
            self._flash.write(block, position, piece)
            self._address += len(piece)
            data = data[len(piece) :]

    def _finish(self, command: Command, stays: int) -> None:
        # The ROM starts what is in the flash in any case; the stub stays, or goes to the ROM.
        self._respond(command)
        if not self.is_stub:
            self._start()
        elif not stays:
            self._reset()

    def _make_blank(self, end: int) -> None:
        if end > self._blank_to:
            self._erase(self._blank_to, end)
            self._blank_to = end + -end % BLOCK_BYTES

    def _erase(self, start: int, end: int) -> None:
        for block in range(start // BLOCK_BYTES, (end + BLOCK_BYTES - 1) // BLOCK_BYTES):
            if block >= self._flash.blocks:
                raise _Refused(_Refused.FAILED)
            if holds_nvs(block * BLOCK_BYTES):
                self._nvs_erased()
            self._flash.erase(block)

    def _read(self, address: int, count: int) -> bytes:
        if address + count > self._flash.blocks * BLOCK_BYTES:
            raise _Refused(_Refused.FAILED)
        first = address // BLOCK_BYTES
        last = (address + count + BLOCK_BYTES - 1) // BLOCK_BYTES
        blocks = b"".join(self._flash.read(i, 0, BLOCK_BYTES) for i in range(first, last))
        return blocks[address % BLOCK_BYTES :][:count]

    def _read_on(self) -> None:
        # Send the next block, or after the last one the digest.
        assert self._reading is not None
        if not self._reading:
            self._reading = None
            self._send_frame(self._read_digest)
            return
        self._send_frame(bytes(self._reading[:BLOCK_BYTES]))
        self._reading = self._reading[BLOCK_BYTES:]


def _checked(payload: bytes, checksum: int) -> bytes:
    # Return the data of a block. Raises _Refused where the checksum is another one.
    data = payload[_WORDS.size :]
    if reduce(xor, data, _CHECKSUM_SEED) != checksum & 0xFF:
        raise _Refused(_Refused.INVALID_CHECKSUM)
    return data


def _registers(mac: bytes) -> dict[int, int]:
    # An ESP32-D0WD-V3, revision 3.1, with this address in its eFuses.
    return {
        _MAGIC_REGISTER: _MAGIC,
        _EFUSE + 4 * 1: int.from_bytes(mac[2:], "big"),
        _EFUSE + 4 * 2: int.from_bytes(mac[:2], "big"),
        _EFUSE + 4 * 3: 1 << 15 | 1 << 9,
        _EFUSE + 4 * 5: 1 << 24 | 1 << 20,
        _APB_CTL_DATE: 1 << 31,
        _UART_CLOCK_DIVIDER: _CRYSTAL_HZ // _BAUD,
    }


def _unescape(frame: bytes) -> bytes:
    for plain, escape in reversed(_ESCAPES.items()):
        frame = frame.replace(escape, plain)
    return frame
