"""What a destination refused: sent again or given up while others go on; purged while under way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import FixedClock
from tests.gateway.fake_broker import FakeBroker, add_packs, destination, forwarding, until

from feltpost_gateway.commands import Commands
from feltpost_gateway.delivery import (
    DeadLetter,
    note_refused,
    read_dead_letters,
    save_position,
)
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.progress import Position
from feltpost_gateway.purge import purge
from feltpost_gateway.registry import Registry
from feltpost_gateway.store import Store
from feltpost_gateway.transaction import Transaction

Run = Callable[[Any], None]

NOT_AUTHORIZED = 0x87


async def refused_by(store: Store, name: str) -> list[int]:
    letters = await store.read(lambda reader: read_dead_letters(reader, name, 9))
    return [letter.pack_id for letter in letters]


def with_letters(names: Iterable[str], transaction: Transaction) -> None:
    """Four packs, of which each destination has all but the second, which it refused."""
    add_packs(transaction, nodes=1, packs=4)
    for name in names:
        save_position(transaction.connection, name, Position(4))
        note_refused(transaction.connection, DeadLetter(name, 2, "1", "t", "too large", 0))


def test_one_destination_at_a_time_gets_or_loses_what_it_refused(run: Run, tmp_path: Path) -> None:
    broker = FakeBroker()

    async def scenario() -> None:
        await broker.start()
        async with forwarding(tmp_path) as (store, destinations):
            # One is not in the configuration any more.
            await store.write(partial(with_letters, ("d", "e", "gone")))
            await destinations.apply(
                [
                    destination(broker.port, client_id="1"),
                    destination(broker.port, client_id="2", name="e"),
                ]
            )
            registry = Registry(store, FixedClock())
            commands = Commands(registry, store, FixedClock(), destinations.retry)
            with pytest.raises(OperatorError, match="no destination gone; there are: d, e"):
                await commands.retry_refused("gone")
            with pytest.raises(OperatorError, match="no destination f; there are: d, e, gone"):
                await commands.drop_refused("f")
            assert await commands.drop_refused("gone") == 1
            assert await commands.retry_refused("d") == 1
            await until(lambda: len(broker.acknowledged) == 1)
            assert [await refused_by(store, name) for name in ("d", "e", "gone")] == [[], [2], []]
            # The forwarder that there was before has ended, and its connection with it.
            await until(lambda: broker.open_connections == 2)
            await store.write(partial(add_packs, nodes=1, packs=1))
            await until(lambda: all(s.position.cursor == 5 for s in destinations.states()))
            await until(lambda: len(broker.acknowledged) == 3)
            assert await commands.drop_refused("e") == 1
            assert await refused_by(store, "e") == []
        await broker.stop()

    run(scenario())
    assert [b'"v":1,' in message.payload for message in broker.published] == [True, False, False]
    assert len(broker.connects) == 3


@pytest.mark.parametrize("verdict", [0, NOT_AUTHORIZED])
def test_a_node_is_purged_while_its_message_is_under_way(
    run: Run, tmp_path: Path, verdict: int
) -> None:
    """The answer for what is gone, whichever it is, disturbs nothing that comes after."""
    broker = FakeBroker(lambda _: verdict if len(broker.published) == 1 else 0, holds_until=2)

    async def scenario() -> None:
        await broker.start()
        async with forwarding(tmp_path, destination(broker.port)) as (store, destinations):
            registry = Registry(store, FixedClock())
            await registry.open()
            await store.write(partial(add_packs, nodes=1, packs=1))
            await broker.until(lambda: len(broker.published) == 1)
            assert (await purge(registry, store, 1)).readings == 1
            # The broker answers when it has the next one, of another node.
            await store.write(partial(add_packs, nodes=2, packs=2))
            await until(lambda: destinations.states()[0].position.cursor == 3)
            state = destinations.states()[0]
            assert (state.on_their_way, state.refused) == (0, 0)
            assert await refused_by(store, "d") == []
        await broker.stop()

    run(scenario())
    assert len(broker.published) == 3
    assert len(broker.connects) == 1
