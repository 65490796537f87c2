"""What tests of the firmware use for a board: its machine module, RTC memory and file system."""

import os
import sys

import vfs


class Reset(BaseException):
    """The board was reset; nothing below it goes on, as on a board."""


class Watchdog:
    def __init__(self, timeout):
        machine.timeout_ms = timeout
        machine.feeds = 0

    def feed(self):
        machine.feeds += 1


class Machine:
    """Stands where the machine module stands."""

    PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)
    WDT = Watchdog
    timeout_ms = feeds = 0

    def reset(self):
        raise Reset


class Memory(dict):
    """RTC memory as retained.Retained gives access to it."""

    def put(self, section, data):
        self[section] = bytes(data)


class _Ram:
    # A block device; full makes every write fail, as a worn-out chip does.
    full = False

    def __init__(self, blocks):
        self._data = bytearray(512 * blocks)

    def readblocks(self, block, buf, offset=0):
        start = 512 * block + offset
        buf[:] = self._data[start : start + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        if self.full:
            raise OSError(5)
        start = 512 * block + offset
        self._data[start : start + len(buf)] = buf

    def ioctl(self, op, arg):
        return {4: len(self._data) // 512, 5: 512}.get(op, 0)


def file_system():
    """Go to an empty LittleFS file system, and return its device."""
    device = _Ram(64)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(device, "/board")
    os.chdir("/board")
    # Needs the machine module that is put in place below.
    from feltpost import crash

    crash._PATH = "/board/crash.txt"
    return device


machine = Machine()
sys.modules["machine"] = machine
