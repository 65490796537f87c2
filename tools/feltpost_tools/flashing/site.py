"""What the nodes at a place have in common: a TOML file that a technician writes once.

owner = "aarhus"                 # columns of the gateway's registry, for all nodes
site = "skole-x"

[[links]]                        # as firmware/feltpost/config.py describes them
kind = "udp"
host = "10.20.0.5"
ssid = "skole-iot"

[power]                          # and these sections of it: power, journal, health
mode = "mains"

[passwords]                      # of the networks, by SSID; chmod 600 then
skole-iot = "…"
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feltpost_gateway.enrolment import COLUMNS
from feltpost_tools.errors import SiteError
from feltpost_tools.language import _

_SECTIONS = ("power", "journal", "health")
_TABLES = ("links", "passwords", *_SECTIONS)
_NOT_COMMON = ("mac", "name")
_OTHERS_MAY = 0o077


@dataclass(frozen=True)
class Site:
    """columns: of the registry, which a node's own go before. options: sections of feltpost.json.

    passwords: by SSID; a network without one keeps the password that a board has.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def networks(self) -> list[str]:
        """The SSIDs of its links, each once."""
        return list(dict.fromkeys(link["ssid"] for link in self.links if "ssid" in link))


def read(path: Path) -> Site:
    """Return what the file at `path` says.

    What links and sections hold is checked where a configuration is made of it. Raises SiteError.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
            mode = path.stat().st_mode
    except OSError as error:
        raise SiteError(path, _("It can't be read: {why}.").format(why=error.strerror)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SiteError(path, _("It is no TOML: {why}.").format(why=error)) from None
    known = [*(column for column in COLUMNS if column not in _NOT_COMMON), *_TABLES]
    for key in content:
        if key not in known:
            raise SiteError(
                path,
                _("There is no {key}; known are {known}.").format(key=key, known=", ".join(known)),
            )
    links, passwords = content.get("links", []), content.get("passwords", {})
    if not isinstance(links, list) or not all(isinstance(link, dict) for link in links):
        raise SiteError(path, _("Each link is a table of its own, [[links]]."))
    if not isinstance(passwords, dict) or not all(isinstance(p, str) for p in passwords.values()):
        raise SiteError(path, _("[passwords] has a text for each network."))
    if passwords and mode & _OTHERS_MAY:
        raise SiteError(
            path,
            _("It holds passwords and others may read it. Run: chmod 600 {file}").format(file=path),
        )
    return Site(
        columns={key: str(content[key]) for key in content if key not in _TABLES},
        links=links,
        options={key: content[key] for key in _SECTIONS if key in content},
        passwords=passwords,
    )
