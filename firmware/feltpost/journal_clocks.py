"""The clocks of former boots, as their marks in the flash journal's blocks tell them."""

from .journal_page import BLANK, GOOD, MARK_CLOCK, Header, Mark


class Clocks:
    """Finds a boot's offset, Unix time less uptime, and remembers the last one found."""

    def __init__(self, pages):
        self._pages = pages
        self._header = Header()
        self._mark = Mark()
        self._boot = -1
        self._offset_ms = None

    def offset_ms(self, boot, block, newest):
        """Return the offset of a former boot that has a reading in block, None if never known."""
        if boot != self._boot:
            self._boot = boot
            self._offset_ms = self._search(boot, block, newest)
        return self._offset_ms

    def _search(self, boot, block, newest):
        # The block's header has it if it was known then. Else it was noted later, in this block or
        # in one after it, or not at all.
        header = self._header
        while True:
            if self._pages.load(block, header):
                if header.boot > boot:
                    return None
                if header.boot == boot and header.offset_ms is not None:
                    return header.offset_ms
                offset_ms = self._marked(boot, block, header.generation)
                if offset_ms is not None:
                    return offset_ms
            if block == newest:
                return None
            block = self._pages.after(block)

    def _marked(self, boot, block, generation):
        mark = self._mark
        offset_ms = None
        for i in range(self._pages.slots):
            state = self._pages.read_mark(block, i, generation, mark)
            if state == BLANK:
                break
            if state == GOOD and mark.kind == MARK_CLOCK and mark.a == boot:
                offset_ms = mark.offset_ms()
        return offset_ms
