"""One MQTT 5 connection to a broker, on paho-mqtt.

A connection is used once: a lost one is thrown away, and with it everything that paho queued, so
that the forwarder alone decides what is sent again.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from feltpost_gateway.config import BrokerConfig
from feltpost_gateway.errors import BrokerUnavailableError

_CONNECT_TIMEOUT_S = 10.0
_GOODBYE_TIMEOUT_S = 2.0
_KEEPALIVE_S = 30


class MqttConnection:
    """A connection whose callbacks run on the event loop that made it.

    `on_ack` gets the message id of each publish that the broker took; `on_lost` is called once
    when the connection is gone or the broker refused a publish.
    """

    def __init__(
        self, config: BrokerConfig, on_ack: Callable[[int], None], on_lost: Callable[[], None]
    ) -> None:
        self._config = config
        self._on_ack = on_ack
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._failure: BrokerUnavailableError | None = None
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=config.client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.connect_timeout = _CONNECT_TIMEOUT_S
        self._client.max_inflight_messages_set(config.window)
        if config.username is not None:
            password = config.password.get_secret_value() if config.password else None
            self._client.username_pw_set(config.username, password)
        self._client.on_connect = self._paho_connected
        self._client.on_publish = self._paho_published
        self._client.on_disconnect = self._paho_disconnected

    async def open(self) -> None:
        """Connect; raises `BrokerUnavailableError`, naming the broker, where that fails."""
        try:
            await asyncio.to_thread(self._connect_blocking)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise self._unavailable(f"can't be reached: {error}") from error
        self._client.loop_start()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._connected
        except TimeoutError:
            raise self._unavailable("doesn't answer the MQTT connect") from None

    def publish(
        self, topic: str, payload: bytes, content_type: str, user_properties: Mapping[str, str]
    ) -> int:
        """Send a message with QoS 1 and return its id, which `on_ack` gets later.

        Raises `BrokerUnavailableError` where the connection is gone.
        """
        self.raise_if_lost()
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = content_type
        properties.UserProperty = list(user_properties.items())
        info = self._client.publish(topic, payload, qos=1, properties=properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._unavailable(paho.error_string(info.rc))
        return info.mid

    def raise_if_lost(self) -> None:
        """Raise `BrokerUnavailableError` with the reason once the connection is of no more use."""
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Say goodbye where the broker still listens, and end paho's thread."""
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
        # Reading the CA file is part of the attempt: a file put right later is taken up.
        if self._config.tls:
            ca_file = self._config.ca_file
            self._client.tls_set_context(ssl.create_default_context(cafile=ca_file))
        self._client.connect(self._config.host, self._config.port, keepalive=_KEEPALIVE_S)

    def _unavailable(self, what: str) -> BrokerUnavailableError:
        return BrokerUnavailableError(f"broker {self._config.host}:{self._config.port} {what}")

    # What follows up to `_lost` runs on paho's thread, which ends before the loop does.

    def _paho_connected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._loop.call_soon_threadsafe(self._set_connected, reason)

    def _paho_published(
        self, _client: Any, _userdata: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        if reason.is_failure:
            self._loop.call_soon_threadsafe(self._lost, f"refused a publish: {reason}")
        else:
            self._loop.call_soon_threadsafe(self._on_ack, message_id)

    def _paho_disconnected(
        self, _client: Any, _userdata: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._loop.call_soon_threadsafe(self._lost, f"closed the connection: {reason}")

    def _set_connected(self, reason: ReasonCode) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            failure = self._unavailable(f"refused the connection: {reason}")
            self._connected.set_exception(failure)
        else:
            self._connected.set_result(None)

    def _lost(self, what: str) -> None:
        if self._failure is None:
            self._failure = self._unavailable(what)
            if not self._connected.done():
                self._connected.set_exception(self._failure)
            self._on_lost()
