"""A NOR flash in RAM, for the exhaustive tests: the extended block interface of esp32.Partition.

It checks what the chip doesn't, that no write sets a bit, and shows every write and erase to a
watcher before it happens. A cut leaves one of them done in part.
"""

import random

PREFIX = "a prefix of the bytes"
BITS = "some of the bits"
DONE = "all of it"
NONE = "nothing"
MODES = (NONE, PREFIX, BITS, DONE)


class Nor:
    def __init__(self, blocks, block_bytes, image=None):
        self.blocks = blocks
        self.block_bytes = block_bytes
        self.image = bytearray(image or b"\xff" * (blocks * block_bytes))
        self.writes = self.erases = self.reads = 0
        # Called with (start, data) before each operation; data is None for an erase.
        self.watch = None
        # Blocks whose cells are worn out: what is written there doesn't stick.
        self.worn = ()
        # Positions of bytes that lose all their bits when they are written.
        self.weak = ()

    def ioctl(self, op, arg):
        if op < 4:
            # To begin, to end and to write what is held back, which is nothing.
            return 0
        if op == 4:
            return self.blocks
        if op == 5:
            return self.block_bytes
        assert op == 6 and 0 <= arg < self.blocks
        self.erases += 1
        start = arg * self.block_bytes
        if self.watch:
            self.watch(start, None)
        self.image[start : start + self.block_bytes] = b"\xff" * self.block_bytes
        return 0

    def readblocks(self, block, buf, offset):
        self.reads += 1
        start = self._start(block, buf, offset)
        buf[:] = self.image[start : start + len(buf)]

    def writeblocks(self, block, buf, offset):
        self.writes += 1
        start = self._start(block, buf, offset)
        if block in self.worn:
            return
        if self.watch:
            self.watch(start, buf)
        for i, byte in enumerate(buf):
            assert not byte & ~self.image[start + i], "a write can't set bits"
            self.image[start + i] = 0 if start + i in self.weak else byte

    def cut(self, start, data, mode):
        """Return a chip on which the operation shown to the watcher was cut short."""
        chip = Nor(self.blocks, self.block_bytes, self.image)
        chip.tear(start, data, mode)
        return chip

    def tear(self, start, data, mode):
        """Do an operation shown to a watcher as far as the power lasted."""
        if mode == NONE:
            return
        length = self.block_bytes if data is None else len(data)
        done = random.randint(1, length - 1) if mode == PREFIX else length
        for i in range(start, start + done):
            if data is not None:
                noise = random.getrandbits(8) if mode == BITS else 0
                self.image[i] &= data[i - start] | noise
            elif mode == BITS:
                # An erase that is interrupted may leave any content.
                self.image[i] = random.getrandbits(8)
            else:
                self.image[i] = 0xFF

    def _start(self, block, buf, offset):
        assert 0 <= block < self.blocks and 0 <= offset <= self.block_bytes - len(buf)
        return block * self.block_bytes + offset
