"""A subscriber in a process of its own, so that it takes no time from those who send."""

import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench.gateway_load import NUMBER_BYTES
from feltpost_tools.errors import FeltpostError

_START_S = 20.0


@dataclass(frozen=True)
class Arrival:
    """A message that came for the first time; ns: the monotonic clock's.

    sender and number: as those who send have them.
    """

    ns: int
    sender: str
    number: int


class Subscriber:
    """Subscribes to everything on a broker with QoS 1; a context manager."""

    def __init__(self, port: int):
        self._port = port

    def __enter__(self) -> Self:
        """Start the process and return when it has subscribed."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._port), daemon=True)
        self._process.start()
        theirs.close()
        if not self._subscribed():
            self.__exit__()
            raise FeltpostError(f"nobody can subscribe to the broker on port {self._port}")
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()

    def _subscribed(self) -> bool:
        try:
            return self._pipe.poll(_START_S) and self._pipe.recv() is None
        except EOFError:
            return False

    def wait(self, messages: int, timeout_s: float, below: int | None = None) -> list[Arrival]:
        """Return what has come since the last call, once that is so many messages.

        below: only messages with a number below it are waited for. Repetitions are not counted.
        After timeout_s it returns what there is.
        """
        try:
            self._pipe.send((messages, timeout_s, below))
            arrivals: list[Arrival] = self._pipe.recv()
        except (OSError, EOFError) as error:
            raise FeltpostError("the subscriber has ended; why is above") from error
        return arrivals


class _Inbox:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._known: set[tuple[str, int]] = set()
        self._arrivals: list[Arrival] = []
        self._below: int | None = None
        self._missing = 0

    def put(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        sender = message.topic.split("/")[-2]
        # paho sets the attributes of Properties by name, which its types do not show.
        properties = dict(getattr(message.properties, "UserProperty", ()))
        if "seq" in properties:
            # The numbers of the pack's readings, such as "40-44"; the first one is the pack's.
            number = int(properties["seq"].partition("-")[0])
        else:
            # It came by the bridge (gateway_bridge.py).
            number = int.from_bytes(message.payload[:NUMBER_BYTES])
        with self._changed:
            if (sender, number) not in self._known:
                self._known.add((sender, number))
                arrival = Arrival(now_ns, sender, number)
                self._arrivals.append(arrival)
                self._missing -= self._counts(arrival)
                if self._missing <= 0:
                    self._changed.notify()

    def take(self, messages: int, timeout_s: float, below: int | None) -> list[Arrival]:
        with self._changed:
            self._below = below
            self._missing = messages - sum(map(self._counts, self._arrivals))
            self._changed.wait_for(lambda: self._missing <= 0, timeout_s)
            taken, self._arrivals = self._arrivals, []
        return taken

    def _counts(self, arrival: Arrival) -> bool:
        return self._below is None or arrival.number < self._below


def _end_with(arguments: threading.ExceptHookArgs) -> None:
    threading.__excepthook__(arguments)
    os._exit(1)


def _serve(pipe: Connection, port: int) -> None:
    # Whatever ends paho's thread ends the process, so that nobody waits for it.
    threading.excepthook = _end_with
    inbox = _Inbox()
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.on_subscribe = lambda *_: pipe.send(None)
    client.on_message = inbox.put
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    while True:
        try:
            pipe.send(inbox.take(*pipe.recv()))
        except (EOFError, OSError):
            return
