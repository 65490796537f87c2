"""The node's journal, which goes on in RAM when its flash fails.

A flash that can't be written any more must not silence a node that measures and has a link. New
readings go to a journal in RAM then, under a number of its own, once what the old one still gives
has been sent.
"""

from micropython import const

# Readings for which the heap has room whenever flash fails.
_SPARE_READINGS = const(200)
# docs/protocol.md, ``sensorFault``.
_WRITE_FAULT = const(6)


class Journal:
    """The node's journal, of whatever kind, and the one in RAM that follows it when it fails.

    ``number``, ``boot``, ``first``, ``next``, ``capacity``, read, free, reject and gap are those of
    the journal that is being sent; ``number`` may change with a free, and a read that returned
    False. fault: the number of the channel that tells of the journal's faults. ``degraded``:
    whether flash has failed since the node started.
    """

    def __init__(self, journal, fault, log):
        self._journal = self._newest = journal
        self._fault = fault
        self._log = log
        self.degraded = False

    def __getattr__(self, name):
        # number, boot, first, next, capacity and gap.
        return getattr(self._journal, name)

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
        from .identity import Identity
        from .journal_ram import RamJournal

        self._log("journal can't be written ({}); new readings are kept in RAM only", error)
        self._newest = RamJournal(Identity().new_journal(), _SPARE_READINGS)
        self.degraded = True
