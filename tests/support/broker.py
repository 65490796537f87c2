"""A real mosquitto on a free loopback port, and a paho subscriber that keeps what arrives."""

import base64
import getpass
import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from feltpost_tools.sim.broker import free_port as free_port
from feltpost_tools.sim.broker import numbers_of as numbers_of

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def password_line(name: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{name}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


class Broker:
    """A mosquitto that can be stopped and started again on the same port.

    `listener` has more lines of configuration for its listener.
    """

    def __init__(self, directory: Path, listener: str = "") -> None:
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        self._log = directory / "mosquitto.log"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{listener}\n"
            f"allow_anonymous {str('password_file' not in listener).lower()}\n"
            "max_queued_messages 0\n"
            "max_inflight_messages 0\n"
            # The subscriber's session outlives a restart, so that what the gateway publishes
            # before the subscriber is back waits for it.
            # As another user it could not write there; started by root, it would change.
            f"user {getpass.getuser()}\n"
            f"persistence true\npersistence_location {directory}/\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-v", "-c", str(self._config)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert self._process.stdout is not None
            for line in self._process.stdout:
                log.write(line)
                # The folder of a test may have that word in its name, too.
                if line.rstrip().endswith(b" running"):
                    break
            else:
                raise RuntimeError(f"mosquitto did not start: {self._log.read_text()}")
        # Its pipe must be read, or it stops when that is full.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(10)


@dataclass(frozen=True)
class Arrival:
    """One MQTT message: where it came, what it says, and its user properties."""

    topic: str
    records: list[dict[str, Any]]
    properties: dict[str, str]
    content_type: str

    @property
    def numbers(self) -> list[tuple[str, int, int]]:
        """(node, journal, number) of each of its readings."""
        node, journal = self.properties["node"], int(self.properties["journal"])
        return [(node, journal, number) for number in numbers_of(self.properties["seq"])]


class Subscriber:
    """Subscribes to everything, through reconnections, and keeps what arrives in order."""

    def __init__(self, port: int) -> None:
        self._condition = threading.Condition()
        self._subscriptions = 0
        self.arrivals: list[Arrival] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="test-subscriber", protocol=paho.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self._client.connect(
            "127.0.0.1", port, keepalive=60, clean_start=False, properties=properties
        )
        self._client.loop_start()
        self.wait_subscribed(1)

    def _connected(self, client: Any, *_: Any) -> None:
        client.subscribe("feltpost/#", qos=1)

    def _subscribed(self, *_: Any) -> None:
        with self._condition:
            self._subscriptions += 1
            self._condition.notify_all()

    def _message(self, _client: Any, _userdata: Any, message: Any) -> None:
        arrival = Arrival(
            message.topic,
            json.loads(message.payload, parse_float=str),
            dict(message.properties.UserProperty),
            message.properties.ContentType,
        )
        with self._condition:
            self.arrivals.append(arrival)
            self._condition.notify_all()

    def wait_subscribed(self, times: int, timeout_s: float = 30) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self._subscriptions >= times, timeout_s)

    def numbers(self) -> list[tuple[str, int, int]]:
        """Every (node, journal, number) that arrived, duplicates included, in order."""
        return [number for arrival in list(self.arrivals) for number in arrival.numbers]

    def wait_for_numbers(self, count: int, timeout_s: float = 60) -> None:
        """Return when `count` different readings have arrived."""
        with self._condition:
            assert self._condition.wait_for(lambda: len(set(self.numbers())) >= count, timeout_s), (
                f"{len(set(self.numbers()))} of {count} readings arrived"
            )

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
