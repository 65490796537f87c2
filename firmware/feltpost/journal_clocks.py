"""The clocks of former boots, as their marks in the flash journal's blocks tell them."""

from .journal_page import BLANK, GOOD, MARK_CLOCK, Header, Mark


class Clocks:
    """Finds a boot's offset, Unix time less uptime, and remembers the last one found."""

    def __init__(self, pages):
        self._pages = pages
        self._header = Header()
        self._mark = Mark()
        self._boot = self._block = -1
        self._offset_ms = None

    def offset_ms(self, boot, block, newest):
        """Return the offset of a former boot that has a reading in block, None if never known."""
        if boot != self._boot or block != self._block:
            self._boot = boot
            self._block = block
            self._offset_ms = self._search(boot, block, newest)
        return self._offset_ms

    def _search(self, boot, block, newest):
        # What was noted last in this block knows best. Else the block's header has it if it was
        # known then, or it was noted in a block after it, or not at all.
        header = self._header
        while True:
            if self._pages.load(block, header):
                if header.boot > boot:
                    return None
                offset_ms = self._marked(boot, block, header.generation)
                if offset_ms is None and header.boot == boot:
                    offset_ms = header.offset_ms
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
