"""Opens the journal that the configuration asks for, and goes on in RAM when its flash fails.

A flash that can't be written any more must not silence a node that measures and has a link. New
readings go to a journal in RAM then, under a number of its own, once what the old one still gives
has been sent.
"""

import esp32
from micropython import const

_PARTITION = "journal"
# Readings for which the heap has room whenever flash fails.
_SPARE_READINGS = const(200)
# docs/protocol.md, ``sensorFault``.
_WRITE_FAULT = const(6)


def open_journal(identity, settings, retained, boot, fault, log):
    """Return the node's Journal.

    settings.journal_mode: "flash", or "ram" for readings that go to RTC memory first. boot: this
    boot's number. fault: the number of the channel that tells of the journal's faults.
    """
    found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=_PARTITION)
    journal = None
    if found:
        try:
            journal = _on_flash(found[0], identity, settings, retained, boot)
        except (OSError, ValueError) as error:
            # Worn out or too small: better less safe than silent.
            log("journal partition can't be used ({}); readings are kept in RAM only", error)
    if journal is None and settings.journal_mode == "ram":
        from .journal_rtc import RtcJournal

        journal = RtcJournal(retained, identity, boot)
    elif journal is None:
        from .journal_ram import RamJournal

        journal = RamJournal(identity.new_journal(), settings.journal_readings)
    return Journal(journal, identity.new_journal, fault, log)


def _on_flash(device, identity, settings, retained, boot):
    if settings.journal_mode == "ram" or identity.last_journal():
        from .journal_rtc import RtcJournal

        journal = RtcJournal(retained, identity, boot, device)
        return journal if settings.journal_mode == "ram" else journal.retire(identity)
    from .journal_flash import FlashJournal

    return FlashJournal(device, identity.new_journal, boot)


class Journal:
    """The node's journal, of whatever kind, and the one in RAM that follows it when it fails.

    ``number``, ``boot``, ``first``, ``next``, read, free, reject and gap are those of the journal
    that is being sent; ``number`` may change with a free, and a read that returned False.
    ``degraded``: whether flash has failed since the node started.
    """

    def __init__(self, journal, new_number, fault, log):
        self._journal = self._newest = journal
        self._new_number = new_number
        self._fault = fault
        self._log = log
        self.degraded = False

    @property
    def number(self):
        """The journal's number."""
        return self._journal.number

    @property
    def boot(self):
        """What its readings have for this boot's number."""
        return self._journal.boot

    @property
    def first(self):
        """The oldest number that is kept."""
        return self._journal.first

    @property
    def next(self):
        """The number that follows the newest one kept."""
        return self._journal.next

    @property
    def capacity(self):
        """How many readings it keeps before the oldest go."""
        return self._journal.capacity

    def __len__(self):
        count = len(self._journal)
        if self._newest is not self._journal:
            count += len(self._newest)
        return count

    def append(self, channel, mantissa, form, uptime_ms):
        """Keep a reading."""
        try:
            self._append(channel, mantissa, form, uptime_ms)
        except OSError as error:
            self._fail(error)
            self._append(channel, mantissa, form, uptime_ms)

    def read(self, number, record):
        """Fill record with the reading of that number; return False where it can't be read."""
        if self._attempt(self._journal.read, number, record):
            return True
        if self.degraded and self._journal.first == number:
            # It can't be given up either. What is left there waits for the next start.
            self._journal = self._newest
        return False

    def free(self, below):
        """Let all numbers below that one go: the gateway has them on disk."""
        self._attempt(self._journal.free, below)
        if not len(self._journal) and not self.gap():
            self._journal = self._newest

    def reject(self, number):
        """Give up the oldest reading, if that is its number: the gateway refuses it for good."""
        self._attempt(self._journal.reject, number)

    def gap(self):
        """Return the oldest gap that the gateway has not confirmed, or None."""
        return self._journal.gap()

    def set_clock(self, offset_ms):
        """Note Unix time less uptime of this boot (ms), for readings that outlive it."""
        self._attempt(self._journal.set_clock, offset_ms)

    def spill(self):
        """Bring to flash what is not there yet: the link is down."""
        self._attempt(self._newest.spill)

    def _append(self, channel, mantissa, form, uptime_ms):
        if self.degraded and not self._newest.next:
            # The first reading of the journal in RAM says why it is there.
            self._newest.append(self._fault, _WRITE_FAULT, 0, uptime_ms)
        self._newest.append(channel, mantissa, form, uptime_ms)

    def _attempt(self, method, *arguments):
        # What could not be written down is in the old journal's RAM all the same; after a restart
        # some of it is sent again.
        try:
            return method(*arguments)
        except OSError as error:
            self._fail(error)
            return None

    def _fail(self, error):
        if self.degraded:
            return
        from .journal_ram import RamJournal

        self._log("journal can't be written ({}); new readings are kept in RAM only", error)
        self._newest = RamJournal(self._new_number(), _SPARE_READINGS)
        self.degraded = True
