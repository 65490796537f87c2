"""Whatever broker and network do to the gateway's messages, each reading is accounted for."""

import asyncio

import pytest

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
INTERVAL_S = 300
# Two nodes with four sensors each, and one round less for those that begin late.
PER_HOUR = 2 * 4 * (HOUR_S // INTERVAL_S - 1)


def run(rig, script):
    """Run a script between two quarters of an hour; return the ledger's verdict on all of it."""

    async def all_of_it():
        async with rig(["serial", "udp"], tapped=True, interval_s=INTERVAL_S) as running:
            await running.until(0.25 * HOUR_S)
            await script(running)
            await more(running, 0.25)
            verdict = await running.settle()
            assert verdict.ok, verdict
            return verdict

    return asyncio.run(all_of_it())


async def more(running, hours):
    await running.until(running.simulated_s + hours * HOUR_S)


def test_a_connection_that_stands_half_open_for_hours(rig):
    async def script(running):
        before = running.ledger.outcome().delivered
        running.mqtt.stall()
        await more(running, 4)
        assert running.ledger.outcome().delivered == before
        assert len(running.ledger.missing) >= 4 * PER_HOUR
        running.mqtt.resume()
        running.mqtt.cut()

    verdict = run(rig, script)
    # What went into the half-open connection went out again.
    assert verdict.counts.sampled >= 4 * PER_HOUR


def test_acknowledgements_that_come_late(rig):
    async def script(running):
        running.mqtt.hold_pubacks()
        await running.mqtt.puback_held.wait()
        await more(running, 1)
        assert running.mqtt.held > 1
        running.mqtt.release_pubacks()

    verdict = run(rig, script)
    assert verdict.counts.duplicates == 0
    # That of the last message, of four readings, may be on its way.
    assert verdict.counts.arrived - verdict.counts.handed_over <= 4


def test_acknowledgements_that_are_lost_with_the_connection(rig):
    async def script(running):
        for _ in range(3):
            running.mqtt.hold_pubacks()
            await running.mqtt.puback_held.wait()
            running.mqtt.drop_pubacks()
            await more(running, 0.25)
            running.mqtt.cut()
            running.mqtt.release_pubacks()
            await more(running, 0.25)

    verdict = run(rig, script)
    # The subscriber had them the first time.
    assert verdict.counts.duplicates > 0


def test_a_gateway_that_is_killed_while_it_waits_for_acknowledgements(rig):
    async def script(running):
        running.mqtt.hold_pubacks()
        await running.mqtt.puback_held.wait()
        await running.gateway.kill()
        running.mqtt.release_pubacks()
        await running.gateway.start()

    verdict = run(rig, script)
    assert verdict.counts.duplicates > 0


def test_a_broker_that_is_killed(rig):
    async def script(running):
        for _ in range(3):
            await running.broker.kill()
            await more(running, 0.5)
            await running.broker.start()
            await more(running, 0.5)

    run(rig, script)


def test_a_broker_that_loses_its_sessions(rig):
    async def script(running):
        await running.broker.stop()
        running.broker.forget()
        await more(running, 1)
        await running.broker.start()

    verdict = run(rig, script)
    assert verdict.counts.sampled >= PER_HOUR


def test_a_broker_that_refuses_connections_for_hours(rig):
    async def script(running):
        running.mqtt.refuse()
        running.mqtt.cut()
        await more(running, 2)
        running.mqtt.accept()

    verdict = run(rig, script)
    assert verdict.counts.sampled >= 2 * PER_HOUR


def test_a_broker_that_is_slow(rig):
    async def script(running):
        running.mqtt.slow(0.02)
        await more(running, 1)
        running.mqtt.slow(0)

    run(rig, script)
