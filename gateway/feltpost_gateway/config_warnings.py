"""What is allowed in a configuration, but hardly meant.

Each warning has the key that it is about. What depends on the nodes is said of those that are
known: the file's own, and where the store can be read, the registry's.
"""

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from feltpost_gateway.accounts import Accounts, names_of
from feltpost_gateway.config import Config
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.errors import FeltpostError
from feltpost_gateway.formats.base import NodeDescription
from feltpost_gateway.registry_rows import load_nodes
from feltpost_gateway.store_view import open_view
from feltpost_gateway.texts import Text, text

_PLAIN_PORT = 1883
_TLS_PORT = 8883
_NEEDS_POSITION = "ngsi-ld"


@dataclass(frozen=True)
class Warned:
    """A warning about a key of the file, such as `destinations[0].port`."""

    key: str
    what: Text


def find_warnings(config: Config) -> Iterator[Warned]:
    """Return the warnings, in the order of the file."""
    nodes = _known_nodes(config)
    if not config.store.path.is_absolute():
        yield Warned(
            "store.path",
            text("depends on the directory in which the gateway is started. Begin it with /"),
        )
    if config.udp is None and not config.serial:
        yield Warned("udp", text("is not there, and no [[serial]] either: no node can be heard"))
    if not nodes:
        yield Warned("nodes", text("there are none, here or in the registry: see nodes add"))
    if config.metrics is not None and not _is_this_computer(config.metrics.bind):
        yield Warned(
            "metrics.bind",
            text("lets everybody in the network read the figures; 127.0.0.1 would not"),
        )
    if not config.all_destinations:
        yield Warned("destinations", text("there are none: readings are kept and go nowhere"))
    if config.broker is not None:
        yield from _of_destination("broker", config.broker, nodes)
    for index, destination in enumerate(config.destinations):
        yield from _of_destination(f"destinations[{index}]", destination, nodes)


def _of_destination(
    key: str, destination: DestinationConfig, nodes: list[NodeDescription]
) -> Iterator[Warned]:
    if destination.tls and destination.port == _PLAIN_PORT:
        yield Warned(
            f"{key}.port", text("is 1883, where brokers speak without TLS; theirs is 8883")
        )
    if not destination.tls and destination.port == _TLS_PORT:
        yield Warned(f"{key}.tls", text("is not on, but port 8883 is for TLS"))
    has_password = destination.has_password or bool(destination.accounts)
    if has_password and not destination.tls and not _is_this_computer(destination.host):
        yield Warned(f"{key}.tls", text("is not on: the password can be read on its way"))
    wanted = destination.filter
    for name, values, known in (
        ("owners", wanted.owners, {node.owner for node in nodes}),
        ("sites", wanted.sites, {node.site for node in nodes}),
        ("nodes", wanted.nodes, {name for node in nodes for name in names_of(node)}),
    ):
        for value in values or ():
            if value not in known:
                yield Warned(f"{key}.filter.{name}", text("no node is of {value}", value=value))
    known = {name for node in nodes for name in names_of(node)}
    for index, account in enumerate(destination.accounts):
        if account.node not in known:
            unknown = text("there is no node {name}", name=account.node)
            yield Warned(f"{key}.accounts[{index}].node", unknown)
    accounts = Accounts(destination)
    for node in nodes:
        path = names_of(node)[1]
        if accounts and accounts.find(node) is None:
            yield Warned(f"{key}.accounts", text("{node} has none, so it is left out", node=path))
        if destination.format == _NEEDS_POSITION and node.position is None:
            yield Warned(
                f"{key}.format",
                text(
                    "{node} has no position, which {format} shows. Set it with: nodes edit",
                    node=path,
                    format=destination.format,
                ),
            )


def _known_nodes(config: Config) -> list[NodeDescription]:
    nodes = {
        node.eui64: NodeDescription(
            urn=node.urn,
            name=node.name,
            owner=node.owner,
            site=node.site,
            setting=node.setting,
            position=node.position,
        )
        for node in config.nodes
    }
    # Without a store, or without the right to read it, the file is all that is known.
    with suppress(FeltpostError), open_view(config.store.path) as connection:
        for row in load_nodes(connection, "WHERE NOT removed"):
            nodes[row.node.eui64] = row.node.describe()
    return list(nodes.values())


def _is_this_computer(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
