"""Which readings a destination is to have: its filter, the publication classes, its accounts."""

from collections.abc import Sequence

from feltpost_gateway.accounts import Accounts, names_of
from feltpost_gateway.destination_config import DestinationConfig, FilterConfig
from feltpost_gateway.directory import Directory, describe_row
from feltpost_gateway.formats.base import NodeDescription, Reading
from feltpost_gateway.logs import EventLog
from feltpost_gateway.stored_readings import readings_of
from feltpost_gateway.transaction import StoredPack


class Selection:
    """What the destination of `config` is to have."""

    def __init__(self, config: DestinationConfig, accounts: Accounts, directory: Directory) -> None:
        self._config = config
        self._accounts = accounts
        self._directory = directory
        self._log = EventLog("forwarder")

    def describe(self, pack: StoredPack) -> NodeDescription | None:
        """Return what is known of a pack's node, None where its readings are for others."""
        node = self._directory.describe(pack.node_id) or describe_row(pack.node)
        if not passes(self._config.filter, node):
            return None
        if self._accounts and self._accounts.find(node) is None:
            self._log.limited(
                (node.urn,), "no-account", destination=self._config.name, node=node.name
            )
            return None
        return node

    def readings(self, pack: StoredPack) -> list[Reading]:
        """Return those of a pack's readings that the destination is to have.

        Raises `PackError` or `ClockNotSetError` where the pack is not what it was when it came.
        """
        return [
            reading
            for reading in readings_of(pack)
            if self._is_for_it(reading.record.name, pack.node_id)
        ]

    def _is_for_it(self, channel: str, node_id: int) -> bool:
        metrics = self._config.filter.metrics
        if metrics is not None and not _is_among(metrics, channel, channel.partition(".")[0]):
            return False
        return self._config.publication.may_carry(
            self._directory.publication_class(channel, node_id)
        )


def passes(wanted: FilterConfig, node: NodeDescription) -> bool:
    """Tell whether a destination with that filter may hear of a node."""
    return (
        _is_among(wanted.owners, node.owner)
        and _is_among(wanted.sites, node.site)
        and _is_among(wanted.nodes, *names_of(node))
    )


def _is_among(wanted: Sequence[str] | None, *names: str) -> bool:
    return wanted is None or any(name in wanted for name in names)
