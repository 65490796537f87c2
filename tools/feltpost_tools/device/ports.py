"""The serial ports at which boards may be: those that are plugged in, and those named by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from feltpost_tools.errors import PortsUnclear
from feltpost_tools.language import _

# USB vendors of the bridges that boards with an ESP32 have, and Espressif's own USB.
_ESPRESSIF = 0x303A
_VENDORS = {
    _ESPRESSIF: "Espressif",
    0x0403: "FTDI",
    0x10C4: "Silicon Labs CP210x",
    0x1A86: "WCH CH34x/CH910x",
    0x067B: "Prolific PL2303",
}


@dataclass(frozen=True)
class Port:
    """A port. path: as it is opened. serial: the USB device's serial number, "" where it has none.

    adapter: what is plugged in, "" for a port that was named by hand and is not on USB. native:
    whether it is the chip's own USB, which goes away in deep sleep.
    """

    path: str
    serial: str = ""
    adapter: str = ""
    native: bool = False


def plugged_in() -> list[Port]:
    """Return the ports with a bridge or chip that a board may have, by path."""
    found = (_port(info) for info in list_ports.comports() if info.vid in _VENDORS)
    return sorted(found, key=lambda port: port.path)


def named(names: Sequence[str]) -> list[Port]:
    """Return the ports named by hand; PortsUnclear for one that is not there.

    A name is a path, of a pseudo-terminal too, or a USB device's serial number.
    """
    by_name: dict[str, Port] = {}
    for info in list_ports.comports():
        port = _port(info)
        by_name[port.path] = port
        if port.serial:
            by_name[port.serial] = port
    chosen: dict[str, Port] = {}
    for name in names:
        port = by_name.get(name) or Port(name)
        if not Path(port.path).exists():
            raise PortsUnclear(_("There is no port {name}.").format(name=name) + _there_are())
        chosen[port.path] = port
    return list(chosen.values())


def only(names: Sequence[str] = ()) -> Port:
    """Return the one port that is meant: the one named, or the only one that is plugged in.

    Raises PortsUnclear where there are several or none; it never guesses.
    """
    found = named(names) if names else plugged_in()
    if len(found) == 1:
        return found[0]
    if not found:
        raise PortsUnclear(no_board())
    raise PortsUnclear(_("There are several boards; say which with --port.") + _there_are())


def no_board() -> str:
    """Return what to look for where no port is found at all."""
    return _(
        "No board is plugged in. Where one is: take a USB cable that carries data, as many are "
        "for charging only; try another socket of board and computer, without a hub; see whether "
        "the board's lamp lights. `dmesg` tells whether the computer has seen it."
    )


def described(port: Port) -> str:
    """Return the port with what tells it from others, in one line."""
    about = " ".join(part for part in (port.adapter, port.serial) if part)
    return f"{port.path} ({about})" if about else port.path


def _port(info: ListPortInfo) -> Port:
    return Port(
        path=info.device,
        serial=info.serial_number or "",
        adapter=_VENDORS.get(info.vid, info.manufacturer or ""),
        native=info.vid == _ESPRESSIF,
    )


def _there_are() -> str:
    lines = "".join(f"\n  {described(port)}" for port in plugged_in())
    return "\n" + _("There are:") + lines if lines else ""
