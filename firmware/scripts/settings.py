"""A board's configuration, and the passwords of its Wi-Fi networks, which are in NVS."""

import json

import esp32
from scripts.base import NAMESPACE, blob, put, tell

CONFIGURATION = "/feltpost.json"

_NETWORKS = "networks"
_NETWORKS_MOST_BYTES = 1024


def configure(text, networks, passwords):
    """Write the configuration, and the passwords of the Wi-Fi networks in it.

    text: of the file. networks: their SSIDs. passwords: of those whose password is new; the others
    keep theirs, and those of networks that are not named go.
    """
    nvs = esp32.NVS(NAMESPACE)
    kept = _networks(nvs)
    wanted = {ssid: passwords.get(ssid, kept.get(ssid, "")) for ssid in networks}
    if wanted != kept:
        nvs.set_blob(_NETWORKS, json.dumps(wanted).encode())
        nvs.commit()
    put(CONFIGURATION, text.encode())
    tell_networks()


def tell_networks():
    """Tell of which networks the board has a password, but no password."""
    networks = _networks(esp32.NVS(NAMESPACE))
    tell("networks", [ssid for ssid, password in networks.items() if password])


def _networks(nvs):
    try:
        return json.loads(blob(nvs, _NETWORKS, _NETWORKS_MOST_BYTES))
    except ValueError:
        return {}
