"""The journal in RTC memory, in front of the one on flash: no flash is written while all goes well.

New readings go to RTC memory, which keeps them through deep sleep and every reset, and go to flash
in one batch when it is full or the link is down. What the gateway has taken before that costs no
flash at all. When the power goes, RTC memory goes with it: the numbers that may have been given
then, by what NVS has reserved, become a gap. docs/durability.md has the argument.
"""

import struct

from micropython import const

from . import journal_gaps
from .journal_gaps import GAP_CORRUPT, GAP_FULL, GAP_POWER, GAP_REJECTED, Gap, Gaps
from .journal_page import GOOD, Pages
from .retained import JOURNAL

# journal number, oldest kept, numbers of gaps and of boots
_STATE = "<IIBB"
_GAPS_AT = const(10)
# number, Unix time less uptime (ms)
_BOOT = "<Iq"
_BOOTS_AT = const(50)
_BOOT_BYTES = const(12)
_STATE_BYTES = const(98)
# Of how many boots readings can be kept; more only come of resets with nothing sent in between.
_BOOTS_MOST = const(4)
_UNKNOWN = const(-1)

_IOCTL_BLOCKS = const(4)


class RtcJournal:
    """``first`` is the oldest reading kept, ``next`` the next number to be given.

    retained: the Retained. identity: gives journal numbers, and reserves those of readings. boot:
    this boot's number. device: the flash partition for what doesn't fit, as FlashJournal takes it;
    None where there is none, and the oldest reading then goes for a new one.

    Methods raise OSError when the partition does, or when it can't be written any more.
    """

    def __init__(self, retained, identity, boot, device=None):
        self.boot = boot
        self._retained = retained
        self._pages = Pages(_Tail(retained), 0)
        self._gaps = Gaps(0)
        self.next = 0
        # Pairs of boot and offset, oldest first, of the boots that have readings here.
        self._boots = []
        self.number = self._load()
        remembered = self.number
        self._flash = self._open_flash(device, identity.new_journal)
        if self._flash is not None:
            self.number = self._flash.number
        elif not remembered:
            self.number = identity.last_journal() or identity.new_journal()
        self._reserve = identity.readings(self.number)
        self._recover(remembered == self.number)

    @property
    def first(self):
        """The oldest number that is kept."""
        return self._flash.first if self._on_flash() else self._gaps.first

    @property
    def capacity(self):
        """How many readings it keeps before the oldest go, in RTC memory and on flash."""
        return self._pages.slots + (self._flash.capacity if self._flash is not None else 0)

    def __len__(self):
        return self._on_flash() + self.next - self._gaps.first

    def append(self, channel, mantissa, form, uptime_ms):
        """Keep a reading and return its sequence number; it is in RTC memory then."""
        number = self.next
        self._reserve.cover(number)
        self._enter_boot()
        if number - self._gaps.first == self._pages.slots:
            if self._flash is not None:
                self.spill()
            else:
                self._lose(GAP_FULL)
        slot = number % self._pages.slots
        self._pages.write(0, slot, number, channel, mantissa, form, uptime_ms, self.boot)
        self.next = number + 1
        return number

    def read(self, number, record):
        """Fill record with the reading of that number, which must be kept.

        Return False where it can't be read any more; it becomes a gap when all before it are gone.
        """
        if number >= self._gaps.first:
            readable = self._read_here(number, record)
            if not readable and number == self.first:
                self._lose(GAP_CORRUPT)
            return readable
        # What lies between those on flash and those here is a gap.
        return self._on_flash() and number < self._flash.next and self._flash.read(number, record)

    def free(self, below):
        """Let all numbers below that one go: the gateway has them on disk."""
        below = min(below, self.next)
        if below > self._begin():
            self._gaps.free(below)
            self._save()
        if self._flash is not None:
            self._flash.free(min(below, self._flash.next))

    def reject(self, number):
        """Give up the oldest reading, which the gateway refuses for good.

        number tells which one was meant: it may have gone meanwhile, the journal being full.
        """
        if self._on_flash():
            self._flash.reject(number)
        elif number == self.first and len(self):
            self._lose(GAP_REJECTED)

    def gap(self):
        """Return the oldest gap that the gateway has not confirmed, or None."""
        gap = self._flash.gap() if self._flash is not None else None
        if gap or self._on_flash():
            return gap
        return self._gaps.ranges[0] if self._gaps.ranges else None

    def set_clock(self, offset_ms):
        """Note Unix time less uptime of this boot (ms), for readings that outlive it."""
        self._enter_boot()
        self._boots[-1] = self.boot, offset_ms
        self._save()
        if self._on_flash() and self._flash.boot == self.boot:
            self._flash.set_clock(offset_ms)

    def spill(self):
        """Bring everything to flash, where there is one: the link is down, or here it is full."""
        flash = self._flash
        if flash is None or self._gaps.first == self.next:
            return
        if flash.next < self._gaps.first:
            flash.advance(self._gaps.first, self._gaps.ranges)
        self._spill_readings(flash)
        self._gaps = Gaps(self.next)
        self._save()

    def retire(self, identity):
        """Bring everything to flash and return the journal there, for a node that uses it alone."""
        self.spill()
        flash = self._flash
        if flash.next < self.next:
            flash.advance(self.next, self._gaps.ranges)
        identity.readings(0)
        flash.take_boot(self.boot, None)
        return flash

    def _spill_readings(self, flash):
        from .record import Record

        record = Record()
        while flash.next < self.next:
            number = flash.next
            if not self._read_here(number, record):
                flash.advance(number + 1, (Gap(number, 1, GAP_CORRUPT),))
                continue
            if flash.boot != record.boot or flash.offset_ms() != record.offset_ms:
                flash.take_boot(record.boot, record.offset_ms)
            flash.append(record.channel, record.mantissa, record.form, record.uptime_ms)

    def _read_here(self, number, record):
        if self._pages.read(0, number % self._pages.slots, number, record) != GOOD:
            return False
        record.boot, record.offset_ms = self._boot_of(record.boot)
        return True

    def _begin(self):
        # Return the number from which on nothing is on flash.
        return self._gaps.ranges[0].first if self._gaps.ranges else self._gaps.first

    def _on_flash(self):
        # How many readings are on flash; they are older than those here.
        return len(self._flash) if self._flash is not None else 0

    def _lose(self, reason):
        self._gaps.lose(self._gaps.first + 1, reason)
        self._save()

    def _open_flash(self, device, new_number):
        if device is None:
            return None
        from .journal_spill import SpillJournal

        held = (self.number, self._gaps.first) if self.number else None
        oldest = self._boots[0][0] if self._boots else self.boot
        return SpillJournal(device, new_number, oldest, held)

    # Boots.

    def _enter_boot(self):
        # See to it that the last of the boots is this one.
        if self._boots and self._boots[-1][0] == self.boot:
            return
        if len(self._boots) == _BOOTS_MOST:
            self.spill()
            # Without flash the oldest readings are left with no more than their order.
            self._boots = self._boots[1 - _BOOTS_MOST :]
        self._boots.append((self.boot, None))
        self._save()

    def _boot_of(self, low):
        # Return number and offset of the boot whose number has that low byte.
        for entry in self._boots:
            if entry[0] & 0xFF == low:
                return entry
        return 0, None

    # What RTC memory holds beside the readings.

    def _load(self):
        # Return the number of the journal that RTC memory holds, 0 where it holds none.
        data = self._retained.get(JOURNAL)
        if not data:
            return 0
        number, first, gaps, boots = struct.unpack_from(_STATE, data)
        self._gaps = Gaps(first)
        self._gaps.ranges = journal_gaps.unpack(data, _GAPS_AT, gaps, first)
        for i in range(boots):
            boot, offset_ms = struct.unpack_from(_BOOT, data, _BOOTS_AT + i * _BOOT_BYTES)
            self._boots.append((boot, None if offset_ms == _UNKNOWN else offset_ms))
        return number

    def _save(self):
        if self._gaps.first == self.next:
            # Nothing is here of former boots.
            self._boots = [entry for entry in self._boots if entry[0] == self.boot]
        data = bytearray(_STATE_BYTES)
        ranges = self._gaps.ranges
        struct.pack_into(
            _STATE, data, 0, self.number, self._gaps.first, len(ranges), len(self._boots)
        )
        journal_gaps.pack(ranges, data, _GAPS_AT)
        for i, (boot, offset_ms) in enumerate(self._boots):
            known = _UNKNOWN if offset_ms is None else offset_ms
            struct.pack_into(_BOOT, data, _BOOTS_AT + i * _BOOT_BYTES, boot, known)
        self._retained.put(JOURNAL, data)

    def _recover(self, remembered):
        # Find where the numbers go on: behind what is on flash, and behind what may have been used.
        on_flash = self._flash.next if self._flash is not None else 0
        if remembered:
            self._gaps.free(on_flash)
            self.next = self._scan()
            remembered = self._reserve.last_known(self.next)
        if not remembered:
            for slot in range(self._pages.slots):
                # Another journal's reading would pass for one of this.
                self._pages.void(0, slot)
            self._boots = []
            self._gaps = Gaps(on_flash)
            self._gaps.lose(self._reserve.limit, GAP_POWER)
            self.next = self._gaps.first
        elif self._begin() > on_flash and self._flash is not None:
            # What lies between was freed, which it could only be after what is on flash.
            self._flash.free(on_flash)
        self._save()

    def _scan(self):
        # Return the number after the newest reading here. One that a reset tore was never given.
        number = self._gaps.first
        slots = self._pages.slots
        while (
            number - self._gaps.first < slots
            and self._pages.state(0, number % slots, number) == GOOD
        ):
            number += 1
        return number


class _Tail:
    # The tail of RTC memory as a device with one block, for Pages.

    def __init__(self, retained):
        self._view = retained.tail()
        self._store = retained.store

    def ioctl(self, op, arg):
        return 1 if op == _IOCTL_BLOCKS else len(self._view)

    def readblocks(self, block, buf, offset):
        buf[:] = self._view[offset : offset + len(buf)]

    def writeblocks(self, block, buf, offset):
        self._view[offset : offset + len(buf)] = buf
        self._store()
