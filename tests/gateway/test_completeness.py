"""Expected, arrived, missing and delivered, whatever was counted, deleted or given up meanwhile."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from feltpost_gateway import completeness
from feltpost_gateway.completeness import Delivery, NodeDay, count_packs, read_days
from feltpost_gateway.database import Database
from feltpost_gateway.deletion import evict, prune
from feltpost_gateway.transaction import Gap, GapReason, NodeRow, Pack, Transaction

DAY_MS = 86_400_000
NOON_MS = int(datetime(2026, 11, 20, 12).timestamp() * 1000)
DAYS = ("2026-11-20", "2026-11-21", "2026-11-22")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Transaction]:
    database = Database(tmp_path / "s.db")
    connection = database.open()
    transaction = Transaction(connection)
    for number in range(1, 4):
        transaction.register_node(NodeRow(bytes([number] * 8), f"n{number}", "owner", "site"))
    yield transaction
    connection.close()
    database.close()


@contextmanager
def committed(store: Transaction) -> Iterator[sqlite3.Connection]:
    store.connection.execute("BEGIN")
    yield store.connection
    store.connection.execute("COMMIT")


def append(store: Transaction, first: int, count: int = 4, day: int = 0, node: int = 1) -> None:
    store.append(Pack(node, 1, first, count, NOON_MS + day * DAY_MS, b"body"))


def day_of(store: Transaction, day: int = 0, node: int = 1) -> NodeDay:
    found = read_days(store.connection, DAYS[0], ("a", "b"))
    (wanted,) = [d for d in found if (d.day, d.node_id) == (DAYS[day], node)]
    return wanted


def deliver(store: Transaction, name: str, pack_id: int, *ahead: tuple[int, int]) -> None:
    store.save_cursor(name, pack_id)
    store.connection.execute("DELETE FROM ahead WHERE destination = ?", (name,))
    store.connection.executemany(
        "INSERT INTO ahead VALUES (?, ?, ?)", [(name, after, upto) for after, upto in ahead]
    )


def test_what_came_is_there_before_and_after_it_is_counted(store: Transaction) -> None:
    append(store, 0)
    append(store, 4)
    append(store, 8, day=1)
    for _ in range(2):
        assert day_of(store).arrived == 8
        assert day_of(store, 1).arrived == 4
        assert not count_packs(store)
    append(store, 12)
    assert day_of(store).arrived == 12


def test_gaps_have_their_reasons_and_late_readings_fill_them(store: Transaction) -> None:
    append(store, 0)
    append(store, 10)
    store.note_gap(Gap(1, 1, 14, 6, GapReason.JOURNAL_FULL, NOON_MS))
    assert day_of(store).missing == {GapReason.UNSEEN: 6, GapReason.JOURNAL_FULL: 6}
    assert (day_of(store).expected, day_of(store).arrived) == (20, 8)
    append(store, 4, 6)
    assert day_of(store).missing == {GapReason.JOURNAL_FULL: 6}
    assert (day_of(store).expected, day_of(store).arrived) == (20, 14)


def test_delivered_follows_each_destination(store: Transaction) -> None:
    for index in range(10):
        append(store, 4 * index, day=index // 5)
    deliver(store, "a", 7)
    deliver(store, "b", 2, (4, 8))
    for _ in range(2):
        assert day_of(store).deliveries == (Delivery("a", 20, 0), Delivery("b", 12, 8))
        assert day_of(store, 1).deliveries == (Delivery("a", 8, 12), Delivery("b", 12, 8))
        count_packs(store)
    a = completeness.read_backlog(store.connection, "a")
    b = completeness.read_backlog(store.connection, "b")
    assert (a.packs, a.oldest_ms) == (3, NOON_MS + DAY_MS)
    assert (b.packs, b.oldest_ms) == (4, NOON_MS)
    append(store, 40, day=2)
    assert completeness.read_backlog(store.connection, "b").progress == b.progress
    deliver(store, "b", 10)
    assert completeness.read_backlog(store.connection, "b").progress > b.progress
    deliver(store, "b", 11)
    assert completeness.read_backlog(store.connection, "b").oldest_ms is None


@pytest.mark.parametrize("counted", [True, False])
def test_what_was_delivered_and_deleted_still_counts(store: Transaction, counted: bool) -> None:
    append(store, 0)
    append(store, 4, day=1)
    deliver(store, "a", 2)
    deliver(store, "b", 2)
    if counted:
        count_packs(store)
    assert prune(store.connection, ("a", "b"), NOON_MS + 2 * DAY_MS, 10) == 2
    count_packs(store)
    assert day_of(store).arrived == 4
    assert day_of(store).deliveries == (Delivery("a", 4, 0), Delivery("b", 4, 0))
    assert day_of(store, 1).arrived == 4


@pytest.mark.parametrize("counted", [True, False])
def test_what_was_given_up_counts_as_missing_here(store: Transaction, counted: bool) -> None:
    for index in range(4):
        append(store, 4 * index)
    deliver(store, "a", 1)
    deliver(store, "b", 4)
    if counted:
        count_packs(store)
    evict(store.connection, ("a", "b"), 3, only_delivered=False)
    found = day_of(store)
    assert (found.expected, found.arrived) == (16, 16)
    assert found.missing == {GapReason.EVICTED: 8}
    assert found.deliveries[0] == Delivery("a", 4, 4)


@pytest.mark.parametrize("counted", [True, False])
def test_what_went_ahead_of_a_backlog_was_not_given_up(store: Transaction, counted: bool) -> None:
    for index in range(6):
        append(store, 4 * index)
    deliver(store, "a", 1, (2, 4), (5, 6))
    deliver(store, "b", 4, (5, 6))
    if counted:
        count_packs(store)
    eviction = evict(store.connection, ("a", "b"), 6, only_delivered=False)
    assert (eviction.packs, eviction.undelivered) == (6, 8)
    found = day_of(store)
    assert (found.expected, found.arrived) == (24, 24)
    assert found.missing == {GapReason.EVICTED: 8}
    assert found.deliveries[0] == Delivery("a", 16, 0)


def test_a_removed_node_takes_its_days_along(store: Transaction) -> None:
    append(store, 0)
    append(store, 0, node=2)
    count_packs(store)
    for table in ("packs", "journals"):
        store.connection.execute(f"DELETE FROM {table} WHERE node_id = 1")
    store.connection.execute("DELETE FROM nodes WHERE id = 1")
    assert [day.node_id for day in read_days(store.connection, DAYS[0], ())] == [2]


def test_any_order_of_events_gives_what_a_ledger_says(store: Transaction) -> None:
    """Appends, counts, deliveries and prunes at random, beside a ledger of every reading."""
    chance = random.Random(7)
    next_seq: Counter[int] = Counter()
    packs: list[tuple[str, int, int]] = []
    cursors = {"a": 0, "b": 0}
    for step in range(600):
        match chance.randrange(8):
            case 0:
                count_packs(store)
            case 1:
                name = chance.choice("ab")
                cursors[name] = chance.randint(cursors[name], len(packs))
                deliver(store, name, cursors[name])
            case 2:
                prune(store.connection, cursors, NOON_MS + 3 * DAY_MS, 5)
            case _:
                node, count, day = chance.randint(1, 3), chance.randint(1, 5), step // 200
                append(store, next_seq[node], count, day, node)
                next_seq[node] += count
                packs.append((DAYS[day], node, count))
        if step % 20 == 0:
            check_against(store, packs, cursors)


def check_against(
    store: Transaction, packs: list[tuple[str, int, int]], cursors: dict[str, int]
) -> None:
    arrived: Counter[Any] = Counter()
    delivered: Counter[Any] = Counter()
    for pack_id, (day, node, count) in enumerate(packs, start=1):
        arrived[day, node] += count
        for name, cursor in cursors.items():
            delivered[day, node, name] += count if pack_id <= cursor else 0
    found = read_days(store.connection, DAYS[0], cursors)
    assert {(day.day, day.node_id): day.arrived for day in found} == arrived
    for day in found:
        for delivery in day.deliveries:
            want = delivered[day.day, day.node_id, delivery.destination]
            assert delivery.delivered == want
            assert delivery.waiting == day.arrived - want


def test_questions_cost_no_more_with_many_packs(store: Transaction) -> None:
    """The number of SQLite's steps for a question does not grow with the days before it."""

    def steps(question: Callable[[], object]) -> int:
        taken = 0

        def count() -> int:
            nonlocal taken
            taken += 1
            return 0

        store.connection.set_progress_handler(count, 10)
        question()
        store.connection.set_progress_handler(None, 0)
        return taken

    def ask() -> None:
        read_days(store.connection, DAYS[2], ("a", "b"))

    with committed(store):
        for index in range(100):
            append(store, 4 * index, day=2)
        deliver(store, "a", 50)
        count_packs(store)
    few = steps(ask)
    with committed(store):
        for index in range(3000):
            append(store, 4 * (100 + index), day=-20)
        while count_packs(store):
            pass
    assert steps(ask) < 2 * few
