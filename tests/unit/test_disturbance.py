"""A bad link, decided from a seed: what goes in, what comes out."""

import random

import pytest

from feltpost_tools.faults.disturbance import Disturbance, Done, Passed, carry

PIECES = [bytes((number,)) * 20 for number in range(200)]


def through(way, pieces=PIECES):
    return [passed for piece in pieces for passed in way.take(piece)]


def test_a_link_without_faults_changes_nothing():
    disturbance = Disturbance(1)
    assert through(disturbance.from_node) == [Passed(piece) for piece in PIECES]
    assert not disturbance.done


def test_the_same_seed_does_the_same_and_another_something_else():
    def run(seed):
        shares = {"loss": 0.2, "duplicate": 0.2, "reorder": 0.2, "corrupt": 0.2, "delay_ms": 50}
        disturbance = Disturbance(seed, **shares)
        return through(disturbance.from_node), through(disturbance.to_node)

    assert run(7) == run(7)
    assert run(7) != run(8)
    # Nor do both directions lose the same.
    outward, inward = run(7)
    assert outward != inward


def test_a_share_of_the_pieces_is_lost_and_the_others_come_in_order():
    way = Disturbance(1, loss=0.25).from_node
    kept = [passed.data for passed in through(way)]
    assert kept == [piece for piece in PIECES if piece in kept]
    assert len(kept) == len(PIECES) - way.done[Done.LOST]
    assert 30 < way.done[Done.LOST] < 70


def test_a_piece_that_comes_twice_comes_whole():
    way = Disturbance(1, duplicate=1.0).from_node
    assert through(way, PIECES[:2]) == [Passed(p) for p in PIECES[:2] for _ in range(2)]


def test_a_piece_is_overtaken_by_the_next_one():
    way = Disturbance(1, reorder=1.0).from_node
    come = [passed.data for passed in through(way, PIECES[:4])]
    assert come == [PIECES[1], PIECES[0], PIECES[3], PIECES[2]]


def test_delays_are_within_their_bound():
    delays_ms = [passed.delay_ms for passed in through(Disturbance(1, delay_ms=40).to_node)]
    assert min(delays_ms) >= 1
    assert max(delays_ms) <= 40
    assert len(set(delays_ms)) > 20


def test_a_datagram_is_damaged_within_its_length():
    for passed, piece in zip(through(Disturbance(1, corrupt=1.0).from_node), PIECES, strict=True):
        assert passed.data != piece
        assert len(passed.data) <= len(piece)


def test_a_stream_also_loses_and_makes_up_bytes():
    passed = through(Disturbance(1, corrupt=1.0, serial=True).from_node)
    assert {len(p.data) - 20 for p in passed} == {-1, 0, 1}


def test_what_is_empty_stays_so():
    assert through(Disturbance(1, corrupt=1.0).from_node, [b""]) == [Passed(b"")]


@pytest.mark.parametrize(
    ("shares", "prompt"),
    [
        ({}, True),
        ({"loss": 1.0}, False),
        ({"corrupt": 1.0}, False),
        ({"delay_ms": 5}, False),
        ({"reorder": 1.0}, False),
        ({"duplicate": 1.0}, True),
    ],
)
def test_carrying_tells_whether_a_piece_has_gone_on_whole(shares, prompt):
    put, waiting = [], []
    way = Disturbance(random.Random(3).getrandbits(32), **shares).from_node
    assert carry(way, b"datagram", put.append, lambda ms, call: waiting.append(call)) == prompt
    assert bool(waiting) == ("delay_ms" in shares)
    for call in waiting:
        call()
    if "delay_ms" in shares:
        assert put == [b"datagram"]


def test_no_disturbance_carries_all():
    put = []
    assert carry(None, b"datagram", put.append, None)
    assert put == [b"datagram"]
