"""What a destination's status topic says while the gateway is connected.

    {"status": "online", "events": [{"kind": "silent", "node": "owner/site/name", …}, …]}

Events are those of `feltpost-gateway status --json`: the gateway's own, and those of the nodes that
pass the destination's filter, so that no owner reads of another one's nodes.
"""

import json
from collections.abc import Mapping

from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.directory import Directory
from feltpost_gateway.events import Event, EventKind, Events
from feltpost_gateway.publication import Publication
from feltpost_gateway.selection import passes
from feltpost_gateway.status import event_to_json

# Brokers bound a message's size, and not all of them say at what. `omitted` counts the rest.
_EVENTS_MAX = 100

# Whose values such an event repeats; a destination that may not have those gets no such event.
_METRICS: Mapping[EventKind, tuple[str, ...]] = {
    EventKind.BATTERY_LOW: ("batteryLevel", "batteryVoltage", "voltage.battery"),
    EventKind.JOURNAL_FILLING: ("journalFill",),
    EventKind.SENSOR_FAULT: ("sensorFault",),
}


class Announcement:
    """Says how things are, for the destination of `config`."""

    def __init__(self, config: DestinationConfig, directory: Directory, events: Events) -> None:
        self._config = config
        self._directory = directory
        self._events = events

    def payload(self) -> bytes:
        """Return what the status topic is to say now."""
        wanted = [said for event in self._events.open() if (said := self._event(event)) is not None]
        message: dict[str, object] = {"status": "online", "events": wanted[-_EVENTS_MAX:]}
        if len(wanted) > _EVENTS_MAX:
            message["omitted"] = len(wanted) - _EVENTS_MAX
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()

    def _event(self, event: Event) -> dict[str, str | None] | None:
        node_id = event.subject.node_id
        if node_id is None:
            return event_to_json(event, None)
        node = self._directory.describe(node_id)
        if node is None or not passes(self._config.filter, node):
            return None
        classes = [Publication.INTERNAL] + [
            self._directory.publication_class(metric, node_id)
            for metric in _METRICS.get(event.subject.kind, ())
        ]
        if not all(map(self._config.publication.may_carry, classes)):
            return None
        return event_to_json(event, f"{node.owner}/{node.site}/{node.name}")
