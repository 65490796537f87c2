"""Writes and reads LittleFS images with MicroPython's own driver, while no board runs on them."""

import subprocess
import tempfile
from pathlib import Path

from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.flash import BLOCK_BYTES
from feltpost_tools.sim.interpreter import Interpreter

_TIMEOUT_S = 60

# Takes what to do, the image, and a folder of the host. The file system on an image knows the size
# and number of its blocks only, so a larger cache than a board's is as good and faster.
_PROGRAM = """\
import os, sys, vfs

BLOCK_BYTES = const(4096)
FOLDER = const(0x4000)

class Device:
    def __init__(self, path):
        self.blocks = os.stat(path)[6] // BLOCK_BYTES
        self.file = open(path, "r+b")

    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * BLOCK_BYTES + offset)
        self.file.readinto(buf)

    def writeblocks(self, block, buf, offset=0):
        self.file.seek(block * BLOCK_BYTES + offset)
        self.file.write(buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK_BYTES
        if op == 6:
            self.writeblocks(arg, b"\\xff" * BLOCK_BYTES)
        return 0

def copy(source, target):
    for name, kind, *_ in os.ilistdir(source):
        one, other = source + "/" + name, target + "/" + name
        if kind == FOLDER:
            try:
                os.mkdir(other)
            except OSError:
                os.stat(other)
            copy(one, other)
        else:
            with open(one, "rb") as read, open(other, "wb") as write:
                write.write(read.read())

task, image, folder = sys.argv[1:]
device = Device(image)
if task == "format":
    vfs.VfsLfs2.mkfs(device, readsize=256, progsize=256, lookahead=256)
board = vfs.VfsLfs2(device, readsize=256, progsize=256, lookahead=256)
host = vfs.VfsPosix(folder)
vfs.umount("/")
vfs.mount(host, "/host")
vfs.mount(board, "/board")
if task == "read":
    copy("/board", "/host")
else:
    copy("/host", "/board")
"""


def create(interpreter: Interpreter, image: Path, blocks: int, folder: Path) -> None:
    """Make an image of so many blocks that holds what is in a folder."""
    image.write_bytes(b"\xff" * (blocks * BLOCK_BYTES))
    _run(interpreter, "format", image, folder)


def add(interpreter: Interpreter, image: Path, folder: Path) -> None:
    """Copy what is in a folder over what is on an image."""
    _run(interpreter, "write", image, folder)


def extract(interpreter: Interpreter, image: Path, folder: Path) -> None:
    """Copy what is on an image into a folder. The image stays as it is."""
    _run(interpreter, "read", image, folder)


def _run(interpreter: Interpreter, task: str, image: Path, folder: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(_PROGRAM)
        program.flush()
        done = subprocess.run(
            [*interpreter.command, "-X", "heapsize=8M", program.name, task, image, folder],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    if done.returncode:
        # MicroPython prints a traceback on standard output or error, as the port has it.
        raise FeltpostError(f"{image}: {(done.stdout + done.stderr).strip()}")
