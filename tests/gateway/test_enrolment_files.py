"""Enrolment by files: written with the gateway's public key, imported by its operator."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from jwcrypto.common import base64url_decode
from jwcrypto.jwe import JWE
from tests.gateway.conftest import make_config, running
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

from feltpost_gateway.enrol_files import key_path, read_recipient
from feltpost_gateway.enrolment import Enrolment, Status, decode, encode
from feltpost_tools.enrolment.file import FileEnroller
from feltpost_tools.errors import EnrolmentError

Run = Callable[[Any], None]


def key_file(directory: Path, name: str = "gateway-aarhus") -> Path:
    """The public key of the gateway whose configuration is in a directory."""
    file = directory / f"{name}.feltpost-key"
    operate(directory, "enrol-key", str(file), "--name", name)
    return file


def write_file(directory: Path, *given: Enrolment) -> Path:
    """An enrolment file for the gateway in a directory."""
    file = directory / "noder.feltpost-enrol"
    enroller = FileEnroller(file, key_file(directory))

    async def write() -> None:
        for one in given:
            assert (await enroller.enrol(one)).status is Status.WRITTEN

    asyncio.run(write())
    return file


def three() -> list[Enrolment]:
    return [enrolment(number, key_id=bytes([number])) for number in (3, 4, 5)]


def test_a_file_is_imported(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    everything_logged(caplog)
    file = write_file(tmp_path, *three())

    async def scenario() -> None:
        async with running(make_config(tmp_path)) as gateway:
            said = await operate_beside(tmp_path, "enrol-import", str(file), "--dry-run")
            assert "nodes that would change: 3. Nothing was changed" in said.output
            assert "aarhus/skole-x/lokale-3" in said.output
            assert not await works(gateway, b"\x03", KEY)
            said = await operate_beside(tmp_path, "enrol-import", str(file), "--yes")
            assert "Anybody who has the gateway's public key" in said.output
            assert "nodes enrolled or changed: 3" in said.output
            assert [await works(gateway, one.key_id, KEY) for one in three()] == [True] * 3
            again = await operate_beside(tmp_path, "enrol-import", str(file), "--yes")
            assert again.output.count("is enrolled already, as") == 3
            assert_secret(said.output, KEY)

    run(scenario())
    assert 'by="file noder.feltpost-enrol"' in caplog.text
    assert_secret(caplog.text, KEY)


def test_without_a_running_gateway_and_with_a_question(tmp_path: Path) -> None:
    file = write_file(tmp_path, *three())
    # There is nobody to answer the question, so nothing is done.
    operate(tmp_path, "enrol-import", str(file), status=1)
    assert listed(tmp_path) == []
    operate(tmp_path, "enrol-import", str(file), "--yes")
    assert [node["columns"]["name"] for node in listed(tmp_path)] == [
        "lokale-3",
        "lokale-4",
        "lokale-5",
    ]


def test_who_can_read_what(tmp_path: Path) -> None:
    file = write_file(tmp_path, *three())
    own = key_path(tmp_path / "feltpost.db")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, own)] == [0o600, 0o600]
    assert_secret(file.read_text(), KEY)
    private = json.loads(own.read_text())["d"]
    assert private not in key_file(tmp_path).read_text()
    assert json.loads(own.read_text())["d"] == private, "the same key the second time"
    assert sorted(path.name for path in tmp_path.iterdir() if "enrol" in path.name) == [
        "feltpost.db.enrol-key",
        "noder.feltpost-enrol",
    ]


def test_the_form_is_a_jwe(tmp_path: Path) -> None:
    """`cryptography` opens a line by RFC 7518 section 4.6 and RFC 8037, without jwcrypto."""
    file = write_file(tmp_path, enrolment())
    own = json.loads(key_path(tmp_path / "feltpost.db").read_text())
    head, encrypted_key, nonce, sealed, tag = file.read_text().strip().split(".")
    header = json.loads(base64url_decode(head))
    assert (header["alg"], header["enc"], encrypted_key) == ("ECDH-ES", "A256GCM", "")
    shared = X25519PrivateKey.from_private_bytes(base64url_decode(own["d"])).exchange(
        X25519PublicKey.from_public_bytes(base64url_decode(header["epk"]["x"]))
    )
    other_info = b"\x00\x00\x00\x07A256GCM" + bytes(4) + bytes(4) + (256).to_bytes(4, "big")
    key = ConcatKDFHash(SHA256(), 32, other_info).derive(shared)
    content = AESGCM(key).decrypt(
        base64url_decode(nonce), base64url_decode(sealed) + base64url_decode(tag), head.encode()
    )
    assert decode(cbor2.loads(content)[1]) == enrolment()


@pytest.mark.parametrize("strange", [{"zip": "DEF"}, {"enc": "A128GCM"}, {"alg": "ECDH-ES+A256KW"}])
def test_no_other_form_is_opened(tmp_path: Path, strange: dict[str, str]) -> None:
    """Such as one that takes much more room than the file once it is unpacked."""
    recipient = read_recipient(key_file(tmp_path))
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": recipient.thumbprint, "gateway": "x"}
    token = JWE(cbor2.dumps([0, encode(enrolment())]), json.dumps(header | strange))
    token.add_recipient(recipient.key)
    file = tmp_path / "noder.feltpost-enrol"
    file.write_text(token.serialize(compact=True))
    assert "is damaged" in operate(tmp_path, "enrol-import", str(file), status=1).output


def test_a_file_for_another_gateway(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    write_config(tmp_path / "other")
    file = write_file(tmp_path, *three())
    said = operate(tmp_path / "other", "enrol-import", str(file), "--yes", status=1)
    assert "this gateway has no enrolment key" in said.output
    key_file(tmp_path / "other", "gateway-viborg")
    said = operate(tmp_path / "other", "enrol-import", str(file), "--yes", status=1)
    assert "the file is for the gateway gateway-aarhus" in said.output
    assert listed(tmp_path / "other") == []


def test_damage_anywhere_is_found_and_costs_one_node(tmp_path: Path) -> None:
    file = write_file(tmp_path, *three())
    first, second, third = file.read_text().splitlines()
    head = len(second.partition(".")[0])
    for at in (*range(0, head, 40), *range(head, len(second), 25)):
        flipped = "B" if second[at] == "A" else "A"
        file.write_text("\n".join([first, second[:at] + flipped + second[at + 1 :], third]))
        said = operate(tmp_path, "enrol-import", str(file), "--dry-run", status=1)
        assert "nodes that would change: 2" in said.output or "for the gateway" in said.output
    for damaged in ("", ".", "....", "æøå", second[:-1], second + "A", "e30.", "bnVsbA....."):
        file.write_text(f"{first}\n{damaged}\n{third}\n")
        said = operate(tmp_path, "enrol-import", str(file), "--dry-run", status=1)
        assert "nodes that would change: 2" in said.output
        assert "is damaged" in said.output
    file.write_text("")
    assert "is empty" in operate(tmp_path, "enrol-import", str(file), status=1).output
    file.write_bytes(bytes((4 << 20) + 1))
    assert "too large" in operate(tmp_path, "enrol-import", str(file), status=1).output


def test_one_bad_node_holds_the_others_not_up(tmp_path: Path) -> None:
    hostile = enrolment(4, name="\x1b[2Jgym", key_id=b"\x04")
    file = write_file(tmp_path, three()[0], hostile, three()[2])
    said = operate(tmp_path, "enrol-import", str(file), "--yes", status=1)
    assert "name has a character that MQTT topics don't allow" in said.output
    assert "\x1b" not in said.output, "nothing of it drives the terminal"
    assert len(listed(tmp_path)) == 2


def test_another_key_is_shown_as_one(tmp_path: Path) -> None:
    operate(tmp_path, "enrol-import", str(write_file(tmp_path, enrolment())), "--yes")
    other = {"key": OTHER_KEY, "key_id": OTHER_KEY_ID}
    (tmp_path / "noder.feltpost-enrol").unlink()
    file = write_file(tmp_path, enrolment(**other))
    said = operate(tmp_path, "enrol-import", str(file), "--yes", status=1)
    assert "is enrolled with another key" in said.output
    file.unlink()
    file = write_file(tmp_path, enrolment(**other, replaces=True))
    said = operate(tmp_path, "enrol-import", str(file), "--yes")
    assert "it gets another key" in said.output
    assert listed(tmp_path)[0]["key_ids"] == [KEY_ID.hex(), OTHER_KEY_ID.hex()]


def test_two_programs_add_to_one_file(tmp_path: Path) -> None:
    key = key_file(tmp_path)
    file = tmp_path / "noder.feltpost-enrol"

    async def write() -> None:
        programs = [FileEnroller(file, key) for _ in range(4)]
        given = [enrolment(number, key_id=bytes([number])) for number in range(1, 13)]
        await asyncio.gather(*(programs[at % 4].enrol(one) for at, one in enumerate(given)))

    asyncio.run(write())
    said = operate(tmp_path, "enrol-import", str(file), "--dry-run")
    assert "nodes that would change: 12" in said.output


def test_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x.feltpost-key"
    for content in ("", "{}", "[]", '{"gateway": "x", "key": {"kty": "OKP", "crv": "Ed25519"}}'):
        file.write_text(content)
        with pytest.raises(EnrolmentError, match="not a gateway's key file"):
            FileEnroller(tmp_path / "y", file)
    with pytest.raises(EnrolmentError, match=r"nowhere: No such file"):
        FileEnroller(tmp_path / "y", tmp_path / "nowhere")
    enroller = FileEnroller(tmp_path / "nowhere" / "y", key_file(tmp_path))
    with pytest.raises(EnrolmentError, match="No such file") as error:
        asyncio.run(enroller.enrol(enrolment()))
    assert_secret(repr(error.value), KEY)
