"""A Debian 13 that is booted in a container, on a copy of a root file system that stays as it is.

It shares the host's network, so that a broker and boards there are on its loopback interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from pathlib import Path

_BOOT_S = 60
_COMMAND_S = 120
# What systemd-nspawn ends with where the container wants to be started again.
_REBOOTS = 133
_ENVIRONMENT = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LC_ALL=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)
# Its mounts are in a name space of their own and go when it goes, however that comes.
_START = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -o loop "$2/state.img" "$2/state"
folder=$2
shift 2
exec systemd-nspawn --quiet --register=no --keep-unit --boot --console=pipe --notify-ready=yes \
    --resolv-conf=off --timezone=off --directory="$folder/root" \
    --bind="$folder/state:/var/lib/feltpost" --bind-ro="$folder/outside:/outside" "$@"
"""


class BootError(Exception):
    """The machine did not come up."""


class CommandError(Exception):
    """A command on the machine failed; the message has what it said."""


class Machine:
    """One machine; the state directory of the gateway is a disk of its own of `state_mib`.

    What is put into `outside` is in /outside there.
    """

    def __init__(self, lower: Path, folder: Path, state_mib: int) -> None:
        self._lower = lower
        self._folder = folder
        self.outside = folder / "outside"
        for name in ("upper", "work", "root", "state", "outside"):
            (folder / name).mkdir()
        disk = folder / "state.img"
        with disk.open("wb") as file:
            file.truncate(state_mib << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
        self._process: asyncio.subprocess.Process | None = None
        self._binds: list[str] = []
        self._leader = 0

    async def boot(self, devices: dict[Path, str]) -> None:
        """Switch it on and return when it is up; `devices` are those of ours that it has."""
        self._binds = [f"--bind={own}:{its}" for own, its in devices.items()]
        await self._start()

    async def reboot(self) -> None:
        """Restart it as an operator would, and return when it is up again."""
        assert self._process is not None
        # The command may be ended by what it begins.
        await self.try_to_run("systemctl", "reboot")
        status = await asyncio.wait_for(self._process.wait(), _BOOT_S)
        if status != _REBOOTS:
            raise BootError(f"it did not reboot: {self._last_words()}")
        await self._start()

    async def _start(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.setblocking(False)
            # A name of the kernel's own choice, in the abstract name space.
            notices.bind("")
            name = notices.getsockname().decode().replace("\0", "@", 1)
            with (self._folder / "boot.log").open("wb") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *("unshare", "--mount", "sh", "-e", "-c", _START, "sh"),
                    *(str(self._lower), str(self._folder), *self._binds),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={
                        **os.environ,
                        "NOTIFY_SOCKET": name,
                        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    },
                )
            await self._come_up(self._process, notices)

    async def switch_off(self) -> None:
        """Shut it down, by force where it doesn't."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _BOOT_S)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def run(self, *command: str) -> str:
        """Run a command on it and return what it printed; raise `CommandError` where it fails."""
        status, output = await self.try_to_run(*command)
        if status != 0:
            raise CommandError(f"{' '.join(command)}: exit code {status}: {output}")
        return output

    async def try_to_run(self, *command: str) -> tuple[int, str]:
        """Run a command on it; return its exit code and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--target", str(self._leader), "--all", "env", "-i", *_ENVIRONMENT),
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), _COMMAND_S)
        return process.returncode or 0, output.decode(errors="replace").strip()

    async def _come_up(self, process: asyncio.subprocess.Process, notices: socket.socket) -> None:
        """Read what systemd-nspawn(1) tells of the container until it is up."""
        loop = asyncio.get_running_loop()
        ended = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(_BOOT_S):
                ready = False
                while not ready:
                    notice = asyncio.create_task(loop.sock_recv(notices, 4096))
                    await asyncio.wait({notice, ended}, return_when=asyncio.FIRST_COMPLETED)
                    if not notice.done():
                        notice.cancel()
                        raise BootError(self._last_words())
                    for line in notice.result().decode().splitlines():
                        if line.startswith("X_NSPAWN_LEADER_PID="):
                            self._leader = int(line.partition("=")[2])
                        ready = ready or line == "READY=1"
        except TimeoutError:
            raise BootError(f"it is not up after {_BOOT_S} s. {self._last_words()}") from None
        finally:
            ended.cancel()

    def _last_words(self) -> str:
        log = (self._folder / "boot.log").read_text(errors="replace").splitlines()
        with contextlib.suppress(IndexError):
            return log[-1]
        return "It said nothing"
