"""A key is changed from the office: the node goes on sending, and the old key ends."""

import asyncio
import json

import pytest
from tests.gateway.operators import operate_beside

from feltpost_tools.sim import kit

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
WAIT_S = 60


class Kit:
    """The indoor climate kit with other settings besides."""

    QUANTITIES = kit.QUANTITIES
    parts = staticmethod(kit.parts)

    def __init__(self, **settings):
        self._settings = settings

    def configuration(self, links, interval_s):
        return kit.configuration(links, interval_s) | self._settings


# What is on the boards, their links, and how often they sample.
NODES = {
    "mains": (Kit(), ["serial", "udp"], 60),
    # Its journal is in RTC memory first.
    "battery": (Kit(power={"mode": "battery", "send_interval_s": 900}), ["udp"], 300),
}


async def key_ids(running):
    """Return the ids of each node's valid keys, as the operator sees them."""
    said = await operate_beside(running.folder, "nodes", "list", "--json")
    return {node["columns"]["name"]: node["key_ids"] for node in json.loads(said.stdout)}


async def settled(running):
    """Wait until every node has one key, and return the keys' ids."""
    async with asyncio.timeout(WAIT_S):
        while max(map(len, (found := await key_ids(running)).values())) > 1:
            await running.until(running.simulated_s + 300)
    return {name: bytes.fromhex(ids[0]) for name, ids in found.items()}


@pytest.mark.parametrize("kind", NODES)
def test_a_key_that_is_rotated_while_nodes_run_needs_no_visit(rig, kind):
    what, links, interval_s = NODES[kind]

    async def run():
        async with rig(links, kit=what, interval_s=interval_s) as running:
            await running.until(0.3 * HOUR_S)
            # The mail waits while gateway and node restart.
            await running.gateway.stop()
            for node in running.nodes:
                await operate_beside(running.folder, "nodes", "rotate", node.name)
            running.nodes[0].board.reset()
            await running.gateway.start()
            keys = await settled(running)
            await running.gateway.kill()
            await running.gateway.start()
            await running.until(running.simulated_s + 0.3 * HOUR_S)
            running.nodes[-1].board.reset()
            await running.until(running.simulated_s + 0.3 * HOUR_S)
            assert await running.drain(WAIT_S)
            return running, keys

    running, keys = asyncio.run(run())
    outcome = running.ledger.outcome()
    assert (outcome.missing, outcome.wrong) == (0, 0), running.ledger.wrong[:5]
    log = (running.folder / "gateway.log").read_text()
    for node in running.nodes:
        nvs = node.board.nvs
        assert keys[node.name] != node.enrolled.key_id
        assert nvs.get("feltpost/key_id") == keys[node.name]
        assert nvs.get("feltpost/key") != node.enrolled.key
        assert nvs.get("feltpost/new_key") is None
        assert f"key-rotated node={node.name} key_id={keys[node.name].hex()}" in log
        # As little as the gateway's log, the node's own says it.
        console = (node.board.folder / "console.log").read_bytes()
        for secret in (node.enrolled.key, nvs.get("feltpost/key")):
            assert secret.hex() not in log
            assert secret.hex().encode() not in console
