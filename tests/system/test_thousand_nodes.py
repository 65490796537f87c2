"""A building's power comes back: a thousand nodes and the gateway start at the same moment."""

import asyncio

import pytest
from bench import gateway_comeback
from bench.gateway_figures import quantile

pytestmark = pytest.mark.timeout(240)

NODES = 1_000
# Of four channels, an hour apart.
READINGS = 23

CHANGED, CONTENT, UNAUTHORIZED = 0x44, 0x45, 0x81
# The time is asked for up to three times where the answers are slow; then the report and the pack.
TIMES, OTHERS = 3, 2


def show(what, back):
    print(
        f"{what}: half served in {quantile(back.served_s, 0.5):.1f} s, all in"
        f" {max(back.served_s):.1f} s; {back.nodes.datagrams} datagrams for"
        f" {back.nodes.exchanges} requests, {back.dropped} dropped, at most {back.waiting_bytes}"
        f" bytes waiting; the gateway had {back.memory_mb:.0f} MB"
    )


def test_all_are_served_without_a_stampede(tmp_path):
    unknown, known = asyncio.run(gateway_comeback.come_back(tmp_path, NODES, READINGS, print))
    for what, back, echoes in (("unknown", unknown, NODES), ("known", known, 0)):
        show(what, back)
        nodes = back.nodes
        assert len(nodes.served_ms) == NODES
        assert (back.arrived, back.missing, back.wrong) == (NODES * READINGS, 0, 0)
        # Nobody was refused or put off, and nobody gave up.
        assert nodes.unanswered == 0
        asked = nodes.codes.pop(CONTENT)
        assert NODES <= asked <= TIMES * NODES
        assert nodes.codes.pop(UNAUTHORIZED, 0) == echoes
        assert nodes.codes == {CHANGED: OTHERS * NODES}
        # How often a request is sent again, before the gateway runs and after, depends on the
        # machine; that it is not before its time does not.
        assert nodes.hasty == 0
        assert nodes.amplification <= 2
        # Those that start together don't all speak together: each waits for a time of its own.
        assert nodes.in_a_row <= NODES / 20
