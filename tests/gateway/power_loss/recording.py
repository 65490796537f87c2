"""A run of the gateway as strace saw it: what it did to its directory, and what it told whom."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.power_loss.disk import Change, Create, Rename, Sync, Truncate, Unlink, Write
from tests.gateway.power_loss.system_calls import Call
from tests.support.broker import numbers_of

from feltpost_tools.faults import mqtt_packets

# What is gone with the power, or says nothing of readings.
_NOT_KEPT = ("-shm", ".lock", ".control")


@dataclass(frozen=True)
class Told:
    """A datagram that may have left from `at` on."""

    at: int
    datagram: bytes


@dataclass(frozen=True)
class HandedOver:
    """The broker's PUBACK for numbers of a node's journal was there at `at`."""

    at: int
    urn: str
    journal: int
    numbers: tuple[int, ...]


Event = Change | Told | HandedOver


def events_of(calls: Iterable[Call], store: Path, broker_port: int) -> list[Event]:
    """Return what happened to the store's files and on the wire, in order.

    Raises `AssertionError` for a call that changes the store's directory in a way that is not
    modelled.
    """
    files = _Files(store)
    streams = _Streams(broker_port)
    events: list[Event] = []
    for call in calls:
        events += files.events(call)
        events += streams.events(call)
        if call.name == "sendmsg" and call.path.startswith("UDP"):
            datagram = re.search(r'iov_base="([^"]*)"', call.arguments)
            assert datagram
            events.append(Told(call.begun, bytes.fromhex(datagram[1].replace("\\x", ""))))
    return sorted(events, key=lambda event: event.at)


class _Files:
    """What calls do to the store and the files whose names begin with its name."""

    def __init__(self, store: Path) -> None:
        self._directory = str(store.parent)
        self._store = str(store)

    def events(self, call: Call) -> Iterable[Change]:
        match call.name:
            case "openat" if "O_CREAT" in call.arguments:
                assert "O_TRUNC" not in call.arguments or not self._name(call.strings[0])
                return self._on(call.strings[0], lambda name: Create(call.begun, name))
            case "unlink":
                return self._on(call.strings[0], lambda name: Unlink(call.begun, name))
            case "rename":
                old, new = call.strings
                return self._on(old, lambda name: Rename(call.begun, name, self._name(new)))
            case "pwrite64":
                (data,) = call.strings
                written = data[: call.result]
                offset = call.last_number
                return self._on(call.path, lambda name: Write(call.begun, name, offset, written))
            case "ftruncate":
                size = call.last_number
                return self._on(call.path, lambda name: Truncate(call.begun, name, size))
            case "fsync" | "fdatasync":
                if call.path == self._directory:
                    return [Sync(call.ended, "", call.begun)]
                return self._on(call.path, lambda name: Sync(call.ended, name, call.begun))
            case "openat" | "sendto" | "sendmsg" | "recvfrom":
                return []
        concerned = [call.path, *(string.decode(errors="replace") for string in call.strings)]
        assert not any(map(self._name, concerned)), f"{call.name} is not modelled"
        return []

    def _on(self, path: str | bytes, make: Callable[[str], Change]) -> list[Change]:
        name = self._name(path)
        return [make(name)] if name else []

    def _name(self, path: str | bytes) -> str:
        """Return the name of a file of the store's, empty for all others."""
        path = path.decode() if isinstance(path, bytes) else path
        if not path.startswith(self._store) or path.endswith(_NOT_KEPT):
            return ""
        return path.removeprefix(self._directory + "/")


class _Streams:
    """The connections to the broker."""

    def __init__(self, broker_port: int) -> None:
        self._socket = re.compile(rf"TCP:\[.*->127\.0\.0\.1:{broker_port}\]")
        self._sent: dict[str, bytearray] = defaultdict(bytearray)
        self._received: dict[str, bytearray] = defaultdict(bytearray)
        self._published: dict[tuple[str, int], HandedOver] = {}

    def events(self, call: Call) -> Iterable[HandedOver]:
        if call.name not in ("sendto", "recvfrom") or not self._socket.fullmatch(call.path):
            return
        buffers = self._sent if call.name == "sendto" else self._received
        buffer = buffers[call.path]
        buffer += call.strings[0][: call.result] if call.strings else b""
        for packet in mqtt_packets.split(buffer):
            if buffers is self._sent:
                self._publish(call.path, packet)
            elif mqtt_packets.kind_of(packet) == mqtt_packets.PacketKind.PUBACK:
                packet_id, taken = mqtt_packets.acknowledged(packet)
                message = self._published.pop((call.path, packet_id), None)
                if taken and message is not None:
                    yield HandedOver(call.ended, message.urn, message.journal, message.numbers)

    def _publish(self, socket: str, packet: bytes) -> None:
        if mqtt_packets.kind_of(packet) != mqtt_packets.PacketKind.PUBLISH:
            return
        message = mqtt_packets.published(packet, mqtt_5=True)
        if message is None:
            return
        packet_id, published = message
        says = dict(published.properties)
        if "seq" in says:
            self._published[socket, packet_id] = HandedOver(
                0, says["node"], int(says["journal"]), tuple(numbers_of(says["seq"]))
            )
