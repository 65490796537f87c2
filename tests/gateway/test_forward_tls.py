"""TLS, mutual TLS and accounts for each node, with a real mosquitto."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.fake_broker import add_packs, destination, eui64, forwarding, until
from tests.gateway.listener import Listener
from tests.support.authority import Authority
from tests.support.broker import Broker, free_port, password_line

from feltpost_gateway import backoff, tls_watch
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.delivery import read_dead_letters
from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.errors import TlsFilesError
from feltpost_gateway.tls import TlsFiles
from feltpost_gateway.tls_watch import TlsWatch

Run = Callable[[Any], None]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "_CAP_S", 0.1)


@contextmanager
def tls_broker(directory: Path, authority: Authority, more: str = "") -> Iterator[tuple[int, int]]:
    """A broker that takes TLS 1.3 with client certificates only; its port, and a plain one."""
    cert_file, key_file = authority.issue("broker", days=12)
    plain = free_port()
    broker = Broker(
        directory,
        f"cafile {authority.file}\ncertfile {cert_file}\nkeyfile {key_file}\n"
        f"tls_version tlsv1.3\nrequire_certificate true\n{more}\nlistener {plain} 127.0.0.1",
    )
    broker.start()
    try:
        yield broker.port, plain
    finally:
        broker.stop()


def secured(port: int, authority: Authority, pair: tuple[Path, Path]) -> DestinationConfig:
    return destination(port, tls=True, ca_file=authority.file, cert_file=pair[0], key_file=pair[1])


def test_mutual_tls_and_files_that_are_replaced(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tls_watch, "_LOOK_S", 0.05)
    caplog.set_level(logging.INFO, "feltpost")
    authority = Authority(tmp_path, "authority")
    pair = authority.issue("gateway")

    def logged(text: str) -> int:
        return sum(text in record.getMessage() for record in caplog.records)

    async def scenario() -> None:
        with tls_broker(tmp_path, authority) as (port, plain):
            listener = await asyncio.to_thread(Listener, plain)
            async with forwarding(tmp_path, secured(port, authority, pair)) as (store, _):
                await store.write(partial(add_packs, nodes=2, packs=4))
                await asyncio.to_thread(listener.wait, lambda heard: len(heard) == 4)
                # A file that is half there is not taken up.
                good = pair[1].read_bytes()
                pair[1].write_bytes(good[:50])
                await until(lambda: logged("tls-files ") > 0)
                assert logged("connected dest") == 1
                authority.issue("gateway", stem="new")
                for old, new in zip(pair, ("new.pem", "new.key"), strict=True):
                    shutil.move(tmp_path / new, old)
                await until(lambda: logged("connected dest") >= 2)
                await store.write(partial(add_packs, nodes=2, packs=4))
                await asyncio.to_thread(listener.wait, lambda heard: len(heard) == 8)
            listener.close()

    run(scenario())
    assert logged("not-forwarding") == 0, "a new connection in good time, not a broken one"


def test_a_broker_that_is_not_who_it_should_be(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, "authority")
    stranger = Authority(tmp_path, "stranger")
    pair = authority.issue("gateway")

    async def scenario() -> None:
        with tls_broker(tmp_path, authority) as (port, plain):
            listener = await asyncio.to_thread(Listener, plain)
            for config in (
                secured(port, stranger, pair),
                secured(port, authority, stranger.issue("gateway", stem="forged")),
                destination(port, tls=True, ca_file=authority.file),
            ):
                caplog.clear()
                async with forwarding(tmp_path, config) as (store, destinations):
                    await store.write(partial(add_packs, nodes=1, packs=1))
                    await until(lambda: "not-forwarding" in caplog.text)
                    assert not destinations.states()[0].taken
            async with forwarding(tmp_path, secured(port, authority, pair)):
                await asyncio.to_thread(listener.wait, lambda heard: len(heard) == 3)
            listener.close()

    run(scenario())


def test_files_that_can_not_be_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    cert_file, key_file = authority.issue("gateway")
    other_key = authority.issue("other")[1]
    for files in (
        TlsFiles(tmp_path / "absent.pem", None, None),
        TlsFiles(authority.file, cert_file, tmp_path / "absent.key"),
        TlsFiles(authority.file, cert_file, other_key),
        TlsFiles(key_file, None, None),
    ):
        with pytest.raises(TlsFilesError, match="can't be used"):
            files.context()


class LaterClock(SystemClock):
    days = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.days * 86_400_000


def test_certificates_are_warned_of_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, "authority")
    files = TlsFiles(authority.file, *authority.issue("gateway", days=100))
    clock = LaterClock()
    watch = TlsWatch("d", [files], clock, lambda: None)
    for days, event in (
        (0, None),
        (69, None),
        (71, "certificate-ends"),
        (71, None),
        (73, "certificate-ends"),
        (102, "certificate-ended"),
    ):
        caplog.clear()
        clock.days = days
        watch.look()
        messages = [record.getMessage() for record in caplog.records]
        assert [m.split()[0] for m in messages] == ([event] if event else []), days
        assert all("gateway.pem" in message for message in messages)


def test_the_brokers_certificate_is_warned_of(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path, "authority")

    async def scenario() -> None:
        with tls_broker(tmp_path, authority) as (port, _):
            config = secured(port, authority, authority.issue("gateway"))
            async with forwarding(tmp_path, config, clock=SystemClock()):
                await until(lambda: "certificate-ends" in caplog.text)

    run(scenario())
    assert 'certificate="the certificate of broker 127.0.0.1:' in caplog.text


def test_each_node_with_its_own_account(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As OS2iot has it: a topic, a user and a password for each device."""
    people = {"listener": "l", "user-1": "one", "user-2": "two"}
    passwords = tmp_path / "passwords"
    passwords.write_text("".join(password_line(*each) for each in people.items()))
    rights = tmp_path / "rights"
    rights.write_text(
        "user listener\ntopic read #\n"
        "user user-1\ntopic write devices/1/1/dev-1\n"
        "user user-2\ntopic write devices/1/1/dev-2\n"
    )
    broker = Broker(tmp_path, f"password_file {passwords}\nacl_file {rights}")
    accounts = [
        {"node": "node-1", "device": "dev-1", "username": "user-1", "password": "one"},
        {
            "node": "favrskov/skole/node-2",
            "device": "dev-2",
            "username": "user-2",
            "password": "two",
        },
        {"node": "node-3", "device": "dev-3", "username": "user-3", "password": "wrong"},
    ]

    async def scenario() -> None:
        await asyncio.to_thread(broker.start)
        listener = await asyncio.to_thread(Listener, broker.port, "listener", "l")
        config = destination(
            broker.port,
            accounts=accounts,
            topic="devices/1/1/{device}",
            client_id="feltpost-{device}",
            format="os2iot",
            max_connections=1,
        )
        async with forwarding(tmp_path, config) as (store, destinations):
            await store.write(partial(add_packs, nodes=4, packs=24))
            await asyncio.to_thread(listener.wait, lambda heard: len(heard) == 12)
            await until(lambda: destinations.states()[0].position.cursor >= 24)
            letters = await store.read(lambda reader: read_dead_letters(reader, "d", 100))
        assert len(letters) == 6
        assert {letter.topic for letter in letters} == {"devices/1/1/dev-3"}
        assert "Not authorized, as user-3" in letters[0].reason
        assert listener.topics().count("devices/1/1/dev-1") == 6
        assert listener.topics().count("devices/1/1/dev-2") == 6
        listener.close()
        await asyncio.to_thread(broker.stop)

    run(scenario())
    assert f"node=node-{4}" in caplog.text, "a node without an account is told of"
    assert eui64(4).hex() not in caplog.text
    for secret in ("wrong", "=one", "=two"):
        assert secret not in caplog.text


def test_each_node_with_its_own_certificate(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on OS2iot's port 8884: the certificate says which device it is, and nothing else does."""
    monkeypatch.setattr(tls_watch, "_LOOK_S", 0.05)
    authority = Authority(tmp_path, "authority")
    rights = tmp_path / "rights"
    rights.write_text(
        "topic read #\nuser dev-1\ntopic write devices/1/1/dev-1\n"
        "user dev-2\ntopic write devices/1/1/dev-2\n"
        "user dev-3\ntopic write devices/1/1/dev-3\n"
    )
    pairs = [authority.issue(name) for name in ("dev-1", "dev-2")]
    # Node 3 has the certificate of another device, node 4 one that is not there yet.
    pairs += [pairs[0], (tmp_path / "dev-3.pem", tmp_path / "dev-3.key")]
    accounts = [
        {"node": f"node-{number}", "device": device, "cert_file": pair[0], "key_file": pair[1]}
        for number, device, pair in zip(
            range(1, 5), ("dev-1", "dev-2", "dev-2", "dev-3"), pairs, strict=True
        )
    ]
    identity = f"use_identity_as_username true\nacl_file {rights}"

    async def scenario() -> None:
        with tls_broker(tmp_path, authority, identity) as (port, plain):
            listener = await asyncio.to_thread(Listener, plain)
            config = destination(
                port,
                tls=True,
                ca_file=authority.file,
                accounts=accounts,
                topic="devices/1/1/{device}",
                client_id="feltpost-{eui64}",
                format="os2iot",
            )
            async with forwarding(tmp_path, config, clock=SystemClock()) as (store, destinations):
                await store.write(partial(add_packs, nodes=4, packs=8))
                await until(lambda: destinations.states()[0].position.cursor >= 8)
                letters = await store.read(lambda reader: read_dead_letters(reader, "d", 100))
                assert [letter.pack_id for letter in letters] == [3, 4, 7, 8]
                assert "Not authorized" in letters[0].reason
                assert f"as {tmp_path}/dev-3.pem" in letters[1].reason
                assert set(listener.topics()) == {"devices/1/1/dev-1", "devices/1/1/dev-2"}
                authority.issue("dev-3")
                await until(lambda: "tls-files-changed" in caplog.text)
                await store.write(partial(add_packs, nodes=4, packs=4))
                await asyncio.to_thread(
                    listener.wait, lambda _: "devices/1/1/dev-3" in listener.topics()
                )
            listener.close()

    caplog.set_level(logging.INFO)
    run(scenario())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"username": "u"}, "password or password_file is missing"),
        ({"cert_file": "c"}, "both or neither"),
        ({"password": "p"}, "username is missing"),
        ({"password": "p", "cert_file": "c", "key_file": "k"}, "username is missing"),
        ({}, "username is missing, or cert_file"),
        ({"cert_file": "c", "key_file": "k"}, "an account has a cert_file but tls is not true"),
    ],
)
def test_accounts_that_prove_nothing(keys: dict[str, str], message: str) -> None:
    account = {"node": "n", "device": "d", **keys}
    with pytest.raises(ValueError, match=message):
        destination(1, accounts=[account], client_id="{device}")
