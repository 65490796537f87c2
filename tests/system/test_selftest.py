"""A node's self-test: on the bench or on the wall, with its gateway in reach or not."""

import asyncio
import json

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.flashing import selftest
from feltpost_tools.sim.sensors.device import Nack

WAIT_S = 60
PASSWORD = "hemmelig"


def test_a_node_tests_itself_and_goes_on_as_if_nothing_had_been(rig):
    async def run():
        async with rig(["udp"]) as running:
            await running.until(120)
            # The watchdog counts on at the prompt, and must not end it.
            running.world.speed = 60
            board = running.nodes[0].board
            board.line.plug()
            port = Mpremote(str(board.line.path))
            # Stopped, so that what is compared is what the self-test leaves.
            await port.soft_reset()
            board.nvs.put("feltpost/networks", json.dumps({"simulated": PASSWORD}).encode())
            board.nvs.commit()
            (network,) = board.air.radio.reach
            network.password = PASSWORD
            numbers = board.nvs.get("feltpost/ssn")
            journal = board.flash.operations
            made = await selftest.run(port)
            network.password = "another"
            refused = await selftest.checks(port)
            network.password = PASSWORD
            assert board.nvs.get("feltpost/ssn") == numbers
            assert board.flash.operations == journal
            assert board.nvs.get("feltpost/selftest") is None

            delivered = running.ledger.outcome().delivered
            await port.hard_reset()
            async with asyncio.timeout(WAIT_S):
                while running.ledger.outcome().delivered == delivered:
                    await running.until(running.simulated_s + 60)
            assert running.ledger.wrong == []
            return made, refused

    made, refused = asyncio.run(run())
    assert [check for check in made if not check.ok] == []
    assert [check.name for check in made] == [
        *("heap", "nvs", "files", "journal", "key", "configuration"),
        *("sensor", "sensor", "sensor", "link"),
    ]
    (sht4x,) = (check for check in made if check.of == "sht4x")
    assert sht4x.measured.keys() == {"temperature", "relativeHumidity"}
    assert made[-1].measured["rssi"] < 0
    (link,) = (check for check in refused if not check.ok)
    assert link.name == "link"
    assert not link.essential
    assert "wrong password" in link.why
    assert "password" in link.advice
    assert PASSWORD not in repr(refused)


def test_a_sensor_that_is_busy_with_what_was_interrupted_is_tried_again(rig):
    async def run():
        async with rig(["udp"]) as running:
            # Ctrl-C is lost on a board that has not begun to run its application.
            await running.until(60)
            running.world.speed = 60
            board = running.nodes[0].board
            board.line.plug()
            port = Mpremote(str(board.line.path))
            await port.soft_reset()
            interrupt_stop_of(board._hardware.parts["i2c0"], 0x62)
            return await selftest.checks(port)

    made = asyncio.run(run())
    (scd41,) = (check for check in made if check.of == "scd41")
    assert scd41.ok, scd41


def interrupt_stop_of(bus, address):
    """Have the next command find an SCD41 that has just been told to stop, for half a second."""
    (device,) = (device for device in bus._devices if device.address == address)
    execute = device._execute

    def stop_first(command, now_us):
        device._execute = execute
        device._busy_until_us = now_us + 500_000
        raise Nack

    device._execute = stop_first
