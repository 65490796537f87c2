"""A store that has grown: packs of last week, of which the broker has all but the newest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.gateway.crash_site import JOURNAL, NODES, eui64
from tests.support.node import BASE_TIME_S, pack

from feltpost_gateway.store import Store
from feltpost_gateway.transaction import NodeRow, Pack, Transaction

OLD_COUNT = 60
"""How many readings an old pack has; so many fill a page."""

OLD_NODE = NODES[1]

# The configuration's name for the one destination that `[broker]` makes.
_DESTINATION = "mqtt"


def keep_three_days(configuration: str) -> str:
    """Have the gateway delete old packs once they are delivered."""
    return configuration.replace("[store]", "[store]\nretention_days = 3")


def _fill(transaction: Transaction, packs: int, waiting: int) -> None:
    row = NodeRow(eui64(OLD_NODE), OLD_NODE.name, "favrskov", "skole")
    node_id = transaction.register_node(row)
    for first in range(0, packs * OLD_COUNT, OLD_COUNT):
        body = pack(OLD_COUNT, first_value=first)
        received_ms = (BASE_TIME_S - 600_000) * 1000
        transaction.append(Pack(node_id, JOURNAL, first, OLD_COUNT, received_ms, body))
    transaction.save_cursor(_DESTINATION, packs - waiting)


async def make_full(path: Path, packs: int, waiting: int) -> None:
    """Make a store with so many packs, of which the last `waiting` were not delivered."""
    store = Store(path)
    await store.open()
    await store.write(partial(_fill, packs=packs, waiting=waiting), checkpoint=True)
    await store.close()
