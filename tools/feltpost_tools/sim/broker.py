"""A real mosquitto on a free loopback port, and a subscriber to it."""

import asyncio
import contextlib
import json
import random
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from feltpost_tools.errors import FeltpostError, MissingTool
from feltpost_tools.sim.ledger import Arrived

_START_S = 10.0
_STOP_S = 10.0
_SESSION_S = 86_400
# Where mosquitto keeps sessions, in its folder.
_DATABASE = "mosquitto.db"


def free_port() -> int:
    """Return a port that nobody has, for UDP or TCP.

    It is below those that the system hands out by itself: one of these may become some client's
    while a server that is to come back is away from it.
    """
    while True:
        port = random.randrange(10_240, 32_768)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port


class Broker:
    """mosquitto with persistent sessions, so that a stop and a start lose nothing that it had."""

    def __init__(self, folder: Path):
        """folder: for its configuration, database and log."""
        found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/sbin")
        if not found:
            raise MissingTool(
                what="mosquitto",
                why="the MQTT broker that readings are sent to is not installed;",
                how="run: sudo apt-get install mosquitto",
            )
        self._command = found
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.host = "127.0.0.1"
        self.port = free_port()

    @property
    def running(self) -> bool:
        """Whether the broker has been started and not stopped."""
        return self._process is not None

    async def start(self) -> None:
        """Start it and return when it takes connections."""
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text(
            f"listener {self.port} 127.0.0.1\n"
            "allow_anonymous true\n"
            "persistence true\n"
            f"persistence_location {self._folder}/\n"
            "max_queued_messages 0\n"
            "max_inflight_messages 0\n"
        )
        # Started by root, mosquitto would otherwise become a user that can't write here.
        with configuration.open("a") as file:
            file.write("user root\n")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._command,
                "-c",
                str(configuration),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                _, writer = await asyncio.open_connection(self.host, self.port)
            except OSError as error:
                if self._process.returncode is not None or time.monotonic() > deadline:
                    raise FeltpostError(
                        f"mosquitto did not start; see {self._folder / 'mosquitto.log'}"
                    ) from error
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return

    async def stop(self) -> None:
        """Stop it; its sessions and what is queued in them are kept."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def kill(self) -> None:
        """End it as a power cut would (SIGKILL): what it had not written down is lost."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def forget(self) -> None:
        """While it is away, lose all sessions and what was queued in them."""
        if self.running:
            raise FeltpostError("the broker is running; stop it first, or it forgets nothing")
        (self._folder / _DATABASE).unlink(missing_ok=True)


class Subscriber:
    """Subscribes to all readings, with a session that outlives a broker's restart.

    received is called in the event loop for each reading of each message, with the monotonic time
    at which the message came; lost when the broker has lost the session, before it subscribes
    again, and renewed once it has.
    """

    def __init__(
        self,
        host: str,
        port: int,
        topic: str,
        received: Callable[[Arrived, float], None],
        lost: Callable[[], None] = lambda: None,
        renewed: Callable[[], None] = lambda: None,
    ):
        self._address = (host, port)
        self._topic = topic
        self._received = received
        self._lost = lost
        self._renewed = renewed
        self._loop = asyncio.get_running_loop()
        self._subscribed = asyncio.Event()
        self.failure: str | None = None
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"feltpost-demo-{port}-{time.monotonic_ns()}",
            protocol=mqtt.MQTTv5,
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=2)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    async def start(self) -> None:
        """Connect and return when subscribed."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S
        try:
            await asyncio.to_thread(
                self._client.connect, *self._address, clean_start=False, properties=properties
            )
        except OSError as error:
            host, port = self._address
            raise FeltpostError(f"no MQTT broker answers at {host}:{port}: {error}") from error
        self._client.loop_start()
        await asyncio.wait_for(self._subscribed.wait(), _START_S)

    async def stop(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _on_connect(
        self, _: mqtt.Client, __: Any, flags: Any, reason: ReasonCode, ___: Any
    ) -> None:
        if reason.is_failure:
            self.failure = f"the broker refuses the subscriber: {reason}"
            return
        if not flags.session_present:
            self._loop.call_soon_threadsafe(self._subscribe)

    def _subscribe(self) -> None:
        if self._subscribed.is_set():
            self._lost()
        self._client.subscribe(self._topic, options=SubscribeOptions(qos=1))

    def _on_subscribe(self, *_: Any) -> None:
        self._loop.call_soon_threadsafe(self._note_subscribed)

    def _note_subscribed(self) -> None:
        if self._subscribed.is_set():
            self._renewed()
        self._subscribed.set()

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        now_s = time.monotonic()
        for reading in readings(message):
            self._loop.call_soon_threadsafe(self._received, reading, now_s)


def readings(message: mqtt.MQTTMessage) -> list[Arrived]:
    """Return the readings of a message in the format senml+json, as the default topic has them."""
    *_, node, _ = message.topic.split("/")
    # paho sets the attributes of Properties by name, which its types do not show.
    properties = dict(getattr(message.properties, "UserProperty", ()))
    numbers = numbers_of(properties["seq"])
    base_name = ""
    arrived = []
    for number, record in zip(numbers, json.loads(message.payload), strict=True):
        base_name = record.get("bn", base_name)
        arrived.append(
            Arrived(
                node=node,
                journal=int(properties["journal"]),
                number=number,
                name=record["n"],
                unit=record.get("u", ""),
                value=record["v"],
                unix_s=record["t"],
                marks=record.get("q", 0),
            )
        )
    return arrived


def numbers_of(ranges: str) -> list[int]:
    """Return the numbers in `40-43,47`."""
    ends = [part.partition("-") for part in ranges.split(",")]
    return [n for first, _, last in ends for n in range(int(first), int(last or first) + 1)]
