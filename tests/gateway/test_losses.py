"""`losses`: each gap with its reason, and between which times its readings were measured."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import make_config, make_node, running
from tests.support.node import BASE_TIME_S, pack
from typer.testing import CliRunner

from feltpost_gateway.cli import app
from feltpost_gateway.transaction import GapReason

Run = Callable[[Coroutine[Any, Any, None]], None]

MINUTE_S = 60


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'[store]\npath = "{tmp_path}/feltpost.db"\n[udp]\n[broker]\nhost = "127.0.0.1"\n'
    )
    return path


def at(minute: int) -> str:
    """The time of a reading: the n-th is measured in the n-th minute."""
    hours, minutes = divmod(BASE_TIME_S // MINUTE_S + minute, 60)
    seconds = BASE_TIME_S % MINUTE_S
    return f"{hours % 24:02}:{minutes:02}:{seconds:02}Z"


async def fill(directory: Path) -> None:
    """Numbers 0-4, 12-14 and 30-31 come; 5-11 and 15-29 are lost, the latter in two ways."""
    async with running(make_config(directory)) as gateway:
        node, other = make_node(gateway), make_node(gateway, b"\x02")
        for first, count in ((0, 3), (3, 2), (12, 3), (30, 2)):
            body = pack(count, time_s=BASE_TIME_S + first * MINUTE_S)
            assert (await node.put(1, first, body)).code == codes.CHANGED
        for first, count, reason in (
            (5, 7, GapReason.JOURNAL_FULL),
            (15, 5, GapReason.PAGE_CORRUPT),
            (20, 10, GapReason.REJECTED),
        ):
            assert (await node.put_gap(1, first, count, reason)).code == codes.CHANGED
        # Before anything of it is stored.
        assert (await other.put_gap(9, 0, 4, GapReason.LOST_WITH_POWER)).code == codes.CHANGED
        node.close()
        other.close()


def losses(config_file: Path, *arguments: str) -> str:
    result = CliRunner(env={"LC_ALL": "C", "COLUMNS": "200"}).invoke(
        app, ["losses", "--config", str(config_file), "--days", "366", *arguments]
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_each_gap_lies_between_the_readings_next_to_it(
    run: Run, tmp_path: Path, config_file: Path
) -> None:
    run(fill(tmp_path))
    listed = json.loads(losses(config_file, "--json"))
    told = {
        (loss["journal"], loss["first"]): (
            loss["count"],
            loss["reason"],
            loss["measured_after"] and loss["measured_after"].partition("T")[2],
            loss["measured_before"] and loss["measured_before"].partition("T")[2],
        )
        for loss in listed
    }
    assert told == {
        (1, 5): (7, "journal_full", at(4), at(12)),
        # With nothing stored between the two.
        (1, 15): (5, "page_corrupt", at(14), at(30)),
        (1, 20): (10, "rejected", at(14), at(30)),
        (9, 0): (4, "lost_with_power", None, None),
    }
    with closing(sqlite3.connect(tmp_path / "feltpost.db")) as connection, connection:
        connection.execute("DELETE FROM packs WHERE first < 12")
    (loss,) = (loss for loss in json.loads(losses(config_file, "--json")) if loss["first"] == 5)
    assert loss["measured_after"] is None
    assert loss["measured_before"].endswith(at(12))


def test_the_list_for_people(run: Run, tmp_path: Path, config_file: Path) -> None:
    run(fill(tmp_path))
    lines = losses(config_file).splitlines()
    assert len(lines) == 1 + 4
    (full,) = (line for line in lines if "journal full" in line)
    assert "5–11" in full


def test_one_node_only_and_none_at_all(run: Run, tmp_path: Path, config_file: Path) -> None:
    run(fill(tmp_path))
    names = {loss["node"] for loss in json.loads(losses(config_file, "--json"))}
    assert len(names) == 2
    for name in names:
        alone = json.loads(losses(config_file, "--json", "--node", name))
        assert {loss["node"] for loss in alone} == {name}
    assert losses(config_file, "--node", "nobody") == "nothing is missing\n"
