"""What is in a block of the flash journal, and how it is read and written.

A block begins with a header, which says what the journal's state was when the block was begun.
Slots of 16 bytes follow. Readings fill them from the front, one number a slot; marks, which say
how the state has changed since, fill them from the back. Every header, reading and mark has its
own CRC-32; a reading's starts from its number and a mark's from the block's generation, inverted,
so that none can be taken for another. A slot is programmed once and read back. The layout is in
docs/durability.md.
"""

import struct
from binascii import crc32

from micropython import const

from . import journal_gaps

# Block device operations, see MicroPython's vfs.AbstractBlockDev.
_IOCTL_BLOCKS = const(4)
_IOCTL_BLOCK_BYTES = const(5)
_IOCTL_ERASE = const(6)

# What a slot holds.
GOOD = const(0)
BLANK = const(1)
VOID = const(2)
BAD = const(3)

# Marks: numbers below a are freed; numbers a to b - 1 are given up for a reason; blocks after this
# one are about to be erased and hold nothing; the next block may hold readings; the next number is
# a, since what came before it is unreadable; boot a's offset.
MARK_FREED = const(1)
MARK_LOST = const(2)
MARK_BEGINNING = const(3)
MARK_BEGUN = const(4)
MARK_SKIPPED = const(5)
MARK_CLOCK = const(6)

_SLOT_BYTES = const(16)
_BODY_BYTES = const(12)
_BLANK = b"\xff" * 16
_VOID = bytes(16)

# "FPJ" and the version of the layout.
_MAGIC = const(0x46504A01)
# magic, generation, journal, base, first, boot, offset's low and high part (ms), gaps
_HEADER = "<IIIIIIIhH"
_GAPS_AT = const(32)
_HEADER_BODY_BYTES = const(76)
_HEADER_BYTES = const(80)
_CRC = "<I"

# channel, form, low byte of the boot, tag and uptime's high part, its low part (ms), mantissa
_READING = "<BBBBIi"
# Keeps a reading of zeros apart from a void slot.
_TAG = const(0x80)

# kind, reason, offset's high part, two numbers
_MARK = "<BBhII"

# Stands for the high part of an offset that is not known.
_UNKNOWN = const(-0x8000)
_LOW = const(0xFFFFFFFF)


class Header:
    """A block's beginning: which block of which journal, and the state when it was begun.

    base: the number of its first reading. gaps: those not confirmed, oldest first, ending at
    ``first``. offset_ms: Unix time less uptime in that boot, None where it was not known.
    """

    def __init__(self):
        self.generation = self.journal = self.base = self.first = self.boot = 0
        self.offset_ms = None
        self.gaps = []


class Mark:
    """A change of state: what kind, and two numbers whose meaning depends on it."""

    def __init__(self):
        self.kind = self.reason = self.a = self.b = self.high = 0

    def set_offset(self, boot, offset_ms):
        """Make it tell that boot's offset."""
        self.a = boot
        self.b = offset_ms & _LOW
        self.high = offset_ms >> 32

    def offset_ms(self):
        """Return the offset that it tells."""
        return self.high << 32 | self.b


class Pages:
    """The blocks of a device with MicroPython's extended block interface, such as a Partition.

    header_bytes: 0 for a device whose blocks have slots only.
    """

    def __init__(self, device, header_bytes=_HEADER_BYTES):
        self._device = device
        self._slots_at = header_bytes
        self.count = device.ioctl(_IOCTL_BLOCKS, 0)
        self.slots = (device.ioctl(_IOCTL_BLOCK_BYTES, 0) - header_bytes) // _SLOT_BYTES
        self._header = bytearray(header_bytes)
        self._slot = bytearray(_SLOT_BYTES)
        self._read_back = bytearray(_SLOT_BYTES)

    def load(self, block, header):
        """Fill header from that block; return whether there was a good one."""
        buf = self._header
        self._device.readblocks(block, buf, 0)
        body = memoryview(buf)[:_HEADER_BODY_BYTES]
        if struct.unpack_from(_CRC, buf, _HEADER_BODY_BYTES)[0] != crc32(body):
            return False
        magic, generation, journal, base, first, boot, low, high, count = struct.unpack_from(
            _HEADER, buf
        )
        if magic != _MAGIC:
            return False
        header.generation = generation
        header.journal = journal
        header.base = base
        header.first = first
        header.boot = boot
        header.offset_ms = None if high == _UNKNOWN else high << 32 | low
        header.gaps = journal_gaps.unpack(buf, _GAPS_AT, count, first)
        return True

    def begin(self, block, header):
        """Erase the block and write the header; return whether it reads back."""
        buf = self._header
        for i in range(_HEADER_BYTES):
            buf[i] = 0
        low, high = 0, _UNKNOWN
        if header.offset_ms is not None:
            low, high = header.offset_ms & _LOW, header.offset_ms >> 32
        struct.pack_into(
            _HEADER,
            buf,
            0,
            _MAGIC,
            header.generation,
            header.journal,
            header.base,
            header.first,
            header.boot,
            low,
            high,
            len(header.gaps),
        )
        journal_gaps.pack(header.gaps, buf, _GAPS_AT)
        struct.pack_into(_CRC, buf, _HEADER_BODY_BYTES, crc32(memoryview(buf)[:_HEADER_BODY_BYTES]))
        written = bytes(buf)
        self._device.ioctl(_IOCTL_ERASE, block)
        self._device.writeblocks(block, written, 0)
        self._device.readblocks(block, buf, 0)
        return buf == written

    def blank(self, block):
        """Tell whether that block's header was erased and not written since."""
        self._device.readblocks(block, self._header, 0)
        return all(byte == 0xFF for byte in self._header)

    def after(self, block):
        """Return the block after that one in the ring."""
        return (block + 1) % self.count

    def write(self, block, slot, number, channel, mantissa, form, uptime_ms, boot):
        """Write a reading; return whether it reads back."""
        struct.pack_into(
            _READING,
            self._slot,
            0,
            channel,
            form,
            boot & 0xFF,
            _TAG | uptime_ms >> 32,
            uptime_ms & _LOW,
            mantissa,
        )
        return self._program(block, slot, number)

    def read(self, block, slot, number, record):
        """Fill record from a slot that is GOOD; return what the slot holds.

        record.boot gets the low byte that the slot holds.
        """
        state = self.state(block, slot, number)
        if state == GOOD:
            channel, form, boot, high, low, mantissa = struct.unpack_from(_READING, self._slot)
            record.channel = channel
            record.form = form
            record.boot = boot
            record.uptime_ms = (high ^ _TAG) << 32 | low
            record.mantissa = mantissa
        return state

    def state(self, block, slot, seed):
        """Return what a slot holds; seed: the number, of a reading."""
        buf = self._slot
        self._device.readblocks(block, buf, self._slots_at + slot * _SLOT_BYTES)
        if buf == _BLANK:
            return BLANK
        if buf == _VOID:
            return VOID
        crc = crc32(memoryview(buf)[:_BODY_BYTES], seed)
        return GOOD if struct.unpack_from(_CRC, buf, _BODY_BYTES)[0] == crc else BAD

    def void(self, block, slot):
        """Clear a slot, whose reading was lost with the power."""
        self._device.writeblocks(block, _VOID, self._slots_at + slot * _SLOT_BYTES)

    def write_mark(self, block, index, generation, mark):
        """Write the block's mark of that index, counted from the back; tell if it reads back."""
        struct.pack_into(_MARK, self._slot, 0, mark.kind, mark.reason, mark.high, mark.a, mark.b)
        return self._program(block, self.slots - 1 - index, generation ^ _LOW)

    def read_mark(self, block, index, generation, mark):
        """Fill mark from a slot that is GOOD; return what the slot holds."""
        state = self.state(block, self.slots - 1 - index, generation ^ _LOW)
        if state == GOOD:
            mark.kind, mark.reason, mark.high, mark.a, mark.b = struct.unpack_from(
                _MARK, self._slot
            )
        return state

    def _program(self, block, slot, seed):
        buf = self._slot
        struct.pack_into(_CRC, buf, _BODY_BYTES, crc32(memoryview(buf)[:_BODY_BYTES], seed))
        offset = self._slots_at + slot * _SLOT_BYTES
        self._device.writeblocks(block, buf, offset)
        self._device.readblocks(block, self._read_back, offset)
        return self._read_back == buf
