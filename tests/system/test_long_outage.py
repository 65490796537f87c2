"""Gateway or broker are away for seven days, and every disk on the way is a bounded one.

Where all have room nothing is missing. Where one has none, what the oldest of it gave up is in
gaps with the right reason, and everything else arrives.
"""

import asyncio
import math
import sqlite3
from contextlib import closing
from dataclasses import dataclass

import pytest

from feltpost_gateway.space import ROOM_BYTES
from feltpost_tools.sim.ledger import Ledger
from feltpost_tools.sim.ledger_verdict import Verdict

pytestmark = pytest.mark.timeout(400)

HOUR_S = 3600
DAY_S = 86_400
BEFORE_S = 1 * HOUR_S
# Where the gateway is to become full.
INTERVAL_S = 1200
# Not at the full hour, when something is being sampled, and sent.
AWAY_S = 7 * DAY_S + 0.4 * HOUR_S

ROUND_US = 10_000_000
# Samples of four channels, and six readings of the node itself each hour.
PER_ROUND, OF_ITSELF = 4, 6
# Of a block of a journal (docs/durability.md).
SLOTS = 251

JOURNAL_FULL, EVICTED = 1, 6
MIB = 1 << 20
# A pack of one round in the store, indices included, roughly.
PACK_BYTES = 140


class Samples(Ledger):
    """A ledger that also keeps when everything was sampled, and when the last of it arrived.

    Of what was sampled before back_us, once that is set; now_us: the run's clock.
    """

    back_us = arrived_us = 0

    def __init__(self):
        super().__init__()
        self.sampled_us = []

    def sampled(self, reading, monotonic_s):
        super().sampled(reading, monotonic_s)
        self.sampled_us.append(reading.time_us)

    def arrived(self, reading, monotonic_s):
        super().arrived(reading, monotonic_s)
        if reading.unix_s * 1e6 < self.back_us:
            self.arrived_us = self.now_us()


@dataclass(frozen=True)
class Ended:
    """How a run ended; gone_us: when the outage began."""

    verdict: Verdict
    sampled_us: list[int]
    lost_us: list[int]
    gone_us: int


async def outage(running, leave, come_back, speed=math.inf):
    """Let somebody be away for that long; return how it ended.

    speed: how fast time runs afterwards.
    """
    ledger = running.ledger
    await running.until(BEFORE_S)
    await leave()
    gone_us = running.clock.now_us()
    await running.until(BEFORE_S + AWAY_S)
    running.world.speed = speed
    await come_back()
    ledger.back_us, ledger.now_us = running.clock.now_us(), running.clock.now_us
    # A backlog goes beside what is live, each in order.
    verdict = await running.settle(lanes=2)
    drained_s = (ledger.arrived_us - ledger.back_us) / 1e6
    print(f"{verdict}\nall had arrived {drained_s:.0f} s after the outage")
    lost_us = sorted(sample.time_us for sample in ledger.missing)
    return Ended(verdict, ledger.sampled_us, lost_us, gone_us)


def the_oldest_went(ended):
    """Tell whether all that was lost was sampled one after the other, from gone_us on."""
    first_us, last_us = ended.lost_us[0], ended.lost_us[-1]
    # What was sampled in the same round may be on both sides of a block's end.
    between = [us for us in ended.sampled_us if first_us <= us < last_us - ROUND_US]
    before = [us for us in ended.sampled_us if ended.gone_us + ROUND_US <= us < first_us - ROUND_US]
    return set(between) <= set(ended.lost_us) and not before


def test_gateway_away_for_seven_days(rig):
    blocks = 3

    async def run():
        plan = {"journal_blocks": blocks, "interval_s": HOUR_S}
        async with rig(["udp"], Samples(), tapped=True, **plan) as running:
            running.ledger.expect_loss("node-1", JOURNAL_FULL)
            return await outage(running, running.gateway.stop, running.gateway.start)

    ended = asyncio.run(run())
    assert ended.verdict.ok, str(ended.verdict)
    taken = AWAY_S // HOUR_S * (PER_ROUND + OF_ITSELF)
    # What goes goes by the block. A block less at least is kept, of which marks take a part.
    in_gaps = ended.verdict.counts.in_gaps
    assert taken - blocks * SLOTS <= in_gaps <= taken - (blocks - 1) * SLOTS * 9 // 10
    assert the_oldest_went(ended)


def fill(store, room_bytes):
    """Leave that much room for packs in a store of 1 MiB: as a larger one that is nearly full."""
    with closing(sqlite3.connect(store)) as connection:
        (used,) = connection.execute(
            "SELECT (page_count - freelist_count) * page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
        size = MIB - ROOM_BYTES - used - room_bytes
        connection.execute("CREATE TABLE ballast (content BLOB)")
        connection.execute("INSERT INTO ballast VALUES (zeroblob(?))", (size,))
        connection.commit()


def broker_away(rig, reason, room_s, **settings):
    """Run with the broker away, and room at the gateway for so much of it.

    Where the gateway gives readings up, it gives up 256 packs, more than three days, at a time.
    """

    async def run():
        limits = {"max_size_mib": 1, "min_free_mib": 0, **settings}
        plan = {"journal_blocks": 3, "interval_s": INTERVAL_S, "store_settings": limits}
        async with rig(["udp"], Samples(), tapped=True, **plan) as running:
            running.ledger.expect_loss("node-1", reason)
            # Or days go by without it.
            running.world.speed = 1
            await running.gateway.stop()
            fill(running.folder / "feltpost.db", int(room_s / INTERVAL_S) * PACK_BYTES)
            await running.gateway.start()
            running.world.speed = math.inf
            # The gateway looks for its broker again in real time.
            return await outage(running, running.broker.stop, running.broker.start, speed=20)

    ended = asyncio.run(run())
    assert ended.verdict.ok, str(ended.verdict)
    # Something was lost, and far from everything.
    assert 100 <= len(ended.lost_us) <= len(ended.sampled_us) * 2 // 3
    return ended


def test_broker_away_and_a_full_gateway_refuses(rig):
    ended = broker_away(rig, JOURNAL_FULL, 3.5 * DAY_S, when_full="refuse")
    # What the gateway had taken is safe; the node gives up the oldest of what it kept since then.
    assert ended.lost_us[0] > ended.gone_us + 2 * DAY_S * 1_000_000


def test_broker_away_and_a_full_gateway_gives_up_the_oldest(rig):
    ended = broker_away(rig, EVICTED, 5 * DAY_S, when_full="evict-oldest")
    assert the_oldest_went(ended)


def test_broker_away_and_room_for_everything(rig):
    async def run():
        async with rig(["udp"], Samples(), tapped=True, interval_s=HOUR_S) as running:
            return await outage(running, running.broker.stop, running.broker.start, speed=20)

    ended = asyncio.run(run())
    assert ended.verdict.ok, str(ended.verdict)
    assert (ended.verdict.counts.in_gaps, ended.lost_us) == (0, [])
