"""From the sensors of a board to the broker, whatever befalls what is between."""

import pytest

pytestmark = [pytest.mark.needs("sensor"), pytest.mark.timeout(300)]

SEED = 20_261_122


def test_readings_arrive(board, gateway, ledger):
    ledger.wait(more=8)
    verdict = ledger.settle()
    # On a real board's Wi-Fi nobody listens in. Elsewhere the last answer may be on its way still;
    # the board sends on when it has it.
    while verdict.counts.acknowledged < 8 and verdict.ok and not board.has("wifi"):
        ledger.wait(more=1)
        verdict = ledger.settle()
    assert verdict.ok, verdict
    assert verdict.counts.handed_over >= 8


def test_gateway_killed_in_traffic(gateway, ledger, faults):
    ledger.wait(more=4)
    for _ in range(2):
        with faults.gateway_down():
            pass
        ledger.wait(more=4)
    verdict = ledger.settle()
    assert verdict.ok, verdict


def test_broker_away(gateway, ledger, faults):
    ledger.wait(more=4)
    with faults.broker_down():
        pass
    ledger.wait(more=4)
    verdict = ledger.settle()
    assert verdict.ok, verdict


def test_bad_link(gateway, ledger, faults):
    with faults.link(SEED, loss=0.1, duplicate=0.1):
        ledger.wait(more=12)
    verdict = ledger.settle()
    assert verdict.ok, verdict


@pytest.mark.needs("power")
def test_journal_survives_a_power_cut(board, gateway, ledger, faults):
    ledger.wait(more=4)
    with faults.gateway_down():
        board.sample(rounds=3)
        with faults.power_cut():
            pass
        # One round may have been under way when the gateway went, and one when the power did.
        assert board.wait_until_started() >= len(board.sensors)
    verdict = ledger.settle()
    assert verdict.ok, verdict


def test_gateway_killed_before_the_broker_has_answered(gateway, ledger, faults):
    with faults.pubacks_held():
        ledger.wait(more=4)
        with faults.gateway_down():
            pass
    ledger.wait(more=4)
    verdict = ledger.settle()
    assert verdict.ok, verdict
    # It could not know that they had been taken.
    assert verdict.counts.duplicates > 0
