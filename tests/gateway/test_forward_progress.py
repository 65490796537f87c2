"""Where a destination is, without a broker: lanes, rates, suspects, places to begin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.gateway.conftest import FixedClock

from feltpost_gateway.accounts import Accounts
from feltpost_gateway.deletion import evict, prune
from feltpost_gateway.delivery import (
    DeadLetter,
    drop_dead_letters,
    format_ranges,
    load_position,
    note_refused,
    read_dead_letters,
    save_position,
    settle_destinations,
)
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.directory import EmptyDirectory
from feltpost_gateway.progress import BACKLOG_PACKS, Lane, Position, Progress
from feltpost_gateway.rate import Pace, Rate
from feltpost_gateway.store import Store
from feltpost_gateway.suspects import Suspects
from feltpost_gateway.topics import check_topic, fill
from feltpost_gateway.transaction import NodeRow, Pack, Transaction
from feltpost_gateway.walk import Office

Run = Callable[[Any], None]


class Delivery(RuleBasedStateMachine):
    """Packs come, go out on two lanes, and are acknowledged in any order, through crashes.

    What the position says is delivered is compared with what was.
    """

    def __init__(self) -> None:
        super().__init__()
        self.newest = 0
        self.had: set[int] = set()
        self.progress = Progress(Position(0))
        self.saved = Position(0)
        self.on_their_way: list[tuple[Lane, int]] = []

    @rule(packs=st.sampled_from([1, 3, BACKLOG_PACKS // 2, BACKLOG_PACKS + 7]))
    def come(self, packs: int) -> None:
        self.newest += packs

    def lanes(self) -> list[Lane]:
        backlog = self.progress.backlog()
        return [self.progress.live] + ([backlog] if backlog else [])

    @rule(
        which=st.integers(0, 1),
        packs=st.sampled_from([1, 2, 5, BACKLOG_PACKS]),
        messages=st.integers(0, 3),
    )
    def send(self, which: int, packs: int, messages: int) -> None:
        lane = self.lanes()[which % len(self.lanes())]
        for pack_id in range(lane.position + 1, lane.position + 1 + packs):
            if pack_id > (self.newest if lane.upto is None else lane.upto):
                if lane.upto is not None:
                    lane.end()
                break
            left = 0 if lane.has(pack_id) else messages
            if not left:
                self.had.add(pack_id)
            lane.begin(pack_id, left)
            self.on_their_way += [(lane, pack_id)] * left

    @precondition(lambda self: self.on_their_way)
    @rule(data=st.data(), messages=st.integers(1, BACKLOG_PACKS))
    def acknowledge(self, data: st.DataObject, messages: int) -> None:
        for _ in range(min(messages, len(self.on_their_way))):
            place = data.draw(st.integers(0, min(3, len(self.on_their_way) - 1)))
            lane, pack_id = self.on_their_way.pop(place)
            if all(other != pack_id for _, other in self.on_their_way):
                self.had.add(pack_id)
            lane.acknowledged(pack_id)

    @rule()
    def save(self) -> None:
        self.saved = self.progress.position()

    @rule(crash=st.booleans())
    def connect_anew(self, crash: bool) -> None:
        if crash:
            self.progress = Progress(self.saved)
        self.progress.restart(self.newest)
        self.on_their_way.clear()

    @invariant()
    def nothing_is_said_to_be_delivered_that_is_not(self) -> None:
        position = self.progress.position()
        edges = [(0, position.cursor), *position.ahead]
        assert edges == sorted(edges)
        said = {n for after, upto in edges for n in range(after + 1, upto + 1)}
        assert said <= self.had

    def teardown(self) -> None:
        self.connect_anew(crash=False)
        for _ in range(10_000):
            if self.progress.position() == Position(self.newest):
                break
            self.send(0, BACKLOG_PACKS, 0)
            self.send(1, BACKLOG_PACKS, 0)
        assert self.progress.position() == Position(self.newest), "it comes to an end"


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_was_had_is_not_sent_again_after_a_new_connection() -> None:
    lane = Lane(0)
    for pack_id in (1, 2, 3):
        lane.begin(pack_id, 1)
    lane.acknowledged(3)
    lane.restart()
    assert (lane.cursor, lane.position) == (0, 0)
    assert [lane.has(n) for n in (1, 2, 3)] == [False, False, True]


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_rate_is_kept() -> None:
    time_s = FakeTime()
    rate = Rate(50, time_s)
    for _ in range(500):
        time_s.now_s += rate.wait_s()
        rate.take()
    assert 9.8 <= time_s.now_s - 1000 <= 10
    assert Rate(None).wait_s() == 0


def send(pace: Pace, time_s: FakeTime, messages: int, per_s: float) -> None:
    pace.begin()
    for _ in range(messages):
        time_s.now_s += 1 / per_s
        pace.take()
        pace.acknowledged += 1


def test_a_pace_is_learnt_and_given_back() -> None:
    time_s = FakeTime()
    pace = Pace(time_s)
    send(pace, time_s, 40, per_s=400)
    assert pace.wait_s() == 0
    assert pace.broke(too_fast=True)
    assert pace.per_s == pytest.approx(200)
    send(pace, time_s, 40, per_s=200)
    assert pace.broke(too_fast=True)
    assert pace.per_s == pytest.approx(100)
    pace.take()
    assert pace.per_s == pytest.approx(100)
    for _ in range(6):
        time_s.now_s += 61
        pace.take()
    assert pace.per_s is None, "it is as fast as before"


def test_only_a_broker_that_hangs_up_again_and_again_makes_us_slower() -> None:
    time_s = FakeTime()
    pace = Pace(time_s)
    for messages, per_s, slower in (
        (40, 100, False),
        (2, 100, False),
        (40, 3, False),
        (40, 100, False),
        (2, 100, False),
        (40, 100, True),
    ):
        send(pace, time_s, messages, per_s)
        assert pace.broke(too_fast=False) is slower


def test_the_pack_that_a_broker_hangs_up_on_is_found() -> None:
    time_s = FakeTime()
    suspects = Suspects(time_s)
    suspects.lost({7, 8, 9}, acknowledged=4)
    began_s = time_s.now_s
    while suspects.set_aside is None:
        assert suspects.cautious
        time_s.now_s += 1
        suspects.lost({7}, acknowledged=0)
    assert suspects.set_aside == 7
    assert time_s.now_s - began_s > 10
    assert not suspects.taken(8, was_left_out=False), "it came before the one that was left out"
    assert suspects.taken(9, was_left_out=True)
    assert suspects.cautious, "so that its last try is alone on the connection"
    assert not suspects.is_guilty
    suspects.lost({7}, acknowledged=1)
    assert suspects.is_guilty
    suspects.given_up()
    assert suspects.set_aside is None
    assert not suspects.cautious


def test_a_pack_that_is_taken_at_its_last_try_is_not_to_blame() -> None:
    time_s = FakeTime()
    suspects = Suspects(time_s)
    while suspects.set_aside is None:
        suspects.lost({7}, acknowledged=0)
        time_s.now_s += 6
    assert suspects.taken(9, was_left_out=True)
    assert not suspects.taken(7, was_left_out=False)
    assert not suspects.cautious
    assert suspects.set_aside is None


def test_a_broker_that_takes_nothing_makes_no_pack_guilty() -> None:
    time_s = FakeTime()
    suspects = Suspects(time_s)
    for _ in range(20):
        suspects.lost({8 if suspects.set_aside else 7}, acknowledged=0)
        time_s.now_s += 6
    assert not suspects.taken(7, was_left_out=False)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Rønbæk 3.B", "f/Rønbæk 3.B"),
        ("a/b", "f/a%2Fb"),
        ("+", "f/%2B"),
        ("#%$", "f/%23%25%24"),
        ("a\n\0", "f/a%0A%00"),
    ],
)
def test_names_can_not_change_the_topic(name: str, topic: str) -> None:
    assert fill("f/{node}", {"node": name}) == topic


@pytest.mark.parametrize("template", ["", "a/+", "a/#", "{sensor}", "a{", "}{node}", "a\nb"])
def test_bad_templates(template: str) -> None:
    with pytest.raises(ValueError, match="."):
        check_topic(template, ("node", "site"))


def test_ranges() -> None:
    assert format_ranges([40, 41, 42, 43, 47]) == "40-43,47"
    assert format_ranges([]) == ""


# Places to begin.


def destination(name: str, **keys: Any) -> DestinationConfig:
    return DestinationConfig.model_validate({"name": name, "host": "h", **keys})


def settle(store: Store, *destinations: DestinationConfig) -> Any:
    return store.write(lambda t: settle_destinations(t.connection, destinations))


async def position(store: Store, name: str) -> Position:
    return await store.read(lambda reader: load_position(reader, name))


async def add_packs(store: Store, count: int, received_ms: int) -> None:
    def add(transaction: Transaction) -> None:
        node_id = transaction.register_node(NodeRow(bytes(8), "n", "o", "s"))
        for _ in range(count):
            transaction.append(Pack(node_id, 0, None, 1, received_ms, b"x"))

    await store.write(add)


def save(name: str, where: Position) -> Callable[[Transaction], None]:
    return lambda transaction: save_position(transaction.connection, name, where)


DAY_MS = 1_793_318_400_000  # 2026-10-30T00:00:00Z


def with_store(run: Run, path: Path, scenario: Callable[[Store], Any]) -> None:
    async def go() -> None:
        store = Store(path / "s.db")
        await store.open()
        try:
            await scenario(store)
        finally:
            await store.close()

    run(go())


def test_the_store_is_told_what_is_taken_before_any_of_it_goes(run: Run, tmp_path: Path) -> None:
    """For packs that are stored, and delivered, one after the other, and for a backlog."""

    async def scenario(store: Store) -> None:
        told = []
        progress = Progress(Position(0))
        config = destination("a")

        def note() -> None:
            told.append(progress.handover().taken)

        office = Office(config, Accounts(config), store, EmptyDirectory(), FixedClock(), note)
        await add_packs(store, 2, DAY_MS)
        assert len((await office.take(progress.live)).packs) == 2
        assert not (await office.take(Lane(2))).packs
        for pack_id in (1, 2):
            progress.live.begin(pack_id, 0)
        assert progress.handover().taken == ()
        await add_packs(store, BACKLOG_PACKS + 8, DAY_MS)
        newest = BACKLOG_PACKS + 10
        progress.restart(newest)
        await add_packs(store, 3, DAY_MS)
        assert (await office.take(progress.live)).packs
        progress.backlogs[0].position = newest - 1
        assert (await office.take(progress.backlogs[0])).packs
        live = (newest, newest + 3)
        # Not what is behind its end, which the other lane takes.
        assert told == [((0, 2),), (live,), ((2, newest), live)]

    with_store(run, tmp_path, scenario)


def test_the_first_destination_gets_what_was_collected_before(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 5, DAY_MS)
        await settle(store, destination("a"))
        assert await position(store, "a") == Position(0)

    with_store(run, tmp_path, scenario)


def test_another_destination_begins_where_it_is_told(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 5, DAY_MS - 1)
        await add_packs(store, 5, DAY_MS)
        old = destination("old")
        await settle(store, old)
        await store.write(save("old", Position(3, ((6, 8),))))
        new = [
            old,
            destination("a"),
            destination("b", **{"from": "now"}),
            destination("c", **{"from": "all"}),
            destination("d", **{"from": "2026-10-30"}),
            destination("e", **{"from": "2099-01-01"}),
        ]
        await settle(store, *new)
        places = [(await position(store, each.name)).cursor for each in new]
        assert places == [3, 8, 10, 0, 5, 10]
        await settle(store, *new)
        assert (await position(store, "old")).ahead == ((6, 8),)
        assert [(await position(store, each.name)).cursor for each in new] == places

    with_store(run, tmp_path, scenario)


def test_a_destination_that_comes_back_goes_on_where_it_was(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 9, DAY_MS)
        await settle(store, destination("a"), destination("b"))
        await store.write(save("a", Position(4)))
        await store.write(save("b", Position(2, ((3, 5),))))
        await settle(store, destination("a"))
        await settle(store, destination("a"), destination("b"))
        assert await position(store, "b") == Position(2, ((3, 5),))

    with_store(run, tmp_path, scenario)


def test_one_that_is_renamed_takes_what_waited_for_it(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 9, DAY_MS)
        await settle(store, destination("a"))
        await store.write(save("a", Position(4)))
        await settle(store, destination("renamed"))
        assert await position(store, "renamed") == Position(4)

    with_store(run, tmp_path, scenario)


def test_history_is_sent_again_only_where_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 4, DAY_MS - 1)
        await add_packs(store, 5, DAY_MS)
        at_end = Position(9)
        for begin, cursor in (
            ("undelivered", 9),
            ("now", 9),
            ("2026-10-30", 4),
            ("2026-10-30", 9),
            ("all", 0),
            ("all", 9),
            ("undelivered", 9),
            ("all", 0),
        ):
            await settle(store, destination("a", **{"from": begin}))
            if begin == "undelivered" and cursor == 9:
                await store.write(save("a", at_end))
            assert (await position(store, "a")).cursor == cursor, begin
            await store.write(save("a", at_end))

    with_store(run, tmp_path, scenario)


def test_what_was_refused_keeps_its_pack(run: Run, tmp_path: Path) -> None:
    async def scenario(store: Store) -> None:
        await add_packs(store, 4, DAY_MS)
        await settle(store, destination("a"))
        await store.write(save("a", Position(4)))
        letter = DeadLetter("a", 2, "1", "t", "too large", DAY_MS)
        await store.write(lambda t: note_refused(t.connection, letter))
        assert await store.write(lambda t: prune(t.connection, ["a"], DAY_MS + 1, 10)) == 3
        assert [pack.id for pack in await store.read_packs(0, 9)] == [2]
        assert await store.read(lambda reader: read_dead_letters(reader, "a", 9)) == [letter]
        eviction = await store.write(lambda t: evict(t.connection, ["a"], 10, only_delivered=True))
        assert (eviction.packs, eviction.undelivered) == (1, 1)
        assert await store.read(lambda reader: read_dead_letters(reader, "a", 9)) == []
        # It was on its way when it was deleted.
        assert not await store.write(lambda t: note_refused(t.connection, letter))

        await add_packs(store, 1, DAY_MS)
        again = DeadLetter("a", 5, "4", "t", "too large", DAY_MS)
        await store.write(lambda t: note_refused(t.connection, again))
        assert await store.write(lambda t: drop_dead_letters(t.connection, "a")) == 1
        await store.write(save("a", Position(5)))
        assert await store.write(lambda t: prune(t.connection, ["a"], DAY_MS + 1, 10)) == 1

    with_store(run, tmp_path, scenario)


@pytest.mark.parametrize(
    ("pack_ids", "expected"),
    [
        ([], Position(4, ((6, 8),))),
        ([1], Position(0, ((1, 4), (6, 8)))),
        ([4], Position(3, ((6, 8),))),
        ([2, 3, 2], Position(1, ((3, 4), (6, 8)))),
        ([5, 6, 9], Position(4, ((6, 8),))),
        ([7, 8], Position(4)),
    ],
)
def test_packs_that_are_to_go_again(pack_ids: list[int], expected: Position) -> None:
    assert Position(4, ((6, 8),)).without(pack_ids) == expected


def test_positions_survive(run: Run, tmp_path: Path) -> None:
    where = Position(3, ((6, 8), (11, 20)))

    async def write(store: Store) -> None:
        await store.write(save("a", where))

    async def read(store: Store) -> None:
        assert await position(store, "a") == where

    with_store(run, tmp_path, write)
    with_store(run, tmp_path, read)
