"""Looks for what keeps a gateway from working, on this computer and at its brokers.

Each check changes nothing, and says for what it finds what to do about it. The checks of brokers
are in `doctor_brokers`.
"""

import ctypes
import grp
import os
import socket
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from feltpost_gateway.clock import SystemClock
from feltpost_gateway.config import Config
from feltpost_gateway.errors import FeltpostError
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.store_view import find_gateway, open_view
from feltpost_gateway.texts import Text, text

_MIB = 1 << 20
_CHECK_MAX_S = 60.0
_CHECK_STEPS = 10_000

_MOUNTS = Path("/proc/self/mountinfo")
_LOST_ON_RESTART = ("tmpfs", "ramfs", "overlay")
_UNFIT = ("vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk")
# SQLite's write-ahead log needs memory that all of its users share (https://sqlite.org/wal.html).
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs")
_UNSAFE_OPTIONS = ("nobarrier", "barrier=0", "data=writeback", "fsync_mode=nobarrier")

# adjtimex(2): the state of a clock that no time service keeps right.
_TIME_ERROR = 5


class Level(StrEnum):
    """Whether something is in order, deserves a look, or keeps the gateway from its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """What a check found about `subject`, and what to do, None where that is nothing."""

    check: str
    subject: str
    level: Level
    what: Text
    advice: Text | None = None


def check_here(config: Config) -> Iterator[Finding]:
    """Check this computer: serial ports, clock, disk, store, files, ports."""
    gateway_pid = find_gateway(config.store.path)
    yield from check_clock()
    yield from check_disk(config.store.path, config.store.min_free_mib * _MIB)
    yield from check_store(config.store.path)
    for serial in config.serial:
        yield check_serial(Path(serial.port))
    for destination in config.all_destinations:
        if destination.key_file is not None:
            yield check_secret(destination.key_file)
    if config.udp is not None:
        address = (config.udp.bind, config.udp.port)
        yield check_port("udp", address, socket.SOCK_DGRAM, gateway_pid)
    if config.metrics is not None:
        address = (config.metrics.bind, config.metrics.port)
        yield check_port("metrics", address, socket.SOCK_STREAM, gateway_pid)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), of which nothing is read."""

    _fields_ = (("modes", ctypes.c_uint), ("rest", ctypes.c_byte * 252))


def _clock_state() -> int:
    # The state is the same, whatever kind of time service the computer has.
    return int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(_Timex())))


def check_clock(state: Callable[[], int] = _clock_state) -> Iterator[Finding]:
    """Check that the clock is set and that a time service keeps it right.

    `state` returns what adjtimex(2) does.
    """
    if not SystemClock().is_set():
        yield Finding(
            "clock",
            "",
            Level.FAILED,
            text("shows a time before this program was made, so it is not set"),
            text("set it, or give the computer a time service: sudo timedatectl set-ntp true"),
        )
    elif state() == _TIME_ERROR:
        yield Finding(
            "clock",
            "",
            Level.WARNING,
            text("is set, but no time service keeps it right"),
            text(
                "run: sudo timedatectl set-ntp true; where the network has a time server of its"
                " own, name it in /etc/systemd/timesyncd.conf"
            ),
        )
    else:
        yield Finding("clock", "", Level.OK, text("is set and kept right"))


@dataclass(frozen=True)
class _Mount:
    point: str
    kind: str
    options: tuple[str, ...]


def _find_mount(path: Path) -> _Mount | None:
    """Return the file system that `path` is on (proc_pid_mountinfo(5))."""
    found: _Mount | None = None
    for line in _MOUNTS.read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, super_options) = before.split(), after.split()[:3]
        point = fields[4].encode().decode("unicode_escape")
        if path.is_relative_to(point) and (found is None or len(point) >= len(found.point)):
            found = _Mount(point, kind, (*fields[5].split(","), *super_options.split(",")))
    return found


def check_disk(store: Path, min_free_bytes: int) -> Iterator[Finding]:
    """Check that the store's directory can be written, has room, and survives a power cut."""
    directory = store.absolute().parent
    name = str(directory)
    if not directory.is_dir():
        yield Finding(
            "disk",
            name,
            Level.FAILED,
            text("is not there"),
            text(
                "make it, and give it to the gateway's user: sudo install -d -o USER {path}",
                path=name,
            ),
        )
        return
    mount = _find_mount(directory.resolve())
    found = list(_judge_mount(name, mount)) if mount is not None else []
    is_read_only = bool(os.statvfs(directory).f_flag & os.ST_RDONLY)
    if is_read_only:
        found.append(
            Finding(
                "disk",
                name,
                Level.FAILED,
                text("is on a file system that is read-only; an SD card does that when it fails"),
                text("look at the kernel's messages (sudo dmesg) and replace the card"),
            )
        )
    elif not os.access(directory, os.W_OK | os.X_OK):
        found.append(
            Finding(
                "disk",
                name,
                Level.FAILED,
                text("can't be written by this user"),
                text("run this as the gateway's user, or with sudo"),
            )
        )
    space = os.statvfs(directory)
    free = space.f_bavail * space.f_frsize
    if free < min_free_bytes:
        found.append(
            Finding(
                "disk",
                name,
                Level.FAILED,
                text(
                    "has {free} MiB left, less than the {least} MiB that the gateway leaves free",
                    free=free // _MIB,
                    least=min_free_bytes // _MIB,
                ),
                text("remove what is not needed, or lower min_free_mib in [store]"),
            )
        )
    yield from found or [
        Finding("disk", name, Level.OK, text("has {free} MiB left", free=free // _MIB))
    ]


def _judge_mount(name: str, mount: _Mount) -> Iterator[Finding]:
    if mount.kind in _LOST_ON_RESTART:
        yield Finding(
            "disk",
            name,
            Level.WARNING,
            text("is on {kind}, which may be empty after a restart", kind=mount.kind),
            text("put the store on a disk or an SD card: path in [store]"),
        )
    if mount.kind in _UNFIT:
        yield Finding(
            "disk",
            name,
            Level.WARNING,
            text("is on {kind}, which does not keep what a power cut interrupts", kind=mount.kind),
            text("put the store on ext4, xfs, btrfs or f2fs: path in [store]"),
        )
    if mount.kind in _NETWORK:
        yield Finding(
            "disk",
            name,
            Level.FAILED,
            text(
                "is on {kind}, a network file system, where the store can't work", kind=mount.kind
            ),
            text("put the store on a disk or an SD card: path in [store]"),
        )
    unsafe = sorted(set(mount.options).intersection(_UNSAFE_OPTIONS))
    if unsafe:
        yield Finding(
            "disk",
            name,
            Level.WARNING,
            text(
                "is mounted with {options}: what was acknowledged may be lost in a power cut",
                options=", ".join(unsafe),
            ),
            text("take that out of /etc/fstab and restart the computer"),
        )


def check_store(path: Path) -> Iterator[Finding]:
    """Check that the store is whole, and that only the gateway can read it."""
    name = str(path)
    for damaged in sorted(path.parent.glob(f"{path.name}.damaged-*")):
        if damaged.suffix.removeprefix(".damaged-").isdigit():
            yield Finding(
                "store",
                str(damaged),
                Level.WARNING,
                text("was damaged, and is kept; what could be read of it is in the store"),
                text("look at the disk's health, then move the file away"),
            )
    if not path.exists() and os.access(path.parent, os.X_OK):
        yield Finding("store", name, Level.OK, text("is made when the gateway runs"))
        return
    try:
        with open_view(path) as connection:
            verdict = _quick_check(connection)
    except OperatorError as error:
        yield Finding("store", name, Level.FAILED, error.text)
    except FeltpostError as error:
        yield Finding("store", name, Level.FAILED, text("{reason}", reason=str(error)))
    else:
        if verdict is None:
            yield Finding("store", name, Level.OK, text("is too large to be checked in a minute"))
        elif verdict == "ok":
            yield Finding("store", name, Level.OK, text("is whole"))
        else:
            yield Finding(
                "store",
                name,
                Level.FAILED,
                text("is damaged: {reason}", reason=verdict),
                text("restart the gateway: it saves what can be read and keeps the damaged file"),
            )
        yield check_secret(path)


def _quick_check(connection: sqlite3.Connection) -> str | None:
    """Return what SQLite finds wrong, `ok` for nothing, None where the time ran out."""
    until_s = time.monotonic() + _CHECK_MAX_S
    connection.set_progress_handler(lambda: time.monotonic() > until_s, _CHECK_STEPS)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        return str(error)


def check_serial(port: Path) -> Finding:
    """Check that this user may use a serial port."""
    name = str(port)
    try:
        status = port.stat()
    except OSError:
        return Finding(
            "serial",
            name,
            Level.WARNING,
            text("is not there; the gateway opens it when it appears"),
            text("look at the cable and the name: ls -l /dev/serial/by-id/"),
        )
    if not stat.S_ISCHR(status.st_mode):
        return Finding(
            "serial",
            name,
            Level.FAILED,
            text("is not a serial port"),
            text("name the port, such as /dev/ttyUSB0 or one of /dev/serial/by-id/"),
        )
    if not os.access(port, os.R_OK | os.W_OK):
        group = grp.getgrgid(status.st_gid).gr_name
        return Finding(
            "serial",
            name,
            Level.FAILED,
            text("may not be used by this user"),
            text("run: sudo usermod -aG {group} USER, and restart the gateway", group=group),
        )
    return Finding("serial", name, Level.OK, text("may be used"))


def check_secret(path: Path) -> Finding:
    """Check that a file with secrets is there and closed to others."""
    name = str(path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Finding(
            "file", name, Level.FAILED, text("can't be read: {reason}", reason=str(error.strerror))
        )
    if mode & 0o077:
        return Finding(
            "file",
            name,
            Level.WARNING,
            text("holds secrets and is open to others (mode {mode})", mode=f"{mode:04o}"),
            text("run: sudo chmod 600 {path}", path=name),
        )
    return Finding("file", name, Level.OK, text("is closed to others"))


def check_port(
    what: str, address: tuple[str, int], kind: socket.SocketKind, gateway_pid: int | None
) -> Finding:
    """Check that a port is free, unless the gateway runs, which has it then."""
    name = f"{address[0]} port {address[1]}"
    if gateway_pid is not None:
        used = text("is left to the running gateway, process {pid}", pid=gateway_pid)
        return Finding(what, name, Level.OK, used)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # As servers do it, so that connections of the last minutes don't count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return Finding(
                what,
                name,
                Level.FAILED,
                text("can't be listened on: {reason}", reason=str(error.strerror)),
                text("see who has it (sudo ss -lnptu) or configure another port"),
            )
    return Finding(what, name, Level.OK, text("is free"))
