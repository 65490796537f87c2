"""Removes a node with everything that the store has of it.

Its keys end first, in a commit of their own. Its readings then go in steps, so that no request
waits long. What was there is overwritten in the file.
"""

from dataclasses import dataclass
from functools import partial

from feltpost_gateway.registry import Registry
from feltpost_gateway.registry_rows import RegistryRows, overwriting
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Transaction

# The packs of one node lie among all others; a step looks at so many.
_STEP_PACKS = 4096


@dataclass(frozen=True)
class Purged:
    """What went: readings that were stored, and rows of the other kinds."""

    readings: int
    gaps: int
    reports: int
    history: int
    keys: int


async def purge(registry: Registry, store: Store, node_id: int) -> Purged:
    """Remove the node whose row is `node_id`; return what went.

    Where it is cut off the keys are gone, and it can be called again for the rest.
    """
    await registry.change(partial(RegistryRows.remove_node, node_id=node_id))
    end = await store.read(
        lambda reader: int(reader.execute("SELECT coalesce(max(id), 0) FROM packs").fetchone()[0])
    )
    readings = 0
    for after in range(0, end, _STEP_PACKS):
        readings += await store.write(partial(_delete_packs, node_id=node_id, after=after))
    rest = await registry.change(partial(_delete_rest, node_id=node_id))
    # What was overwritten is in the log so far; it is put into the file.
    await store.write(lambda _: None, checkpoint=True)
    return Purged(readings + rest.readings, rest.gaps, rest.reports, rest.history, rest.keys)


def _delete_packs(transaction: Transaction, node_id: int, after: int) -> int:
    database = transaction.connection
    with overwriting(database):
        rows = database.execute(
            "DELETE FROM packs WHERE id > ? AND id <= ? AND node_id = ? RETURNING count",
            (after, after + _STEP_PACKS, node_id),
        ).fetchall()
    return sum(int(row[0]) for row in rows)


def _delete_rest(rows: RegistryRows, node_id: int) -> Purged:
    database = rows.connection
    with overwriting(database):
        # A request that was under way may have brought more since.
        packs = database.execute(
            "DELETE FROM packs WHERE node_id = ? RETURNING count", (node_id,)
        ).fetchall()
        database.execute(
            "DELETE FROM oscore WHERE key_id IN (SELECT key_id FROM node_keys WHERE node_id = ?)",
            (node_id,),
        )
        gone = {
            table: database.execute(f"DELETE FROM {table} WHERE node_id = ?", (node_id,)).rowcount
            for table in ("gaps", "journals", "reports", "node_history", "node_keys")
        }
        database.execute("DELETE FROM nodes WHERE id = ?", (node_id,))
    return Purged(
        sum(int(row[0]) for row in packs),
        gone["gaps"],
        gone["reports"],
        gone["node_history"],
        gone["node_keys"],
    )
