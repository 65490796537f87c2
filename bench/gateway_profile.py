"""Says in which part of the request path the gateway's main thread was found how often."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

_FUNCTIONS_TOLD = 12

# The first of these that a function's module begins with says which part it belongs to. Modules
# that are not here (enum, struct, logging, …) belong to the function that called them.
_PARTS = (
    ("feltpost_gateway.short_path", "short way: CoAP and OSCORE"),
    ("feltpost_gateway.coap_frame", "short way: CoAP and OSCORE"),
    ("feltpost_gateway.request_cipher", "short way: CoAP and OSCORE"),
    ("aiocoap.oscore", "OSCORE: aiocoap.oscore"),
    ("feltpost_gateway.oscore_site", "OSCORE: oscore_site, security"),
    ("feltpost_gateway.security", "OSCORE: oscore_site, security"),
    ("feltpost_gateway.keyring", "OSCORE: oscore_site, security"),
    ("aiocoap.messagemanager", "CoAP: exchanges, tokens, pipes (aiocoap)"),
    ("aiocoap.message", "CoAP: messages and options (aiocoap)"),
    ("aiocoap.opt", "CoAP: messages and options (aiocoap)"),
    ("aiocoap.numbers", "CoAP: messages and options (aiocoap)"),
    ("aiocoap", "CoAP: exchanges, tokens, pipes (aiocoap)"),
    ("feltpost_gateway.senml", "packs: senml, cborshape, metrics"),
    ("feltpost_gateway.cborshape", "packs: senml, cborshape, metrics"),
    ("feltpost_gateway.metrics", "packs: senml, cborshape, metrics"),
    ("feltpost_gateway.ingest", "ingest, handing over to the store"),
    ("feltpost_gateway.store", "ingest, handing over to the store"),
    ("feltpost_gateway.links", "sockets and addresses: links"),
    ("feltpost_gateway", "forwarding, and all else of the gateway"),
    ("paho", "forwarding, and all else of the gateway"),
    ("asyncio", "event loop"),
    ("selectors", "event loop"),
)


@dataclass(frozen=True)
class Profile:
    """Shares of the time in which the main thread was not waiting for events.

    parts: of each part of the request path, its own functions and what they call outside of all
    parts. functions: the functions that took most by themselves, with C code that they call.
    waiting: the share of all time that the thread waited, the CPU taken by others included.
    """

    parts: Mapping[str, float]
    functions: Mapping[str, float]
    waiting: float


def read(samples: Mapping[str, int]) -> Profile:
    """Return what the samples of gateway_watched.py say."""
    parts: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    waiting = 0
    for line, count in samples.items():
        stack = line.split(" ")
        if stack[0].startswith("selectors:"):
            waiting += count
            continue
        parts[next(filter(None, map(_part, stack)), "other")] += count
        functions[stack[0]] += count
    busy = max(1, parts.total())
    return Profile(
        {name: count / busy for name, count in parts.most_common()},
        {name: count / busy for name, count in functions.most_common(_FUNCTIONS_TOLD)},
        waiting / max(1, waiting + parts.total()),
    )


def _part(function: str) -> str | None:
    return next((name for prefix, name in _PARTS if function.startswith(prefix)), None)
