"""`[[destinations]]` of the configuration file: brokers, and which readings each is to have."""

import socket
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from feltpost_gateway import formats, topics
from feltpost_gateway.config_types import Label, Table
from feltpost_gateway.credentials import CredentialPath, WithPassword
from feltpost_gateway.publication import Publication
from feltpost_gateway.tls import TlsFiles

_TOPIC_FIELDS = ("owner", "site", "node", "eui64", "device")
_CLIENT_FIELDS = ("host", "destination")
_NODE_CLIENT_FIELDS = (*_CLIENT_FIELDS, "owner", "site", "node", "eui64", "device")
# One of these tells each account from all others.
_DISTINCT_FIELDS = frozenset(("eui64", "device"))

_PORT = 1883
_TLS_PORT = 8883

Begin = Literal["undelivered", "now", "all"] | int


def _topic(text: str) -> str:
    topics.check_topic(text, _TOPIC_FIELDS)
    return text


def _status_topic(text: str) -> str:
    topics.check_topic(text, _CLIENT_FIELDS)
    return text


def _client_id(text: str) -> str:
    topics.check_template(text, _NODE_CLIENT_FIELDS)
    return text


def _begin(value: Any) -> Any:
    """Return Unix milliseconds for a day or a time, which is UTC unless it says otherwise."""
    if value in ("undelivered", "now", "all"):
        return value
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        raise ValueError('is not "undelivered", "now", "all" or a day such as "2026-01-31"')
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return int(value.timestamp() * 1000)


def _format(name: str) -> str:
    if name not in formats.NAMES:
        raise ValueError(f"is not a format; there are {', '.join(formats.NAMES)}")
    return name


class FilterConfig(Table):
    """`[destinations.filter]`: what a destination is to have; what is left out lets all through.

    `nodes` are names, or `owner/site/name` where a name alone could mean several. `metrics` are
    names such as `temperature`, with a place (`temperature.outdoor`) for that channel only.
    """

    owners: tuple[str, ...] | None = None
    sites: tuple[str, ...] | None = None
    nodes: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None


class AccountConfig(WithPassword):
    """`[[destinations.accounts]]`: how the broker knows a node, by a password or a certificate.

    `node` is its name, or `owner/site/name`; `device` is what `{device}` stands for.
    """

    node: Annotated[str, Field(min_length=1)]
    device: Label | None = None
    username: str | None = None
    cert_file: CredentialPath | None = None
    key_file: CredentialPath | None = None

    @property
    def who(self) -> str:
        """As whom the broker knows the node, for messages."""
        return self.username or str(self.cert_file)

    @model_validator(mode="after")
    def _check_proof(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file are given both or neither")
        if self.username is not None and not self.has_password:
            raise ValueError("password or password_file is missing")
        if self.username is None and (self.has_password or self.cert_file is None):
            raise ValueError("username is missing, or cert_file and key_file in its place")
        return self


class DestinationConfig(WithPassword):
    """One destination.

    `begin` (`from` in the file) is where a destination begins that the store has not seen before:
    with what no destination has had yet, with what comes from now on, with all that is stored, or
    with what came since a day. Where it is changed to `all` or another day, what came since then
    is sent again. `publication` is the most guarded class of readings that it may have.

    `window` is how many publishes may await their PUBACK, `max_rate` how many messages go out in a
    second, `backlog_rate` how many of those that waited long.

    With `accounts`, each node's readings go over a connection of their own, of which at most
    `max_connections` are open, and nodes without an account are left out. An account's certificate
    takes the place of the destination's.
    """

    name: Label
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: bool = False
    ca_file: CredentialPath | None = None
    cert_file: CredentialPath | None = None
    key_file: CredentialPath | None = None
    username: str | None = None
    accounts: tuple[AccountConfig, ...] = ()
    max_connections: Annotated[int, Field(ge=1, le=1000)] = 50
    protocol: Literal["3.1.1", "5"] = "5"
    client_id: Annotated[str, AfterValidator(_client_id)] = "feltpost-{host}-{destination}"
    topic: Annotated[str, AfterValidator(_topic)] = "feltpost/{owner}/{site}/{node}/readings"
    status_topic: Annotated[str, AfterValidator(_status_topic)] | None = None
    format: Annotated[str, AfterValidator(_format)] = "senml+json"
    publication: Publication = Publication.INTERNAL
    filter: FilterConfig = FilterConfig()
    begin: Annotated[Begin, BeforeValidator(_begin), Field(alias="from")] = "undelivered"
    window: Annotated[int, Field(ge=1, le=1000)] = 20
    max_rate: Annotated[float, Field(gt=0)] | None = None
    backlog_rate: Annotated[float, Field(gt=0)] = 200.0

    @property
    def broker(self) -> str:
        """The broker's address, for messages."""
        return f"{self.host}:{self.broker_port}"

    @property
    def broker_port(self) -> int:
        """The port, MQTT's usual one where none is given."""
        return self.port or (_TLS_PORT if self.tls else _PORT)

    @property
    def names(self) -> dict[str, str]:
        """What the client id's and the status topic's fields stand for."""
        return {"host": socket.gethostname(), "destination": self.name}

    def tls_files(self, account: AccountConfig | None = None) -> TlsFiles:
        """Return the files that the TLS is made of, for an account with its own certificate."""
        owner = self if account is None or account.cert_file is None else account
        return TlsFiles(self.ca_file, owner.cert_file, owner.key_file)

    @property
    def all_tls_files(self) -> tuple[TlsFiles, ...]:
        """The destination's own files, and those of each account that has some."""
        own = (self.tls_files(each) for each in self.accounts if each.cert_file is not None)
        return (self.tls_files(), *own)

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if not self.tls:
            if any(account.cert_file is not None for account in self.accounts):
                raise ValueError("an account has a cert_file but tls is not true")
            for key in ("ca_file", "cert_file", "key_file"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} is given but tls is not true")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file are given both or neither")
        if self.has_password and self.username is None:
            raise ValueError("password is given without a username")
        return self

    @model_validator(mode="after")
    def _check_accounts(self) -> Self:
        client_fields = topics.fields_of(self.client_id)
        if not self.accounts:
            if client_fields - set(_CLIENT_FIELDS):
                raise ValueError("client_id has a field of a node, but there are no accounts")
            if "device" in topics.fields_of(self.topic):
                raise ValueError("topic has {device}, but there are no accounts")
            return self
        if not client_fields & _DISTINCT_FIELDS:
            raise ValueError(
                "client_id needs {eui64} or {device}: two connections with the same client id"
                " throw each other out"
            )
        if "device" in client_fields | topics.fields_of(self.topic) and any(
            account.device is None for account in self.accounts
        ):
            raise ValueError("{device} is used, but an account has no device")
        if self.username is not None or self.status_topic is not None:
            raise ValueError("username and status_topic don't go with accounts")
        names = [account.node for account in self.accounts]
        if len(set(names)) < len(names):
            raise ValueError("a node has more than one account")
        return self
