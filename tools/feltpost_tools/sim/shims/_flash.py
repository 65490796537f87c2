"""The flash under a simulated board's file system.

The simulator makes every write and erase, so that it can cut the power in one. What is read is read
from its file, which holds at once what was written.

On a board a keyboard interrupt comes between two operations of the interpreter, never within the
driver of the file system. The unix port's comes wherever the signal finds it, and would leave the
driver with half of its work done. So the signal is held back from the first access to the flash
until the interpreter is out of the driver, which is when it runs what was scheduled. It then comes
with the next open(), or, where none follows soon, once more from the simulator.

Writing needs heap here, so a file that was never closed can't be when the collector finds it.
"""

import builtins
import os
import struct

import _host
import ffi
import micropython
import utime

_BLOCK_BYTES = 4096
# What a write carries at most, so that a message to the simulator stays small.
_PIECE_BYTES = 512

# sigprocmask(2): what to do with the signals of a set, here SIGINT's bit alone.
_BLOCK = 0
_UNBLOCK = 1
_SIGINT = b"\x02" + bytes(127)
_libc = ffi.open(None)
_mask = _libc.func("i", "sigprocmask", "iPP")
_pending = _libc.func("i", "sigpending", "P")
_consume = _libc.func("i", "sigwait", "PP")

_open = builtins.open

# How long the next open() may take the interrupt; the simulator sends it again later than that.
_TAKE_MS = 10


class Flash:
    def __init__(self):
        self._start, self._blocks = [int(part) for part in os.getenv("FELTPOST_FILES").split()]
        self._file = open(os.getenv("FELTPOST_FLASH"), "rb")
        self._held = False
        # Within an access, where what is scheduled may run too.
        self._busy = False
        self._let_go_later = self._let_go
        self._interrupted_ms = None
        self._signals = bytearray(128)
        self._signal = bytearray(4)

    def readblocks(self, block, buf, offset=0):
        self._busy = True
        if not self._held:
            self._hold()
        self._file.seek(self._start + block * _BLOCK_BYTES + offset)
        self._file.readinto(buf)
        self._busy = False

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            self.ioctl(6, block)
            offset = 0
        self._busy = True
        if not self._held:
            self._hold()
        view = memoryview(buf)
        for start in range(0, len(buf), _PIECE_BYTES):
            head = struct.pack("<HH", block, offset + start)
            _host.call(0x56, head + bytes(view[start : start + _PIECE_BYTES]))
        self._busy = False

    def ioctl(self, op, arg):
        if op == 4:
            return self._blocks
        if op == 5:
            return _BLOCK_BYTES
        if op == 6:
            self._busy = True
            if not self._held:
                self._hold()
            _host.call(0x76, struct.pack("<H", arg))
            self._busy = False
        return 0

    def _hold(self):
        while not self._held:
            try:
                _mask(_BLOCK, _SIGINT, None)
                self._held = True
                micropython.schedule(self._let_go_later, None)
            except KeyboardInterrupt:
                self._put_off()

    def _let_go(self, _):
        if self._busy:
            micropython.schedule(self._let_go_later, None)
            return
        _pending(self._signals)
        if self._signals[0] & _SIGINT[0]:
            _consume(_SIGINT, self._signal)
            self._put_off()
        self._held = False
        try:
            _mask(_UNBLOCK, _SIGINT, None)
        except KeyboardInterrupt:
            self._put_off()

    def _put_off(self):
        self._interrupted_ms = utime.ticks_ms()
        _host.interrupt_again(True)

    def open(self, *arguments, **named):
        """Open a file, unless a keyboard interrupt has waited for this."""
        if self._interrupted_ms is not None:
            since_ms = utime.ticks_diff(utime.ticks_ms(), self._interrupted_ms)
            self._interrupted_ms = None
            if since_ms < _TAKE_MS:
                _host.interrupt_again(False)
                raise KeyboardInterrupt
        return _open(*arguments, **named)
