"""What the options of ``feltpost flash`` come to: which ports, which nodes, which gateway."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import typer

from feltpost_tools import boards, kits
from feltpost_tools.batch import Batch
from feltpost_tools.device import ports
from feltpost_tools.device.ports import Port
from feltpost_tools.enrolment.base import Enroller
from feltpost_tools.enrolment.file import FileEnroller
from feltpost_tools.enrolment.here import HereEnroller
from feltpost_tools.enrolment.network import NetworkEnroller
from feltpost_tools.errors import PortsUnclear, UsageError
from feltpost_tools.flashing.nodes import Listed, Nodes, One, SameAsBefore
from feltpost_tools.flashing.site import Site
from feltpost_tools.language import _

_GATEWAY_CONFIGURATION = Path("/etc/feltpost/gateway.toml")
"""Where the gateway's package has its configuration."""
_CODE = "FELTPOST_CODE"
"""The environment variable that may hold an enrolment code."""


def chosen_ports(names: list[str] | None, may_come: bool) -> list[Port]:
    """Return the ports meant; may_come: none where they are to be plugged in yet."""
    if names:
        return ports.named(names)
    if may_come:
        return []
    found = ports.plugged_in()
    if not found:
        raise PortsUnclear(ports.no_board())
    return found


def nodes(common: Mapping[str, str], place: Site, batch: Path | None, again: bool) -> Nodes:
    """Return which nodes the boards become. common: columns from the command line."""
    defaults = {**place.columns, **common}
    if batch:
        if "name" in common:
            raise UsageError(_("With --batch, the list says the names: leave --name out."))
        return Listed(Batch.load(batch, defaults), again)
    if not {"name", "kit"} & common.keys():
        return SameAsBefore()
    missing = [column for column in ("name", "owner", "site", "kit") if column not in defaults]
    if missing:
        raise UsageError(
            _("It is not said what the node's {columns} is; see --help.").format(
                columns=", ".join(missing)
            )
        )
    kits.load(defaults["kit"])
    if "board" in defaults:
        boards.load(defaults["board"])
    return One(defaults)


def enroller(
    gateway: str,
    here: Path | None,
    enrol_file: Path | None,
    gateway_key: Path | None,
    no_enrol: bool,
) -> Enroller | None:
    """Return the way to enrol, None for none. Raises UsageError for several, or none said."""
    ways = [bool(gateway), bool(here), bool(enrol_file), no_enrol]
    if sum(ways) > 1:
        raise UsageError(
            _("There is one way to enrol: --gateway, --here, --enrol-file or --no-enrol.")
        )
    if no_enrol:
        return None
    if gateway:
        return NetworkEnroller(gateway, _code())
    if enrol_file:
        if not gateway_key:
            raise UsageError(
                _("--enrol-file needs --gateway-key FILE, which feltpost-gateway enrol-key wrote.")
            )
        return FileEnroller(enrol_file, gateway_key)
    if here or _GATEWAY_CONFIGURATION.exists():
        return HereEnroller(here or _GATEWAY_CONFIGURATION)
    raise UsageError(_("Say how to enrol: --gateway, --here, --enrol-file or --no-enrol."))


def with_passwords(place: Site, unchanged: bool) -> Site:
    """Return the site with the passwords that somebody at the terminal knows.

    unchanged: whether boards keep their configuration, and need none.
    """
    # Ask for those that the file does not have, before any board is begun.
    passwords = dict(place.passwords)
    if not unchanged and sys.stdin.isatty():
        for network in place.networks:
            if network not in passwords:
                question = _("Password of the network {ssid} (empty: as the board has it)")
                given = typer.prompt(
                    question.format(ssid=network), hide_input=True, default="", show_default=False
                )
                if given:
                    passwords[network] = given
    return replace(place, passwords=passwords)


def _code() -> str:
    # No option: whoever is on this computer can read the arguments of its programs.
    return os.environ.get(_CODE) or str(
        typer.prompt(_("The code that feltpost-gateway enrol-code printed"), hide_input=True)
    )
