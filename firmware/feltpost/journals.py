"""Opens the journal that the configuration asks for.

Of use while the node starts, and not in memory after that.
"""

import esp32

from .journal import Journal

_PARTITION = "journal"


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
    # What is only in RAM would not outlast a deep sleep.
    if journal is None and (settings.journal_mode == "ram" or settings.battery):
        from .journal_rtc import RtcJournal

        journal = RtcJournal(retained, identity, boot)
    elif journal is None:
        from .journal_ram import RamJournal

        journal = RamJournal(identity.new_journal(), settings.journal_readings)
    return Journal(journal, fault, log)


def _on_flash(device, identity, settings, retained, boot):
    if settings.journal_mode == "ram" or identity.last_journal():
        from .journal_rtc import RtcJournal

        journal = RtcJournal(retained, identity, boot, device)
        return journal if settings.journal_mode == "ram" else journal.retire(identity)
    from .journal_flash import FlashJournal

    return FlashJournal(device, identity.new_journal, boot)
