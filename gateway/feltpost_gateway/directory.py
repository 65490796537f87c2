"""What a forwarder asks about nodes, and the answers where nobody keeps a registry."""

from typing import Protocol

from feltpost_gateway.formats.base import NodeDescription, Setting
from feltpost_gateway.publication import Publication
from feltpost_gateway.transaction import NodeRow


class Directory(Protocol):
    """Knows the nodes; each answer is what holds now, and costs no waiting."""

    def describe(self, node_id: int) -> NodeDescription | None:
        """Return what is known of the node with that row in the store, None for nothing."""

    def publication_class(self, metric: str, node_id: int) -> Publication:
        """Return the class of a node's readings of a metric or a channel of it."""


class EmptyDirectory:
    """Knows no node; all metrics are internal."""

    def describe(self, node_id: int) -> NodeDescription | None:
        """Return None."""
        return None

    def publication_class(self, metric: str, node_id: int) -> Publication:
        """Return `internal`."""
        return Publication.INTERNAL


def describe_row(node: NodeRow) -> NodeDescription:
    """Return what a node's row in the store says, as of a node that measures indoors."""
    urn = f"urn:dev:mac:{node.eui64.hex()}"
    return NodeDescription(urn, node.name, node.owner, node.site, Setting.INDOOR)
