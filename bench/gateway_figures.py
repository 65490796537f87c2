"""What is measured of the gateway and of the bridge, and how it follows from times and counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.gateway_load import Exchange, Sender
from bench.gateway_process import Counts, Cpu, GatewayUnderTest
from bench.gateway_profile import Profile
from bench.gateway_subscriber import Arrival
from feltpost_tools.errors import FeltpostError

Sent = Mapping[tuple[str, int], Exchange]
"""Exchanges by the name of their sender and their number."""


@dataclass(frozen=True)
class Rate:
    """What passed in ``seconds``, from the first that was sent to the last that was counted."""

    messages: int
    readings: int
    seconds: float

    @property
    def messages_per_s(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def readings_per_s(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds


@dataclass(frozen=True)
class Taken:
    """Requests that were answered with success: how fast, at what cost to CPU and disk."""

    rate: Rate
    cpu: Cpu
    counts: Counts


@dataclass(frozen=True)
class Serving:
    """The gateway while its broker is there.

    idle_ms: latencies from node to subscriber. steady: at the nodes' own pace. alone: one request
    at a time. flood: many at a time; delivered: the same, up to the subscriber. catching_up: as
    flood, with as many readings as a node puts into a request. profile: of the main thread.
    """

    idle_ms: Sequence[float]
    steady: Taken
    alone: Taken
    flood: Taken
    delivered: Rate
    catching_up: Taken
    profile: Profile


@dataclass(frozen=True)
class Bridged:
    """What the bridge did: latencies, and how fast messages came to the subscriber."""

    idle_ms: Sequence[float]
    delivered: Rate


@dataclass(frozen=True)
class Backlog:
    """The gateway whose broker was away, and then was there.

    filled: while it was away; filling_mb: the most memory meanwhile, in MB. started_mb: memory of
    a gateway started anew with that backlog; draining_mb: the most it had until all was delivered.
    drain_s: from that start to the last reading of the backlog, None where it took too long.
    live_ms: latencies of what was sent meanwhile, infinite where it did not arrive.
    """

    filled: Taken
    filling_mb: float
    started_mb: float
    draining_mb: float
    drain_s: float | None
    live_ms: Sequence[float]


def send(senders: Iterable[Sender], how: Callable[[], None]) -> Sent:
    """Have the senders send by ``how``; return what they exchanged."""
    how()
    sent = {}
    for sender in senders:
        for exchange in sender.exchanges:
            sent[sender.name, exchange.number] = exchange
        sender.exchanges.clear()
    return sent


def send_and_count(
    gateway: GatewayUnderTest, senders: Sequence[Sender], how: Callable[[], None]
) -> tuple[Sent, Taken]:
    """Do the same with a look at the gateway before and after."""
    cpu, counts = gateway.cpu(), gateway.counts()
    sent = send(senders, how)
    taken = Taken(
        _rate(sent.values(), max(exchange.answered_ns for exchange in sent.values())),
        gateway.cpu().since(cpu),
        gateway.counts().since(counts),
    )
    return sent, taken


def delivered(sent: Sent, arrivals: Sequence[Arrival]) -> Rate:
    """Return how fast all that was sent came to the subscriber; raise where some of it did not."""
    came = {(arrival.sender, arrival.number) for arrival in arrivals}
    missing = sent.keys() - came
    if missing:
        sender, number = min(missing)
        raise FeltpostError(
            f"{len(missing)} of {len(sent)} messages did not arrive, such as that of {sender}"
            f" with the number {number}"
        )
    return _rate(sent.values(), max(arrival.ns for arrival in arrivals))


def latencies_ms(sent: Sent, arrivals: Iterable[Arrival]) -> list[float]:
    """Return how long each message took to the subscriber, infinity for what did not arrive."""
    came = {(arrival.sender, arrival.number): arrival.ns for arrival in arrivals}
    return [
        (came[key] - exchange.sent_ns) / 1e6 if key in came else float("inf")
        for key, exchange in sent.items()
    ]


def quantile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least ``part`` of the values do not exceed."""
    return sorted(values)[max(0, -int(-len(values) * part // 1) - 1)]


def _rate(exchanges: Iterable[Exchange], end_ns: int) -> Rate:
    counted = list(exchanges)
    begin_ns = min(exchange.sent_ns for exchange in counted)
    readings = sum(exchange.readings for exchange in counted)
    return Rate(len(counted), readings, (end_ns - begin_ns) / 1e9)
