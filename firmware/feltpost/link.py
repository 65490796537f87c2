"""What a link is: one way to carry datagrams between the node and its gateway.

A link has

- ``name``: for messages to people;
- ``mtu``: the longest datagram in bytes;
- ``async connect()``: makes it usable; OSError if that can't be done now;
- ``send(data)``: sends one datagram, which may get lost; OSError once the link is not usable;
- ``async receive(timeout_ms)``: the next datagram, as a memoryview that the caller may overwrite
  and that holds until the next call, or None when the time is over;
- ``close()``: may be called at any time; connect() makes the link usable again.

The client retransmits and checks; a link neither repeats nor orders anything.
"""

import asyncio

from micropython import const

# The longest message that a node sends: a pack or a report, and what is around it. (The longest in
# docs/protocol.md, "Requests", would take heap that a node needs for other things.)
MTU = const(576)
# The longest answer that a gateway gives is a diagnostic text. A longer one is lost, or cut off and
# then fails its authentication.
ANSWER_BYTES = const(320)


class Entry:
    """A link as it is configured: ``kind``, "serial" or "udp", and for UDP ``host``, ``port``,
    ``ssid``, and ``address``: (IP with prefix length, gateway, DNS server), None for DHCP. It
    outlives the configuration, so it is nothing but these.
    """

    kind = host = ssid = ""
    port = 0
    address = None


def readable(stream):
    """Return an awaitable for the moment when ``stream`` has something to read.

    asyncio's own StreamReader would read on until it has as much as it was asked for, and so join
    datagrams; only its way of waiting is of use here, which the stubs don't list.
    """
    yield asyncio.core._io_queue.queue_read(stream)  # type: ignore[attr-defined]
