"""Figures for Prometheus, on a port of this computer.

Each is read when it is asked for, from counts that are kept anyhow; nothing waits for the disk.
Nodes are labels (owner/site/name), so at most `_NODES_MAX` of them have figures of their own; the
totals are those of all. Other labels come from the configuration or short lists of this program.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from feltpost_gateway.clock import Clock
from feltpost_gateway.config import MetricsConfig
from feltpost_gateway.errors import LinkError
from feltpost_gateway.events import EventKind
from feltpost_gateway.store import Store
from feltpost_gateway.traffic import Refusal, Traffic
from feltpost_gateway.watch import View, Watch

_NODES_MAX = 1000


class Figures(Collector):
    """Collects the figures of one gateway; `collect` runs on the thread of whoever asks."""

    def __init__(self, store: Store, watch: Watch, traffic: Traffic, clock: Clock) -> None:
        self._store = store
        self._watch = watch
        self._traffic = traffic
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Return the figures."""
        yield from self._of_store()
        yield _counter(
            "feltpost_answers",
            "Answers to authentic requests, by CoAP code.",
            "code",
            dict(self._traffic.answers),
        )
        yield _counter(
            "feltpost_refused_requests",
            "Requests that were not taken for a node's, by reason.",
            "reason",
            {reason.value: self._traffic.refused[reason] for reason in Refusal},
        )
        events = Counter(event.subject.kind for event in self._watch.events.open())
        yield _gauge(
            "feltpost_events",
            "What is wrong at present, by kind.",
            "kind",
            {kind.value: events[kind] for kind in EventKind},
        )
        view = self._watch.view
        if view is not None:
            yield from self._of_destinations(view)
            yield from self._of_nodes(view)

    def _of_store(self) -> Iterator[Metric]:
        stats = self._store.stats()
        counts: dict[str, tuple[str, int | None]] = {
            "commits": ("Commits of the store.", stats.commits),
            "committed_requests": ("Requests in those commits.", stats.jobs),
            "failed_commits": ("Commits that the disk refused.", stats.failed),
            "evicted_readings": ("Readings given up undelivered.", stats.evicted_readings),
        }
        if stats.disk is not None:
            counts["fdatasyncs"] = ("Calls of fdatasync.", stats.disk.fdatasyncs)
            counts["written_bytes"] = ("Bytes written by the store.", stats.disk.written_bytes)
            counts["device_bytes"] = ("Bytes that reach the device.", stats.disk.device_bytes)
        for name, (text, value) in counts.items():
            if value is not None:
                yield CounterMetricFamily(f"feltpost_store_{name}", text, value=value)
        if stats.space is not None:
            sizes = {
                "file_bytes": ("Size of the store's file.", stats.space.file),
                "used_bytes": ("What of it holds something.", stats.space.used),
                "room_bytes": ("How much more the limits let in.", stats.space.room),
                "disk_free_bytes": ("What its file system has left.", stats.space.free),
            }
            for name, (text, size) in sizes.items():
                yield GaugeMetricFamily(f"feltpost_store_{name}", text, value=size)

    def _of_destinations(self, view: View) -> Iterator[Metric]:
        now_ms = self._clock.now_ms()
        yield _gauge(
            "feltpost_destination_backlog_packs",
            "Packs that wait for a destination.",
            "destination",
            {backlog.destination: backlog.packs for backlog in view.backlogs},
        )
        yield _gauge(
            "feltpost_destination_lag_seconds",
            "How long the oldest of them has waited.",
            "destination",
            {
                backlog.destination: (
                    0 if backlog.oldest_ms is None else max(0, now_ms - backlog.oldest_ms) / 1000
                )
                for backlog in view.backlogs
            },
        )
        yield _gauge(
            "feltpost_destination_refused_messages",
            "Messages that a destination refused for good.",
            "destination",
            {
                backlog.destination: view.refused.get(backlog.destination, 0)
                for backlog in view.backlogs
            },
        )

    def _of_nodes(self, view: View) -> Iterator[Metric]:
        yield GaugeMetricFamily("feltpost_nodes", "Nodes of this gateway.", value=len(view.names))
        taken = dict(self._watch.readings_taken)
        yield CounterMetricFamily(
            "feltpost_readings", "New readings from all nodes.", value=sum(taken.values())
        )
        shown = dict(sorted(view.names.items())[:_NODES_MAX])
        yield _counter(
            "feltpost_node_readings",
            "New readings from a node.",
            "node",
            {shown[node_id]: count for node_id, count in taken.items() if node_id in shown},
        )
        contacts = GaugeMetricFamily(
            "feltpost_node_last_contact_timestamp_seconds",
            "When a node was last heard from.",
            labels=["node"],
        )
        for node_id, name in shown.items():
            contact = self._watch.contacts.get(node_id)
            if contact is not None:
                contacts.add_metric([name], contact.last_ms / 1000)
        yield contacts
        expected = GaugeMetricFamily(
            "feltpost_node_expected_readings", "Numbers accounted for today.", labels=["node"]
        )
        missing = GaugeMetricFamily(
            "feltpost_node_missing_readings",
            "What of them is missing, by reason.",
            labels=["node", "reason"],
        )
        for day in view.today:
            if day.node_id in shown:
                expected.add_metric([shown[day.node_id]], day.expected)
                for reason, count in day.missing.items():
                    missing.add_metric([shown[day.node_id], reason.name.lower()], count)
        yield expected
        yield missing


class MetricsServer:
    """Answers Prometheus at the address of `config`, until closed."""

    def __init__(self, config: MetricsConfig, figures: Figures) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(figures)
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            self._server, self._thread = start_http_server(
                config.port, config.bind, registry=registry
            )
        except OSError as error:
            raise LinkError(
                f"metrics: {config.bind} port {config.port} can't be listened on: {error}. Give"
                " [metrics] another port"
            ) from error

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _counter(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _gauge(name: str, text: str, label: str, values: dict[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, size in values.items():
        family.add_metric([value], size)
    return family
