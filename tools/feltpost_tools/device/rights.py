"""Why a port can't be opened: it is not there, nobody gave the right to it, or another has it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from feltpost_tools.errors import PortUnavailable
from feltpost_tools.language import _

_PROC = Path("/proc")


def unavailable(port: str) -> PortUnavailable:
    """Return the exception that says why the port could not be opened."""
    if not Path(port).exists():
        return PortUnavailable(
            port,
            _("There is no such port."),
            _("Plug the board in; `feltpost boards` lists the ports that are there."),
        )
    if not os.access(port, os.R_OK | os.W_OK):
        return _forbidden(port)
    holders = ", ".join(sorted(set(_holders(port))))
    if holders:
        return PortUnavailable(
            port,
            _("The port is in use by {programs}.").format(programs=holders),
            _("End that program, or wait until it is done, and try again."),
        )
    return PortUnavailable(
        port,
        _("The port can't be opened; another program may have it."),
        _("End what may use it, such as a terminal or the gateway's service, and try again."),
    )


def _forbidden(port: str) -> PortUnavailable:
    path = Path(port)
    group = path.group()
    happened = _("You have no right to use the port.")
    if not path.stat().st_mode & stat.S_IWGRP or group == "root":
        return PortUnavailable(port, happened, _("Ask the computer's administrator for it."))
    return PortUnavailable(
        port,
        happened,
        _(
            "It belongs to the group {group}: have `sudo usermod -aG {group} $USER` run, "
            "log out and in again."
        ).format(group=group),
    )


def _holders(port: str) -> Iterator[str]:
    # Name the programs that have it open: our own user's, or as root everybody's.
    device = os.path.realpath(port)
    for process in _PROC.glob("[0-9]*"):
        try:
            held = any(str(fd.readlink()) == device for fd in (process / "fd").iterdir())
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if held and int(process.name) != os.getpid():
            yield _("{name} (process {number})").format(name=name, number=process.name)
