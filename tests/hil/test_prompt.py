"""A developer always gets in, and finds the board that is expected."""

import json

import pytest

from feltpost_tools.sim.interpreter import OLDEST

pytestmark = pytest.mark.timeout(300)


def test_interrupt_stops_the_application(board):
    # By then it is its own reader that has to notice, and MicroPython no more.
    board.sample(rounds=1)
    board.type(b"\r\x03")
    board.wait_for("KeyboardInterrupt")
    board.wait_for(">>>")
    board.type(b"6 * 7\r")
    board.wait_for("^42")
    board.reset()
    board.wait_until_started()


def test_mpremote_gets_into_the_running_application(board):
    assert board.execute("print(6 * 7)") == "42\n"


def test_identity(board):
    identity = board.identity
    assert len(bytes.fromhex(identity.eui64)) == 8
    assert tuple(map(int, identity.micropython.split("."))) >= OLDEST
    mac = bytes.fromhex(board.execute("import machine; print(machine.unique_id().hex())"))
    assert bytes.fromhex(identity.eui64) in (mac, mac[:3] + b"\xff\xfe" + mac[3:])


def test_flashed_again_it_keeps_its_configuration(board):
    board.configure(health={"interval_s": 61})
    board.flash()
    held = json.loads(board.execute("print(open('/feltpost.json').read())"))
    assert held == board.configuration
    assert held["health"] == {"interval_s": 61}


@pytest.mark.needs("sensor")
def test_selftest_finds_every_sensor(board):
    made = board.selftest()
    assert [check.of for check in made if check.name == "sensor"] == board.sensors
    assert [check for check in made if check.essential and not check.ok] == []


def test_watchdog_resets_a_board_that_is_stuck(board):
    board.expect_interruption()
    board.execute("import machine; machine.WDT(timeout=2000)")
    board.wait_until_started()
    assert board.execute("import machine; print(machine.reset_cause())") == "3\n"
