"""Makes the links that the configuration asks for, and the client that speaks over them.

The passwords of Wi-Fi networks are in NVS, in the blob ``networks``: a JSON object of them by SSID.
Of use while the node starts, and not in memory after that.
"""

import sys

from micropython import const

from .client import Client
from .links import Links
from .reserve import blob

_NAMESPACE = "feltpost"
_NETWORKS = "networks"
# Eight links with the longest names and passwords that Wi-Fi allows.
_NETWORKS_MOST_BYTES = const(1024)

# A battery pays for each second of listening to a gateway that is away: 21 s at most with this,
# 93 s with RFC 7252's four.
_BATTERY_RETRANSMIT = const(2)


def open_links(entries, context, uptime_ms, memory=None, battery=False):
    """Return Links for the configuration's entries, and the serial link among them or None.

    context: an oscore.Context. memory: keeps up to 16 bytes about the Wi-Fi, see wifi.Network.
    battery: whether the node sleeps, and is to give up early. The serial link's run() has to run
    whichever link is in use: it keeps the way to the prompt.
    """
    links = []
    serial = None
    for entry in entries:
        link = open_link(entry, memory)
        links.append(link)
        if entry.kind == "serial":
            serial = link
    if battery:
        from .links_sleeping import SleepingLinks

        client = Client(links[0], context, max_retransmit=_BATTERY_RETRANSMIT)
        return SleepingLinks(client, links, uptime_ms), serial
    return Links(Client(links[0], context), links, uptime_ms), serial


def open_link(entry, memory):
    """Return the link for an entry of the configuration; memory: see wifi.Network."""
    # The module of a link that the node doesn't have would cost heap.
    if entry.kind == "udp":
        import network

        from .link_udp import UdpLink

        wlan = network.WLAN(network.STA_IF)
        password = password_of(entry.ssid)
        return UdpLink(wlan, entry.ssid, password, entry.host, entry.port, entry.address, memory)
    from .link_serial import SerialLink

    return SerialLink(sys.stdin.buffer, sys.stdout.buffer)


def password_of(ssid):
    """Return the password of a network, "" for an open one."""
    import json

    import esp32

    try:
        networks = json.loads(blob(esp32.NVS(_NAMESPACE), _NETWORKS, _NETWORKS_MOST_BYTES))
    except ValueError:
        # There is no such blob.
        return ""
    return networks.get(ssid, "")
