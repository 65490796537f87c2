"""Enrolment over the network: a running gateway, codes, and the tools' client."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, make_config, make_node, running
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
from tests.gateway.operators import operate, operate_beside, write_config
from tests.support.node import Node, NodeKeys, pack

from feltpost_gateway import enrol_access
from feltpost_gateway.enrol_codes import derive
from feltpost_gateway.enrolment import Outcome, Status, decode_outcome, encode
from feltpost_gateway.errors import StoreUnavailableError
from feltpost_gateway.service import Gateway
from feltpost_tools.enrolment.network import NetworkEnroller
from feltpost_tools.errors import EnrolmentError, EnrolmentRefused, GatewayUnavailable

Run = Callable[[Any], None]

UDP = '[udp]\nbind = "127.0.0.1"\nport = 0\n'
MAC = "02:00:00:00:00:03"
NEW = {"key": OTHER_KEY, "key_id": OTHER_KEY_ID}


@pytest.fixture(autouse=True)
def _config(tmp_path: Path) -> None:
    write_config(tmp_path, UDP)


async def new_code(directory: Path, *options: str) -> str:
    """A code, as `enrol-code` prints it."""
    return (await operate_beside(directory, "enrol-code", *options)).output.splitlines()[0]


def by(gateway: Gateway, code: str) -> NetworkEnroller:
    return NetworkEnroller(f"127.0.0.1:{gateway.udp_port}", code)


def by_hand(gateway: Gateway, code: str, id_context: bytes | None) -> Node:
    """Someone with a code who sends datagrams one by one."""

    class Keys(NodeKeys):
        pass

    Keys.id_context = id_context
    known = derive(code)
    assert gateway.udp_port
    return Node(gateway.udp_port, Keys(known.key_id, known.secret))


async def refusal(enroller: NetworkEnroller, *given: Any) -> str:
    with pytest.raises(EnrolmentRefused) as refused:
        await enroller.enrol(*given)
    assert_secret(repr(refused.value), KEY, OTHER_KEY)
    return str(refused.value)


def test_by_a_code(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    everything_logged(caplog)
    said: list[str] = []

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            code = await new_code(tmp_path)
            said.append(code)
            enroller = by(gateway, code.lower().replace("-", " ").replace("0", "o"))
            given = enrolment()
            assert await enroller.known(given.columns["mac"], given.check) is False
            outcome = await enroller.enrol(given)
            assert outcome == Outcome(Status.ENROLLED, "aarhus/skole-x/lokale-3")
            assert await works(gateway, KEY_ID, KEY)
            assert await enroller.known(given.columns["mac"], given.check) is True

    run(scenario())
    assert 'by="enrolment code 1"' in caplog.text
    (code,) = said
    assert_secret(caplog.text, KEY, derive(code).secret)
    assert code not in caplog.text


def test_a_code_that_is_not_valid(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            await new_code(tmp_path)
            with pytest.raises(EnrolmentError, match="does not know this enrolment code"):
                await by(gateway, "0123-4567-89AB-CDEF").enrol(enrolment())
            for nonsense in ("", "0123-4567-89AB-CDE", "0123-4567-89AB-CDEU", "æ" * 16):
                with pytest.raises(EnrolmentError, match="not an enrolment code") as error:
                    by(gateway, nonsense)
                assert not nonsense or nonsense not in str(error.value)
            assert not await works(gateway, KEY_ID, KEY)

    run(scenario())


def test_a_code_ends(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(enrol_access, "monotonic", lambda: now_s[0])

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            enroller = by(gateway, await new_code(tmp_path, "--minutes", "5"))
            now_s[0] += 5 * 60 - 1
            assert await enroller.known(MAC, bytes(8)) is False
            now_s[0] += 1
            for ask in (enroller.enrol(enrolment()), enroller.known(MAC, bytes(8))):
                with pytest.raises(EnrolmentError, match="its time is over"):
                    await ask
            said = await operate_beside(tmp_path, "enrol-code", "--list")
            assert said.output == "No enrolment code is valid\n"

    run(scenario())


def test_a_code_is_used_up(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            enroller = by(gateway, await new_code(tmp_path, "--nodes", "2"))
            both = [enrolment(number, key_id=bytes([number])) for number in (3, 4)]
            # At once, as they are when boards are flashed side by side.
            done = await asyncio.gather(*map(enroller.enrol, both))
            assert [outcome.status for outcome in done] == [Status.ENROLLED] * 2
            assert "used up" in await refusal(enroller, enrolment(5, key_id=b"\x05"))
            # An answer may have been lost; the same node again is answered, and uses up nothing.
            again = await enroller.enrol(both[0])
            assert again.status is Status.ALREADY
            said = await operate_beside(tmp_path, "enrol-code", "--list")
            assert said.output.splitlines()[1].split() == ["1", "2", "2", "60", "no"]

    run(scenario())


def test_two_nodes_do_not_share_one_place(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            code = await new_code(tmp_path)
            given = [enrolment(number, key_id=bytes([number])) for number in (3, 4, 5)]
            done = await asyncio.gather(
                *(by(gateway, code).enrol(one) for one in given), return_exceptions=True
            )
            refused = [one for one in done if isinstance(one, EnrolmentRefused)]
            assert len(refused) == 2
            assert [await works(gateway, one.key_id, KEY) for one in given].count(True) == 1

    run(scenario())


def test_a_message_that_is_repeated(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            technician = by_hand(gateway, await new_code(tmp_path), secrets.token_bytes(8))
            content = encode(enrolment())
            datagram, request_id = technician.protect(codes.POST, "/enrol", content, 60)
            first = await technician.exchange(datagram)
            assert first.payload == (await technician.exchange(datagram)).payload
            plain = technician.unprotect(first, request_id)
            assert plain.code == codes.CHANGED
            assert decode_outcome(plain.payload).status is Status.ENROLLED
            # Someone sends what he has recorded, as a message of his own.
            replayed = datagram[:2] + b"\x7f\x7f" + datagram[4:]
            assert (await technician.exchange(replayed)).code == codes.UNAUTHORIZED
            assert [state.enrolled for state in gateway._codes.states()] == [1]
            technician.close()

    run(scenario())


def test_codes_end_one_by_one_and_with_the_gateway(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            first, second = await new_code(tmp_path), await new_code(tmp_path)
            assert first != second
            said = await operate_beside(tmp_path, "enrol-code", "--withdraw", "1")
            assert said.output == "the enrolment code 1 is withdrawn\n"
            with pytest.raises(EnrolmentError, match="withdrawn"):
                await by(gateway, first).enrol(enrolment())
            assert (await by(gateway, second).enrol(enrolment())).status is Status.ENROLLED
            await operate_beside(tmp_path, "enrol-code", "--withdraw", "1", status=1)
        async with running(make_config(tmp_path)) as gateway:
            with pytest.raises(EnrolmentError, match="restarted"):
                await by(gateway, second).enrol(enrolment())

    run(scenario())


def test_a_code_is_for_new_nodes_unless_it_was_made_to_replace(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            code = await new_code(tmp_path, "--nodes", "2")
            await by(gateway, code).enrol(enrolment())
            assert "another key" in await refusal(by(gateway, code), enrolment(**NEW))
            given = enrolment(**NEW, replaces=True)
            assert "for new nodes only" in await refusal(by(gateway, code), given)
            replacing = by(gateway, await new_code(tmp_path, "--replace"))
            assert (await replacing.enrol(given)).status is Status.REPLACED
            assert await works(gateway, OTHER_KEY_ID, OTHER_KEY)
            assert not await works(gateway, KEY_ID, KEY)

    run(scenario())


def test_what_else_the_gateway_refuses(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            enroller = by(gateway, await new_code(tmp_path, "--nodes", "9"))
            await enroller.enrol(enrolment())
            assert "Run again with --new-identity" in await refusal(enroller, enrolment(4))
            twin = enrolment(4, name="lokale-3", key_id=b"\x44")
            assert "has another node lokale-3" in await refusal(enroller, twin)
            strange = enrolment(5, setting="{cellar}", key_id=b"\x55")
            assert "setting {cellar} is not a setting" in await refusal(enroller, strange)
            open_data = enrolment(5, classes="*=open", key_id=b"\x55")
            assert "classes is not a column" in await refusal(enroller, open_data)
            with pytest.raises(EnrolmentError, match="too long"):
                await enroller.enrol(enrolment(5, room="æ" * 200, kit="ø" * 200, site="å" * 64))
            assert [state.enrolled for state in gateway._codes.states()] == [1]

    run(scenario())


def test_a_store_that_refuses_uses_nothing_up(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            enroller = by(gateway, await new_code(tmp_path))

            async def refuse(*_: Any, **__: Any) -> None:
                raise StoreUnavailableError("the disk is full")

            with monkeypatch.context() as patched:
                patched.setattr(gateway._store, "write", refuse)
                with pytest.raises(GatewayUnavailable, match="can't store anything"):
                    await enroller.enrol(enrolment())
            assert (await enroller.enrol(enrolment())).status is Status.ENROLLED

    run(scenario())


def test_a_gateway_that_is_not_there(run: Run) -> None:
    async def scenario() -> None:
        code = "0123-4567-89AB-CDEF"
        with pytest.raises(GatewayUnavailable, match="does not answer"):
            await NetworkEnroller("127.0.0.1:1", code, timeout_s=0.2).enrol(enrolment())
        with pytest.raises(EnrolmentError, match="not the address"):
            await NetworkEnroller("[::1", code).enrol(enrolment())

    run(scenario())


def test_codes_open_nothing_else_and_nodes_do_not_enrol(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            code = await new_code(tmp_path)
            technician = by_hand(gateway, code, secrets.token_bytes(8))
            for method, path, content_format, expected in (
                (codes.PUT, "/j/1/0", 112, codes.NOT_FOUND),
                (codes.GET, "/t", None, codes.NOT_FOUND),
                (codes.GET, "/m", None, codes.NOT_FOUND),
                (codes.GET, "/enrol", None, codes.METHOD_NOT_ALLOWED),
                (codes.POST, "/enrol", 112, codes.UNSUPPORTED_CONTENT_FORMAT),
                (codes.POST, "/enrol", 60, codes.BAD_REQUEST),
                (codes.FETCH, "/enrol", 60, codes.BAD_REQUEST),
            ):
                answer = await technician.request(method, path, pack(1), content_format)
                assert (answer.code, path) == (expected, path)
            node = make_node(gateway)
            answer = await node.request(codes.POST, "/enrol", encode(enrolment()), 60)
            assert answer.code == codes.NOT_FOUND
            node.close()
            technician.close()
            # Without an ID Context two programs could use one nonce.
            for id_context in (None, b"", bytes(7)):
                other = by_hand(gateway, code, id_context)
                datagram, _ = other.protect(codes.POST, "/enrol", encode(enrolment()), 60)
                assert (await other.exchange(datagram)).code == codes.UNAUTHORIZED
                other.close()

    run(scenario())


def test_strangers_take_no_memory(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            code = await new_code(tmp_path)
            stranger = by_hand(gateway, code, bytes(8))
            stranger.keys.derive_keys(b"", KEYS[b"\x01"])
            for _ in range(3):
                datagram, _ = stranger.protect(codes.POST, "/enrol", encode(enrolment()), 60)
                assert (await stranger.exchange(datagram)).code == codes.BAD_REQUEST
            stranger.close()
            (found,) = gateway._codes._codes.values()
            assert not found.sessions
            for _ in range(64):
                await by(gateway, code).known(MAC, bytes(8))
            with pytest.raises(EnrolmentError, match="does not know"):
                await by(gateway, code).known(MAC, bytes(8))

    run(scenario())


def test_codes_need_a_running_gateway_with_udp(tmp_path: Path) -> None:
    said = operate(tmp_path, "enrol-code", status=1)
    assert "no gateway runs here" in said.output
    write_config(tmp_path)
    assert "no UDP port" in operate(tmp_path, "enrol-code", status=1).output
