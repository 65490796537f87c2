"""One connection to a broker, by MQTT 3.1.1 or 5, on paho-mqtt.

A connection is used once: a lost one is thrown away, and with it everything that paho queued, so
that the forwarder alone decides what is sent again.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.errors import (
    BrokerClosedError,
    BrokerUnavailableError,
    LoginRefusedError,
    MessageRefusedError,
)
from feltpost_gateway.tls import Expiry, TlsFiles, peer_expiry
from feltpost_gateway.topics import fill

_CONNECT_TIMEOUT_S = 10.0
_GOODBYE_TIMEOUT_S = 2.0
_KEEPALIVE_S = 30

_ONLINE = b'{"status":"online"}'
_OFFLINE = b'{"status":"offline"}'

# Reason codes of MQTT 5, section 2.4; paho gives those of 3.1.1 the same numbers.
_LOGIN_REFUSED = frozenset((0x85, 0x86, 0x87, 0x8A, 0x8C))
_MESSAGE_REFUSED = frozenset((0x87, 0x90, 0x95, 0x99))
_TOO_FAST = frozenset((0x93, 0x96, 0x97))

# More than what a PUBLISH has around its topic, payload and properties.
_OVERHEAD_BYTES = 64


@dataclass(frozen=True)
class Login:
    """As whom a connection is made; `files` are None where it is made without TLS."""

    client_id: str
    username: str | None
    password: str | None
    files: TlsFiles | None


@dataclass(frozen=True)
class Outgoing:
    """A message; content type and user properties go along where MQTT 5 is spoken."""

    topic: str
    payload: bytes
    content_type: str
    properties: Mapping[str, str]


class Events(Protocol):
    """What a connection tells, on the event loop that made it."""

    def taken(self, token: int) -> None:
        """The broker has the message that was published with `token`."""

    def refused(self, token: int, reason: str) -> None:
        """The broker does not take that message, and won't another time."""

    def lost(self) -> None:
        """The connection is of no more use; told once."""


class MqttConnection:
    """A connection to the broker of `config`."""

    def __init__(
        self,
        config: DestinationConfig,
        login: Login,
        events: Events,
        status: Callable[[], bytes],
    ) -> None:
        """`status` returns what the status topic is to say while this connection lasts."""
        self._config = config
        self._files = login.files
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._failure: BrokerUnavailableError | None = None
        self._tokens: dict[int, int] = {}
        self._packet_bytes: int | None = None
        self.receive_maximum = config.window
        """How many publishes may await their PUBACK."""
        self.expiry: Expiry | None = None
        """When the broker's certificate ends."""
        self._status = status
        self._status_topic = config.status_topic and fill(config.status_topic, config.names)
        self._status_said: bytes | None = None
        self._status_id: int | None = None
        self._status_waits = False
        self._is_5 = config.protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=login.client_id,
            protocol=paho.MQTTv5 if self._is_5 else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = _CONNECT_TIMEOUT_S
        # The forwarder keeps the window; paho must neither queue nor hold back.
        self._client.max_inflight_messages_set(0)
        if login.username is not None:
            self._client.username_pw_set(login.username, login.password)
        if self._status_topic is not None:
            self._client.will_set(self._status_topic, _OFFLINE, qos=1, retain=True)
        self._client.on_connect = self._paho_connected
        self._client.on_publish = self._paho_published
        self._client.on_disconnect = self._paho_disconnected

    @property
    def on_their_way(self) -> int:
        """How many publishes await their PUBACK."""
        return len(self._tokens)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is of no more use."""
        return self._failure is not None

    async def open(self) -> None:
        """Connect; raises `BrokerUnavailableError`, naming the broker, where that fails."""
        try:
            await asyncio.to_thread(self._connect_blocking)
        except (OSError, ValueError) as error:
            raise self._unavailable(f"can't be reached: {error}") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connected
        except TimeoutError:
            raise self._unavailable("doesn't answer the MQTT connect") from None
        self.publish_status()

    def publish_status(self) -> None:
        """Say on the status topic, retained, how things are, unless it says that already.

        Nothing happens where there is no such topic. One such message is on its way at a time.
        """
        self._status_waits = self._status_id is not None
        if self._status_topic is None or self._status_waits:
            return
        payload = self._status()
        size = len(self._status_topic.encode()) + len(payload) + _OVERHEAD_BYTES
        if self._packet_bytes is not None and size > self._packet_bytes:
            # The broker would hang up, and again at each new connection.
            payload = _ONLINE
        if payload != self._status_said:
            self._status_said = payload
            info = self._client.publish(self._status_topic, payload, qos=1, retain=True)
            self._status_id = info.mid

    def publish(self, message: Outgoing, token: int) -> None:
        """Send a message with QoS 1; what becomes of it is told with `token`.

        Raises `BrokerUnavailableError` where the connection is gone, and `MessageRefusedError`
        for a message that the broker said it would not take.
        """
        self.raise_if_lost()
        size = len(message.topic.encode()) + len(message.payload) + _OVERHEAD_BYTES
        properties = None
        if self._is_5:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = message.content_type
            properties.UserProperty = list(message.properties.items())
            size += len(properties.pack())
        if self._packet_bytes is not None and size > self._packet_bytes:
            raise MessageRefusedError(
                f"it has {size} bytes, and the broker takes {self._packet_bytes} at most"
            )
        info = self._client.publish(message.topic, message.payload, qos=1, properties=properties)
        # Where paho knows already that the connection is gone, we are about to hear of it.
        if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN):
            raise self._unavailable(paho.error_string(info.rc))
        self._tokens[info.mid] = token

    def raise_if_lost(self) -> None:
        """Raise `BrokerUnavailableError` with the reason once the connection is of no more use."""
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Say goodbye where the broker still listens, and end paho's thread."""
        self._status_waits = False
        # Whoever waited to be connected was stopped, or knows.
        self._connected.cancel()
        if self._status_topic is not None and self._failure is None:
            # A goodbye keeps the broker from publishing the will.
            self._client.publish(self._status_topic, _OFFLINE, qos=1, retain=True)
        self._client.disconnect()
        stopped = asyncio.ensure_future(asyncio.to_thread(self._client.loop_stop))
        try:
            async with asyncio.timeout(_GOODBYE_TIMEOUT_S):
                await asyncio.shield(stopped)
        except TimeoutError:
            # paho waits until what it queued is sent, which a half-open connection never takes.
            connection = self._client.socket()
            if isinstance(connection, socket.socket):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            await stopped

    def _connect_blocking(self) -> None:
        if self._files is not None:
            # The files are read at each attempt, so one that was put right is taken up.
            self._client.tls_set_context(self._files.context())
        self._client.connect(self._config.host, self._config.broker_port, keepalive=_KEEPALIVE_S)
        connection = self._client.socket()
        if isinstance(connection, socket.socket):
            # Or a message would wait for the acknowledgement of the one before it.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(connection, ssl.SSLSocket):
            self.expiry = peer_expiry(connection, self._config.broker)

    def _unavailable(self, what: str) -> BrokerUnavailableError:
        return BrokerUnavailableError(self._about(what))

    def _about(self, what: str) -> str:
        return f"broker {self._config.broker} {what}"

    # What follows up to `_set_connected` runs on paho's thread, which ends before the loop does.

    def _paho_connected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._loop.call_soon_threadsafe(self._set_connected, reason, properties)

    def _paho_published(
        self, _client: Any, _userdata: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._loop.call_soon_threadsafe(self._answered, message_id, reason)

    def _paho_disconnected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._loop.call_soon_threadsafe(self._closed, reason)

    def _set_connected(self, reason: ReasonCode, properties: Any) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            refused = reason.value in _LOGIN_REFUSED
            failure = LoginRefusedError if refused else BrokerUnavailableError
            self._connected.set_exception(failure(self._about(f"refused the connection: {reason}")))
            return
        # paho sets properties as attributes, which are there only where the broker sent them.
        self._packet_bytes = getattr(properties, "MaximumPacketSize", None)
        most = getattr(properties, "ReceiveMaximum", None)
        if most is not None:
            # One is left for the status.
            most = max(1, most - (self._status_topic is not None))
            self.receive_maximum = min(self.receive_maximum, most)
        if getattr(properties, "MaximumQoS", 1) == 0:
            failure = LoginRefusedError
            self._connected.set_exception(
                failure(self._about("takes no QoS 1, so it can't say that it has a message"))
            )
            return
        self._connected.set_result(None)

    def _answered(self, message_id: int, reason: ReasonCode) -> None:
        if message_id == self._status_id:
            self._status_id = None
            if self._status_waits:
                self.publish_status()
            return
        token = self._tokens.pop(message_id, None)
        if token is None:
            return
        if not reason.is_failure:
            self._events.taken(token)
        elif reason.value in _MESSAGE_REFUSED:
            self._events.refused(token, str(reason))
        else:
            too_fast = reason.value in _TOO_FAST
            self._lose(BrokerClosedError(self._about(f"refused a publish: {reason}"), too_fast))

    def _closed(self, reason: ReasonCode) -> None:
        too_fast = reason.value in _TOO_FAST
        self._lose(BrokerClosedError(self._about(f"closed the connection: {reason}"), too_fast))

    def _lose(self, failure: BrokerUnavailableError) -> None:
        if self._failure is None:
            self._failure = failure
            if not self._connected.done():
                self._connected.set_exception(failure)
            self._events.lost()
