"""Enrolments as tests make them, and a look for keys where there must be none."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest
from tests.support.node import Node, NodeKeys, pack

from feltpost_gateway.enrolment import Enrolment
from feltpost_gateway.service import Gateway

KEY = bytes.fromhex("f3a1947b0c5de8826f17b2c4a95e3d60")
OTHER_KEY = bytes.fromhex("0badc0ffee15a11de7ec7ab1e5ca1ab1")
KEY_ID = bytes.fromhex("5a6b7c8d")
OTHER_KEY_ID = bytes.fromhex("91a2b3c4")


def enrolment(number: int = 3, **changes: Any) -> Enrolment:
    """The node 02:00:00:00:00:`number` with `KEY`; `changes` are of columns or of fields."""
    fields = {"key": KEY, "key_id": KEY_ID, "replaces": False, "update": False}
    columns = {
        "mac": f"02:00:00:00:00:{number:02x}",
        "name": f"lokale-{number}",
        "owner": "aarhus",
        "site": "skole-x",
        "room": "3.B",
    }
    for name, value in changes.items():
        (fields if name in fields else columns)[name] = value
    return Enrolment(columns, **fields)


async def works(gateway: Gateway, key_id: bytes, key: bytes) -> bool:
    """Whether the gateway takes readings under a key; each sends at its own sequence numbers."""
    assert gateway.udp_port
    node = Node(gateway.udp_port, NodeKeys(key_id, key, works.sequence_number))
    works.sequence_number += 40
    try:
        return bool((await node.put(1, 0, pack(1))).code.is_successful())
    finally:
        node.close()


works.sequence_number = 0


def assert_secret(text: str, *secrets: bytes) -> None:
    """No secret is in a text, however it is written."""
    for secret in secrets:
        forms = (
            secret.hex(),
            secret.hex().upper(),
            secret.hex(":"),
            base64.b64encode(secret).decode().rstrip("="),
            base64.urlsafe_b64encode(secret).decode().rstrip("="),
            repr(secret)[2:-1],
            secret.decode("latin-1"),
        )
        assert not [form for form in forms if form in text]


def everything_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Have all loggers, aiocoap's too, write all that they can."""
    caplog.set_level(logging.DEBUG)
