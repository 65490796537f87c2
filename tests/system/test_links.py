"""A node with several links: the next one takes over when one dies, and nothing is missing."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from feltpost_tools.sim import kit
from feltpost_tools.sim.radio import AccessPoint

pytestmark = pytest.mark.timeout(300)

MINUTE_S = 60
HOUR_S = 3600
DRAIN_S = 60


@asynccontextmanager
async def node(rig, *networks, serial=False):
    """Run a rig whose board has a UDP link for each network, a pair of name and password, and
    after them, with ``serial``, the serial link."""
    async with rig(["serial"]) as running:
        board = running.nodes[0].board
        await board.power_off()
        if not serial:
            board.line.unplug()
        port = board.join(("127.0.0.1", running.udp_port))
        links = [
            {"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": ssid}
            for ssid, _password in networks
        ]
        board.nvs.put("feltpost/networks", json.dumps(dict(networks)).encode())
        board.nvs.commit()
        if serial:
            links.append({"kind": "serial"})
        board.install(kit.configuration(links, MINUTE_S))
        await board.power_on()
        yield running, board


def waits_s(running):
    """Return for how long the oldest reading that has not arrived has waited, seconds."""
    now_us = running.clock.now_us()
    return max(((now_us - sample.time_us) / 1e6 for sample in running.ledger.missing), default=0)


async def passes(running, duration_s):
    await running.until(running.simulated_s + duration_s)


async def drained(running):
    """Return what became of all that was sampled: it has arrived."""
    assert await running.drain(DRAIN_S)
    outcome = running.ledger.outcome()
    assert (outcome.missing, outcome.wrong) == (0, 0)
    return outcome


def console(running):
    return (running.nodes[0].board.folder / "console.log").read_text(errors="replace")


def boots(running):
    return console(running).count(" readings in it, ")


# A network that goes away is noticed, one that only seems to be there is not: it takes an exchange
# with all its retransmissions, 93 s at most.
@pytest.mark.parametrize("fault", ["up", "carries"])
def test_serial_takes_over_from_a_network_and_gives_back(rig, fault):
    async def run():
        async with node(rig, ("simulated", ""), serial=True) as (running, board):
            (network,) = board.air.radio.reach
            await passes(running, 5 * MINUTE_S)
            setattr(network, fault, False)
            await passes(running, 6 * MINUTE_S)
            assert waits_s(running) < 2 * MINUTE_S
            assert "udp simulated: " in console(running)
            setattr(network, fault, True)
            # Longer than it is left aside. Once it is used again the cable is of no account.
            await passes(running, 3 * MINUTE_S)
            board.line.unplug()
            await passes(running, 4 * MINUTE_S)
            assert waits_s(running) < 2 * MINUTE_S
            outcome = await drained(running)
            # The serial line is read all the time: it is the way to the prompt.
            assert boots(running) == 1
            await running.gateway.stop()
            board._from_line(b"\x03")
            while ">>> " not in console(running):  # noqa: ASYNC110 - it is written within a second
                await asyncio.sleep(0.02)
            return outcome

    assert asyncio.run(run()).sampled > 15 * 4


def test_another_network_takes_over_from_one_with_another_password(rig):
    async def run():
        async with node(rig, ("skole", "gammel"), ("gade", "")) as (running, board):
            other = AccessPoint("gade")
            board.air.radio.reach[:] = [AccessPoint("skole", "ny"), other]
            await passes(running, 8 * MINUTE_S)
            assert board.air.radio.point is other
            assert waits_s(running) < 2 * MINUTE_S
            text = "udp skole: Wi-Fi skole: refused, probably for a wrong password"
            assert text in console(running)
            assert "gammel" not in console(running)
            # And it is found where it moves to.
            other.channel = 11
            await passes(running, 8 * MINUTE_S)
            assert waits_s(running) < 2 * MINUTE_S
            await drained(running)

    asyncio.run(run())


def test_a_gateway_that_is_away_for_hours_is_waited_for_in_patience(rig):
    async def run():
        async with node(rig, ("simulated", "")) as (running, board):
            await passes(running, 2 * MINUTE_S)
            await running.gateway.kill()
            await passes(running, 4 * HOUR_S)
            tries = console(running).count("no answer")
            joins = board.air.radio.joins
            await running.gateway.start()
            await passes(running, 5 * MINUTE_S)
            await drained(running)
            assert boots(running) == 1
            return tries, joins

    tries, joins = asyncio.run(run())
    # A try takes a minute or so, the pauses between them grow to two to four.
    assert 35 < tries < 100
    assert 2 < joins < 13
