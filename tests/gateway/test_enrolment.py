"""What the registry makes of enrolments, and enrolment on the gateway itself."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import KEYS, make_config, running
from tests.gateway.enrolments import (
    KEY,
    KEY_ID,
    OTHER_KEY,
    OTHER_KEY_ID,
    assert_secret,
    enrolment,
    everything_logged,
    works,
)
from tests.gateway.operators import listed, operate, operate_beside, write_config

from feltpost_gateway.enrolling import Enroller
from feltpost_gateway.enrolment import Enrolment, Outcome, Status, check_value
from feltpost_gateway.service import Gateway
from feltpost_tools.enrolment.base import describe
from feltpost_tools.enrolment.here import HereEnroller
from feltpost_tools.errors import EnrolmentRefused, GatewayUnavailable

Run = Callable[[Any], None]


async def enrol(gateway: Gateway, *given: Enrolment, **options: bool) -> list[Outcome]:
    return await Enroller(gateway._registry, gateway._clock).enrol(given, "test", **options)


async def status(gateway: Gateway, given: Enrolment, **options: bool) -> Status:
    (outcome,) = await enrol(gateway, given, **options)
    return outcome.status


def columns(gateway: Gateway, number: int = 3) -> tuple[str, str | None]:
    """Name and room of a node."""
    mac = bytes.fromhex(f"020000fffe0000{number:02x}")
    (found,) = [row.node for row in gateway._registry.nodes if row.node.eui64 == mac]
    return found.name, found.room


def test_a_node_is_enrolled_once(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            assert not await works(gateway, KEY_ID, KEY)
            (outcome,) = await enrol(gateway, enrolment())
            assert outcome == Outcome(Status.ENROLLED, "aarhus/skole-x/lokale-3")
            assert await works(gateway, KEY_ID, KEY)
            (again,) = await enrol(gateway, enrolment())
            assert again == Outcome(Status.ALREADY, "aarhus/skole-x/lokale-3")
        async with running(make_config(tmp_path)) as gateway:
            assert await works(gateway, KEY_ID, KEY)

    run(scenario())


def test_a_description_changes_only_where_that_is_asked_for(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await enrol(gateway, enrolment())
            await operate_beside(tmp_path, "nodes", "edit", "lokale-3", "--set", "classes=co2=open")
            (kept,) = await enrol(gateway, enrolment(name="sal", room="4.A"))
            node = "aarhus/skole-x/lokale-3"
            assert kept == Outcome(Status.ALREADY, node, different=("name", "room"))
            assert columns(gateway) == ("lokale-3", "3.B")
            (changed,) = await enrol(gateway, enrolment(name="sal", room="", update=True))
            assert changed == Outcome(Status.UPDATED, "aarhus/skole-x/sal", different=("name",))
            assert columns(gateway) == ("sal", "3.B")
            assert gateway._registry.nodes[0].node.classes, "the operator's, which stay"

    run(scenario())


def test_another_key_is_refused_unless_it_replaces(run: Run, tmp_path: Path) -> None:
    other = {"key": OTHER_KEY, "key_id": OTHER_KEY_ID}

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await enrol(gateway, enrolment())
            assert await status(gateway, enrolment(**other)) is Status.OTHER_KEY
            assert not await works(gateway, OTHER_KEY_ID, OTHER_KEY)
            assert await status(gateway, enrolment(**other, replaces=True)) is Status.REPLACED
            assert await works(gateway, KEY_ID, KEY)
            assert await works(gateway, OTHER_KEY_ID, OTHER_KEY)
            assert not await works(gateway, KEY_ID, KEY)
            # An old enrolment does not bring back the key that was given up.
            assert await status(gateway, enrolment(replaces=True)) is Status.KEY_REVOKED

    run(scenario())


def test_a_node_of_the_configuration_file_is_taken_over(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            assert await status(gateway, enrolment(1)) is Status.OTHER_KEY
            assert await status(gateway, enrolment(1, replaces=True)) is Status.REPLACED
            assert columns(gateway, 1) == ("node-01", None)
        async with running(make_config(tmp_path)) as gateway:
            assert await works(gateway, KEY_ID, KEY), "the file's key has not come back"
            assert not await works(gateway, b"\x01", KEYS[b"\x01"])

    run(scenario())


def test_a_node_that_is_shut_out_stays_out(run: Run, tmp_path: Path) -> None:
    other = {"key": OTHER_KEY, "key_id": OTHER_KEY_ID}

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await enrol(gateway, enrolment())
            await operate_beside(tmp_path, "nodes", "revoke", "lokale-3")
            assert await status(gateway, enrolment()) is Status.KEY_REVOKED
            assert await status(gateway, enrolment(**other)) is Status.OTHER_KEY
            await operate_beside(tmp_path, "nodes", "remove", "lokale-3")
            assert await status(gateway, enrolment()) is Status.KEY_REVOKED
            assert await status(gateway, enrolment(**other)) is Status.ENROLLED

    run(scenario())


def test_a_node_without_a_key_gets_its_first(run: Run, tmp_path: Path) -> None:
    write_config(tmp_path)
    settings = ("mac=02:00:00:00:00:03", "name=sal", "owner=aarhus", "site=skole-x")
    operate(tmp_path, "nodes", "add", *[part for s in settings for part in ("--set", s)])

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            assert await status(gateway, enrolment()) is Status.ENROLLED
            assert columns(gateway) == ("sal", None), "the operator had described it"

    run(scenario())


def test_what_is_taken_already(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await enrol(gateway, enrolment())
            assert await status(gateway, enrolment(4)) is Status.KEY_ID_TAKEN
            again = {"key": OTHER_KEY, "replaces": True}
            assert await status(gateway, enrolment(**again)) is Status.KEY_ID_TAKEN
            (twin,) = await enrol(gateway, enrolment(4, name="lokale-3", key_id=OTHER_KEY_ID))
            assert twin.status is Status.NAME_TAKEN
            assert "02:00:00:00:00:03" in str(twin.faults[0].text)

    run(scenario())


def test_one_that_is_refused_holds_no_other_up_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            before = len(gateway._registry.nodes)
            # The key is refused after the description has been stored.
            bad = enrolment(5, setting="cellar", latitude="91", key_id=b"\x55")
            outcomes = await enrol(gateway, enrolment(), bad, enrolment(4, key_id=b"\x44"))
            assert [o.status for o in outcomes] == [Status.ENROLLED, Status.MALFORMED, 0]
            assert [fault.column for fault in outcomes[1].faults] == ["latitude", "setting"]
            assert len(gateway._registry.nodes) == before + 2
            (dry,) = await enrol(gateway, enrolment(6, key_id=b"\x66"), dry_run=True)
            assert dry.status is Status.ENROLLED
            assert not await works(gateway, b"\x66", KEY)

    run(scenario())


def test_here(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    everything_logged(caplog)
    here = HereEnroller(write_config(tmp_path))
    given = enrolment()

    async def scenario() -> None:
        with pytest.raises(GatewayUnavailable, match="No gateway runs"):
            await here.enrol(given)
        async with running(make_config(tmp_path)) as gateway:
            assert await here.known(given.columns["mac"], given.check) is False
            outcome = await here.enrol(given)
            assert describe(outcome) == "enrolled as aarhus/skole-x/lokale-3"
            assert describe(await here.enrol(given)).startswith("enrolled already")
            assert await here.known(given.columns["mac"], given.check) is True
            assert await here.known(given.columns["mac"], check_value(OTHER_KEY)) is False
            assert await here.known("02:00:00:00:00:99", given.check) is False
            assert await works(gateway, KEY_ID, KEY)
            with pytest.raises(EnrolmentRefused, match="enrolled with another key") as refused:
                await here.enrol(enrolment(key=OTHER_KEY, key_id=OTHER_KEY_ID))
            assert_secret(repr(refused.value), KEY, OTHER_KEY)
            with pytest.raises(EnrolmentRefused, match="setting cellar is not a setting"):
                await here.enrol(enrolment(5, setting="cellar", key_id=b"\x55"))

    run(scenario())
    assert "enrolment-enrolled mac=02:00:00:00:00:03" in caplog.text
    assert_secret(caplog.text + repr(given), KEY, OTHER_KEY)
    assert [node["key_ids"] for node in listed(tmp_path)][-1] != []
    assert stat.S_IMODE((tmp_path / "feltpost.db").stat().st_mode) == 0o600
