"""The bench's part for the gateway: it measures what runs, and passes nothing over."""

import asyncio
import dataclasses
import socket
from pathlib import Path

import pytest
from bench import (
    gateway_figures,
    gateway_load,
    gateway_nodes,
    gateway_profile,
    gateway_scenes,
)
from bench.gateway_load import Exchange
from bench.gateway_subscriber import Arrival

from feltpost_gateway import senml
from feltpost_tools.errors import FeltpostError

# Two nodes in each scene, and as many messages as there must be for each figure.
FEW = gateway_scenes.Sizes(2, 2, 4, 2, 2, 20, 4, 20, 20, 20)


def told(_: str) -> None:
    """Progress interests nobody here."""


def test_a_gateway_is_measured_up_to_its_subscriber(tmp_path: Path) -> None:
    serving = asyncio.run(gateway_scenes.serve(tmp_path, FEW, told))
    for taken, messages, readings in (
        (serving.steady, 2, 10),
        (serving.alone, 2, 10),
        (serving.flood, 20, 100),
        (serving.catching_up, 4, 92),
    ):
        assert (taken.rate.messages, taken.rate.readings) == (messages, readings)
        # The forwarder's cursors are commits too, but few.
        assert messages <= taken.counts.requests < messages + 15
        assert 1 <= taken.counts.commits <= taken.counts.fdatasyncs
    # So few may come so slowly that each has a commit by itself.
    assert serving.flood.counts.commits <= serving.flood.counts.requests
    assert serving.delivered.readings == 100
    assert serving.delivered.seconds > 0
    assert len(serving.idle_ms) == 4
    assert all(0 < latency_ms < 60_000 for latency_ms in serving.idle_ms)
    assert sum(serving.profile.parts.values()) == pytest.approx(1)


def test_a_bridge_is_measured_up_to_its_subscriber(tmp_path: Path) -> None:
    bridged = asyncio.run(gateway_scenes.bridge(tmp_path, FEW, told))
    assert (bridged.delivered.messages, bridged.delivered.readings) == (20, 100)
    assert len(bridged.idle_ms) == 4
    assert all(0 < latency_ms < 60_000 for latency_ms in bridged.idle_ms)


def test_a_backlog_drains_beside_what_is_live(tmp_path: Path) -> None:
    backlog = asyncio.run(gateway_scenes.pile_up(tmp_path, FEW, told))
    assert backlog.filled.rate.readings == 100
    assert backlog.drain_s is not None and backlog.drain_s > 0
    assert backlog.live_ms
    assert all(0 < latency_ms < 60_000 for latency_ms in backlog.live_ms)
    assert 10 < backlog.started_mb <= backlog.draining_mb
    assert backlog.filling_mb > 10


def test_the_bench_refuses_an_answer_that_is_not_a_success(tmp_path: Path) -> None:
    sizes = dataclasses.replace(FEW, backlog=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway_nodes, "pack", lambda *_: b"\x81\xa1\x00ac")
        with pytest.raises(FeltpostError, match=r"answered 4\.00 to node-1's reading 0"):
            asyncio.run(gateway_scenes.pile_up(tmp_path, sizes, told))


class SlowPeer(gateway_load.Sender):
    """Sends to a peer that answers when the next message is due already."""

    def take(self, prepared: gateway_load.Prepared, answer: bytes) -> bool:
        return answer == prepared.data

    def send_again(self) -> None:
        raise AssertionError("nothing was lost")


def test_what_is_late_is_sent_nevertheless() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    class PatientLoad(gateway_load.Load):
        def _answered(self, timeout_s: float) -> list[gateway_load.Sender]:
            # The peer answers when nothing else is left to do but to wait for it.
            if timeout_s:
                theirs.send(theirs.recv(9))
            return super()._answered(timeout_s)

    with ours, theirs:
        sender = SlowPeer("slow", ours)
        for number, data in enumerate((b"a", b"b", b"c")):
            sender.waiting.append(gateway_load.Prepared(number, 1, data))
        PatientLoad([sender]).pace(0)
    assert [exchange.number for exchange in sender.exchanges] == [0, 1, 2]


@pytest.mark.parametrize("readings", [1, 5, 23])
def test_the_benchs_packs_are_those_of_nodes(readings: int) -> None:
    for first in (0, 123_456):
        content = gateway_nodes.pack(first, readings)
        records = senml.decode(content, now_ms=None, short_floats=True)
        senml.check(records, now_ms=None)
        assert len(records) == readings
        assert len(content) < 512


def test_what_did_not_arrive_is_not_passed_over() -> None:
    sent = {("a", number): Exchange(number, 5, 1_000, 2_000) for number in (0, 5)}
    came = [Arrival(3_001_000, "a", 0)]
    assert gateway_figures.latencies_ms(sent, came) == [3, float("inf")]
    with pytest.raises(FeltpostError, match="1 of 2 messages did not arrive.* a .*number 5"):
        gateway_figures.delivered(sent, came)
    rate = gateway_figures.delivered(sent, [*came, Arrival(5_001_000, "a", 5)])
    assert (rate.messages, rate.readings, rate.seconds) == (2, 10, 0.005)


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (1, 100), (0.001, 1)])
def test_a_quantile_is_a_value_that_was_measured(part: float, value: int) -> None:
    assert gateway_figures.quantile(range(100, 0, -1), part) == value


def test_a_profile_gives_what_is_called_to_the_part_that_calls() -> None:
    profile = gateway_profile.read(
        {
            "enum:__call__ aiocoap.message:decode asyncio.events:_run": 3,
            "feltpost_gateway.senml:decode feltpost_gateway.ingest:handle asyncio.events:_run": 4,
            "aiocoap.messagemanager:dispatch_message asyncio.events:_run": 1,
            "selectors:select asyncio.base_events:_run_once": 8,
            "runpy:run": 2,
        }
    )
    assert profile.parts == {
        "packs: senml, cborshape, metrics": 0.4,
        "CoAP: messages and options (aiocoap)": 0.3,
        "other": 0.2,
        "CoAP: exchanges, tokens, pipes (aiocoap)": 0.1,
    }
    assert profile.functions["enum:__call__"] == 0.3
    assert profile.waiting == 8 / 18
