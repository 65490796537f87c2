"""A destination's connections: one for all readings, or one for each node with an account."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from feltpost_gateway.accounts import Accounts
from feltpost_gateway.destination_config import AccountConfig, DestinationConfig
from feltpost_gateway.errors import (
    BrokerUnavailableError,
    LoginRefusedError,
    MessageRefusedError,
    TlsFilesError,
)
from feltpost_gateway.formats.base import NodeDescription
from feltpost_gateway.mqtt import Events, Login, MqttConnection
from feltpost_gateway.tls import Expiry
from feltpost_gateway.topics import fill

# An account that the broker does not take is not tried again for each of its node's packs.
_REFUSED_AGAIN_S = 300.0

Refusals = dict[AccountConfig, tuple[float, str]]


class Connections(Protocol):
    """What the forwarder sends over."""

    async def open(self) -> None:
        """Connect as far as that is done beforehand; raise `BrokerUnavailableError`."""

    async def of(self, node: NodeDescription) -> MqttConnection | None:
        """Return the connection for a node's readings, None while all that may be open are busy.

        Raises `BrokerUnavailableError`, and `MessageRefusedError` where this node's readings can't
        be sent but those of others can.
        """

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` where messages were on a connection that is gone."""

    def publish_status(self) -> None:
        """Say on the destination's status topic, where it has one, how things are."""

    def expiries(self) -> list[Expiry]:
        """Return when the certificates end that the broker showed."""

    async def close(self) -> None:
        """End all connections."""


class SharedConnection:
    """One connection, made at the start."""

    def __init__(
        self, config: DestinationConfig, events: Events, status: Callable[[], bytes]
    ) -> None:
        client_id = fill(config.client_id, config.names)
        files = config.tls_files() if config.tls else None
        login = Login(client_id, config.username, config.read_password(), files)
        self._connection = MqttConnection(config, login, events, status)

    async def open(self) -> None:
        """Connect; raise `BrokerUnavailableError` where that fails."""
        await self._connection.open()

    async def of(self, node: NodeDescription) -> MqttConnection | None:
        """Return the connection while it has room for one more message."""
        connection = self._connection
        return connection if connection.on_their_way < connection.receive_maximum else None

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` once the connection is of no more use."""
        self._connection.raise_if_lost()

    def publish_status(self) -> None:
        """Say on the status topic how things are."""
        self._connection.publish_status()

    def expiries(self) -> list[Expiry]:
        """Return when the broker's certificate ends."""
        return [] if self._connection.expiry is None else [self._connection.expiry]

    async def close(self) -> None:
        """End the connection."""
        await self._connection.close()


class AccountConnections:
    """One connection for each node, made when it is needed; idle ones are closed for others."""

    def __init__(
        self,
        config: DestinationConfig,
        accounts: Accounts,
        events: Events,
        status: Callable[[], bytes],
        refusals: Refusals,
    ) -> None:
        """`refusals` outlives the connections: when an account was refused, and why."""
        self._config = config
        self._events = events
        self._status = status
        self._accounts = accounts
        self._refusals = refusals
        self._open: OrderedDict[AccountConfig, MqttConnection] = OrderedDict()

    async def open(self) -> None:
        """Connect nobody, but see that the files that all accounts share can be used."""
        if self._config.tls:
            await asyncio.to_thread(self._config.tls_files().context)

    async def of(self, node: NodeDescription) -> MqttConnection | None:
        """Return the node's connection while it has room for one more message."""
        account = self._accounts.find(node)
        assert account is not None, "a node without an account is not wanted"
        connection = self._open.get(account)
        if connection is None:
            self._raise_if_refused(account)
            if not await self._make_room():
                return None
            connection = await self._connect(account, node)
            self._open[account] = connection
        self._open.move_to_end(account)
        return connection if connection.on_their_way < connection.receive_maximum else None

    async def check(self) -> None:
        """Drop connections that are gone; raise `BrokerUnavailableError` where one was in use."""
        for account, connection in list(self._open.items()):
            if not connection.is_lost:
                continue
            if connection.on_their_way:
                connection.raise_if_lost()
            # An idle client is thrown out by another one with its client id, or for idling.
            del self._open[account]
            await connection.close()

    def publish_status(self) -> None:
        """Do nothing: a status topic does not go with accounts."""

    def expiries(self) -> list[Expiry]:
        """Return when the broker's certificate ends, as the latest connection saw it."""
        for connection in reversed(self._open.values()):
            return [] if connection.expiry is None else [connection.expiry]
        return []

    async def close(self) -> None:
        """End all connections."""
        connections = list(self._open.values())
        self._open.clear()
        await asyncio.gather(*(connection.close() for connection in connections))

    def _raise_if_refused(self, account: AccountConfig) -> None:
        at_s, reason = self._refusals.get(account, (0.0, ""))
        if reason and time.monotonic() - at_s < _REFUSED_AGAIN_S:
            raise MessageRefusedError(reason)

    async def _make_room(self) -> bool:
        """Close the connection that was used longest ago where there are as many as may be."""
        if len(self._open) < self._config.max_connections:
            return True
        for account, connection in self._open.items():
            if not connection.on_their_way:
                del self._open[account]
                await connection.close()
                return True
        return False

    async def _connect(self, account: AccountConfig, node: NodeDescription) -> MqttConnection:
        client_id = fill(self._config.client_id, self._config.names | self._accounts.fields(node))
        files = self._config.tls_files(account) if self._config.tls else None
        login = Login(client_id, account.username, account.read_password(), files)
        connection = MqttConnection(self._config, login, self._events, self._status)
        try:
            await connection.open()
        except (LoginRefusedError, TlsFilesError) as error:
            await connection.close()
            reason = f"{error}, as {account.who}"
            self._refusals[account] = (time.monotonic(), reason)
            raise MessageRefusedError(reason) from error
        except (BrokerUnavailableError, asyncio.CancelledError):
            await connection.close()
            raise
        self._refusals.pop(account, None)
        return connection


def make(
    config: DestinationConfig,
    accounts: Accounts,
    events: Events,
    status: Callable[[], bytes],
    refusals: Refusals,
) -> Connections:
    """Return a destination's connections, none of them open yet; raise `CredentialError`."""
    if accounts:
        return AccountConnections(config, accounts, events, status, refusals)
    return SharedConnection(config, events, status)
