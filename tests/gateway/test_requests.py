"""Requests over UDP to a running gateway: what is taken, what is refused, what the log says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from aiocoap import Message
from aiocoap.numbers import codes
from tests.gateway.conftest import KEYS, FixedClock, make_config, make_node, running
from tests.support.node import BASE_TIME_S, Node, NodeKeys, pack
from tests.support.oscore_files import security_context

from feltpost_gateway.store import Store
from feltpost_gateway.traffic import Refusal

Run = Callable[[Any], None]

pytestmark = pytest.mark.usefixtures("way")


async def stored(directory: Path) -> list[tuple[int, int, int]]:
    """(journal, first, count) of each pack in a store that no gateway has open."""
    store = Store(directory / "feltpost.db")
    await store.open()
    try:
        return [(p.journal, p.first, p.count) for p in await store.read_packs(0, 1000)]
    finally:
        await store.close()


def test_put_is_stored_and_answered(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = FixedClock()
        async with running(make_config(tmp_path), clock) as gateway:
            node = make_node(gateway)
            answer = await node.put(1, 0, pack(4))
            assert answer.code == codes.CHANGED
            assert answer.opt.content_format == 60
            assert cbor2.loads(answer.payload) == {0: clock.value_ms, 1: 4}
            again = await node.put(1, 0, pack(4))
            assert cbor2.loads(again.payload) == {0: clock.value_ms, 1: 4}
            node.close()
        assert await stored(tmp_path) == [(1, 0, 4)]

    run(scenario())


def test_first_contact_asks_for_an_echo_and_later_ones_do_not(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            datagram, request_id = node.protect(codes.GET, "/t")
            challenge = node.unprotect(await node.exchange(datagram), request_id)
            assert challenge.code == codes.UNAUTHORIZED
            assert challenge.opt.echo
            datagram, request_id = node.protect(codes.GET, "/t", echo=challenge.opt.echo)
            outer = await node.exchange(datagram)
            assert len(outer.opt.oscore) > 1, "the answer must have a Partial IV of its own"
            assert node.unprotect(outer, request_id).code == codes.CONTENT
            datagram, request_id = node.protect(codes.GET, "/t")
            outer = await node.exchange(datagram)
            assert outer.opt.oscore == b"", "the answer reuses the request's nonce"
            node.close()
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway, sequence_number=node.keys.sender_sequence_number)
            datagram, request_id = node.protect(codes.GET, "/t")
            answer = node.unprotect(await node.exchange(datagram), request_id)
            assert answer.code == codes.CONTENT, "the replay window came back from the store"
            node.close()

    run(scenario())


def test_aiocoaps_own_client(run: Run, tmp_path: Path) -> None:
    """The OSCORE transport of aiocoap, with its file-based context, gets through."""
    from aiocoap import Context

    async def scenario() -> None:
        files = security_context(
            tmp_path / "context", KEYS[bytes([1])], sender_id=b"\x01", recipient_id=b""
        )
        async with running(make_config(tmp_path)) as gateway:
            client = await Context.create_client_context(transports=["oscore", "simple6"])
            uri = f"coap://127.0.0.1:{gateway.udp_port}"
            message = Message(code=codes.PUT, uri=f"{uri}/j/1/0", payload=pack(3))
            message.opt.content_format = 112
            with files as context:
                client.client_credentials[f"{uri}/*"] = context
                answer = await client.request(message).response
                await client.shutdown()
            assert answer.code == codes.CHANGED
            assert cbor2.loads(answer.payload)[1] == 3

    run(scenario())


def test_time_is_left_out_while_the_clock_is_not_set(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = FixedClock(now_ms=1000, known=False)
        async with running(make_config(tmp_path), clock) as gateway:
            node = make_node(gateway)
            assert cbor2.loads((await node.request(codes.GET, "/t")).payload) == {}
            assert cbor2.loads((await node.put(1, 0, pack(1))).payload) == {1: 1}
            relative = await node.put(1, 1, cbor2.dumps([{0: "c", 2: 400, 6: -60}]))
            assert relative.code == codes.SERVICE_UNAVAILABLE
            assert relative.opt.max_age
            node.close()
        assert await stored(tmp_path) == [(1, 0, 1)]

    run(scenario())


def test_unnumbered_readings_get_numbers_in_journal_0(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            for _ in range(2):
                answer = await node.request(codes.POST, "/s", pack(2), 112)
                assert answer.code == codes.CHANGED
                assert 1 not in cbor2.loads(answer.payload)
            node.close()
        assert await stored(tmp_path) == [(0, 0, 2), (0, 2, 2)]

    run(scenario())


def test_gap_report(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            await node.put(1, 0, pack(2))
            answer = await node.put_gap(1, 2, 10, 3)
            assert answer.code == codes.CHANGED
            assert cbor2.loads(answer.payload)[1] == 12
            for count, reason in ((0, 1), (1, 0), (1, 5), (1 << 33, 1), (True, 1)):
                refused = await node.put_gap(1, 12, count, reason)
                assert refused.code == codes.BAD_REQUEST
            node.close()

    caplog.set_level(logging.WARNING)
    run(scenario())
    assert "gap node=node-01 journal=1 seq=2 count=10 reason=rejected" in caplog.text


BAD_PACKS = {
    "not-cbor": (b"\xff\x00", "has no place here"),
    "cut-off": (pack(3)[:-1], "ends too early"),
    "trailing": (pack(1) + b"\x00", "bytes follow"),
    "unknown-unit": (cbor2.dumps([{0: "pressure", 1: "furlong", 2: 1, 6: BASE_TIME_S}]), "furlong"),
    "no-unit": (cbor2.dumps([{0: "pressure", 2: 1, 6: BASE_TIME_S}]), "names no unit"),
    "too-hot": (cbor2.dumps([{0: "t", 2: 151, 6: BASE_TIME_S}]), "is not between"),
    "1999": (cbor2.dumps([{0: "t", 2: 20, 6: 946_684_799}]), "before the year 2000"),
    "next-week": (cbor2.dumps([{0: "t", 2: 20, 6: BASE_TIME_S + 700_000}]), "a day ahead"),
    "absurd-time": (cbor2.dumps([{0: "t", 2: 20, 6: 1 << 62}]), "out of all bounds"),
    "nan": (cbor2.dumps([{0: "t", 2: float("nan"), 6: BASE_TIME_S}]), "finite"),
    "second-record": (cbor2.dumps([{0: "t", 2: 20, 6: BASE_TIME_S}, {0: "t", 2: 200}]), "record 1"),
}


@pytest.mark.parametrize("name", BAD_PACKS)
def test_bad_pack_is_refused_whole(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    payload, text = BAD_PACKS[name]

    async def scenario() -> None:
        async with running(make_config(tmp_path), FixedClock()) as gateway:
            node = make_node(gateway)
            answer = await node.put(7, 3, payload)
            assert answer.code == codes.BAD_REQUEST
            assert text in answer.payload.decode()
            good = await node.put(7, 0, pack(1))
            assert good.code == codes.CHANGED
            node.close()
        assert await stored(tmp_path) == [(7, 0, 1)]

    caplog.set_level(logging.WARNING)
    run(scenario())
    assert "refused node=node-01 journal=7 seq=3" in caplog.text


def test_too_much_is_answered_4_13(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            huge = cbor2.dumps([{2: 1}] * 10_000)
            assert (await node.put(1, 0, huge)).code == codes.REQUEST_ENTITY_TOO_LARGE
            many = cbor2.dumps([{0: "c", 2: 1, 6: BASE_TIME_S}] + [{0: "c", 2: 1}] * 64)
            assert (await node.put(1, 0, many)).code == codes.REQUEST_ENTITY_TOO_LARGE
            assert (await node.put(1, 0, pack(64))).code == codes.CHANGED
            node.close()
        assert await stored(tmp_path) == [(1, 0, 64)]

    caplog.set_level(logging.WARNING)
    run(scenario())
    assert "refused node=node-01" in caplog.text


def test_wrong_key_unknown_key_replay_and_garbage(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED

            assert gateway.udp_port
            forger = Node(gateway.udp_port, NodeKeys(b"\x01", bytes(16), 500))
            assert (await forger.put(1, 1, pack(1))).code == codes.BAD_REQUEST
            stranger = Node(gateway.udp_port, NodeKeys(b"\x77", bytes(16)))
            assert (await stranger.put(1, 1, pack(1))).code == codes.UNAUTHORIZED

            # The same protected request in a new CoAP message, so that only OSCORE can tell.
            protected, request_id = node.keys.protect(
                Message(
                    code=codes.PUT, payload=pack(1), content_format=112, uri_path=("j", "1", "1")
                )
            )
            answer = node.unprotect(await node.exchange(node.outer(protected)), request_id)
            assert answer.code == codes.CHANGED
            replayed = await node.exchange(node.outer(protected))
            assert replayed.code == codes.UNAUTHORIZED
            assert replayed.opt.oscore is None

            plain = Message(code=codes.GET, uri_path=("t",))
            assert (await node.exchange(node.outer(plain))).code == codes.UNAUTHORIZED
            listing = Message(code=codes.GET, uri_path=(".well-known", "core"))
            assert (await node.exchange(node.outer(listing))).code == codes.UNAUTHORIZED
            too_long, signed = b"\x0f" + bytes(7) + b"\x01", b"\x29\x63\x01"
            for option in (b"\x10", b"\x19", b"\x09\x01", too_long, b"\xff", signed):
                odd = Message(code=codes.POST, payload=bytes(20), oscore=option)
                assert not (await node.exchange(node.outer(odd))).code.is_successful()
            for datagram in (b"", b"\x40", b"\x4f\x02\x00\x00", bytes(40), b"\x00" * 1500):
                stranger.send(datagram)
            assert (await node.put(1, 2, pack(1))).code == codes.CHANGED
            for other in (node, forger, stranger):
                other.close()
            assert gateway.traffic.refused == {
                Refusal.UNPROTECTED: 3,
                Refusal.UNKNOWN_KEY: 2,
                Refusal.MALFORMED: 5,
                Refusal.NOT_DECRYPTED: 1,
                Refusal.REPLAYED: 1,
            }
        assert await stored(tmp_path) == [(1, 0, 1), (1, 1, 1), (1, 2, 1)]

    caplog.set_level(logging.WARNING)
    run(scenario())
    assert "refused node=node-01 source=127.0.0.1" in caplog.text
    assert "Decryption failed" in caplog.text
    assert "Replay detected" in caplog.text
    assert 'node="unknown (key id 77)"' in caplog.text
    assert "Traceback" not in caplog.text
    assert KEYS[b"\x01"].hex() not in caplog.text


@pytest.mark.parametrize(
    ("code", "path", "content_format", "expected"),
    [
        (codes.GET, "/j/1/0", None, codes.METHOD_NOT_ALLOWED),
        (codes.PUT, "/x", 112, codes.NOT_FOUND),
        (codes.PUT, "/j/1/0", 50, codes.UNSUPPORTED_CONTENT_FORMAT),
        (codes.PUT, "/j/0/0", 112, codes.BAD_REQUEST),
        (codes.PUT, "/j/4294967296/0", 112, codes.BAD_REQUEST),
        (codes.PUT, "/j/1/-1", 112, codes.BAD_REQUEST),
        (codes.PUT, "/j/1/4294967295", 112, codes.BAD_REQUEST),
        (codes.POST, "/s", 60, codes.UNSUPPORTED_CONTENT_FORMAT),
    ],
)
def test_wrong_requests(
    run: Run, tmp_path: Path, code: Any, path: str, content_format: int | None, expected: Any
) -> None:
    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            node = make_node(gateway)
            payload = b"" if code == codes.GET else pack(2)
            assert (await node.request(code, path, payload, content_format)).code == expected
            node.close()
        assert await stored(tmp_path) == []

    run(scenario())


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "::1"])
def test_any_address_and_ipv6(run: Run, tmp_path: Path, bind: str) -> None:
    async def scenario() -> None:
        config = make_config(tmp_path, udp={"bind": bind, "port": 0})
        async with running(config) as gateway:
            assert gateway.udp_port
            host = "127.0.0.2" if bind == "0.0.0.0" else "::1"
            node = Node(gateway.udp_port, NodeKeys(b"\x01", KEYS[b"\x01"]), host)
            # A connected socket takes the answer only from the address that it sent to.
            assert (await node.put(1, 0, pack(1))).code == codes.CHANGED
            node.close()

    run(scenario())
