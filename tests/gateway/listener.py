"""A subscriber that keeps messages as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


@dataclass(frozen=True)
class Heard:
    topic: str
    payload: bytes
    retained: bool
    has_properties: bool


class Listener:
    """Subscribes to everything on a port of the loopback interface."""

    def __init__(self, port: int, username: str | None = None, password: str = "") -> None:
        self._condition = threading.Condition()
        self._subscribed = threading.Event()
        self.heard: list[Heard] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(20)

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        with self._condition:
            has_properties = hasattr(message.properties, "UserProperty")
            self.heard.append(Heard(message.topic, message.payload, message.retain, has_properties))
            self._condition.notify_all()

    def topics(self) -> list[str]:
        return [heard.topic for heard in self.heard]

    def wait(self, condition: Callable[[list[Heard]], bool], timeout_s: float = 30) -> None:
        with self._condition:
            done = self._condition.wait_for(lambda: condition(self.heard), timeout_s)
        assert done, self.heard

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
