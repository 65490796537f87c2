"""Nodes whose OSCORE requests are protected before they are sent, and answers checked afterwards.

aiocoap, through the tests' node, does the first contact and derives the keys. It would take as long
for each request as the gateway for its answer, so the many that follow are made here, from RFC 8613
section 5 and RFC 7252 section 3.
"""

import asyncio
import contextlib
import random
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

import cbor2
from aiocoap.numbers import codes
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from tests.support.node import Node, NodeKeys

from bench.gateway_load import Prepared, Sender
from feltpost_tools.errors import FeltpostError
from feltpost_tools.sim.gateway_process import Enrolled

_CONTACTS_AT_ONCE = 50

_JOURNAL = 1
_CON, _ACK = 0, 2
_PUT, _POST, _CHANGED = 0x03, 0x02, 0x44
_CONTENT_FORMAT_SENML_CBOR = bytes((0x11, 112))
_PAYLOAD_MARKER = b"\xff"
_AES_CCM_16_64_128 = 10
_TAG_BYTES = 8
_NONCE_ID_BYTES = 7
_PARTIAL_IV_BYTES = 5

# An empty OSCORE option and the payload: an answer with the request's nonce.
_ANSWER_OPTIONS = b"\x90\xff"
_TOKEN_BYTES = 2
_HEAD_BYTES = 4 + _TOKEN_BYTES


@dataclass(frozen=True)
class _Nonce:
    nonce: bytes
    aad: bytes


class NodeSender(Sender):
    """One node, which sends packs of one journal to the gateway's port."""

    def __init__(self, enrolled: Enrolled, port: int):
        self._keys = NodeKeys(enrolled.key_id, enrolled.key)
        self._node = Node(port, self._keys)
        connected = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connected.connect(("127.0.0.1", port))
        super().__init__(enrolled.name, connected)
        self._protect = AESCCM(self._keys.sender_key, _TAG_BYTES)
        self._unprotect = AESCCM(self._keys.recipient_key, _TAG_BYTES)
        self._message_id = secrets.randbits(16)
        self._next_number = 0
        self._nonces: dict[int, _Nonce] = {}
        self._answers: list[tuple[int, bytes]] = []

    async def introduce(self) -> None:
        """Make the first contact, with its Echo (RFC 8613 appendix B.1.2)."""
        answer = await self._node.request(codes.GET, "/t")
        if answer.code != codes.CONTENT:
            raise FeltpostError(f"the gateway answered {answer.code} to {self.name}'s GET /t")
        self._node.close()

    def prepare(self, packs: int, readings: int) -> None:
        """Put so many requests, of so many readings each, behind those that wait."""
        for _ in range(packs):
            first, self._next_number = self._next_number, self._next_number + readings
            path = str(first).encode()
            # Uri-Path is option 11, Content-Format 12; each is given as the step from the one
            # before.
            inner = b"".join(
                (
                    bytes((_PUT, 0xB1)),
                    b"j\x01%d" % _JOURNAL,
                    bytes((len(path),)) + path,
                    _CONTENT_FORMAT_SENML_CBOR + _PAYLOAD_MARKER,
                    pack(first, readings),
                )
            )
            self.waiting.append(Prepared(first, readings, self._datagram(first, inner)))

    def _datagram(self, number: int, inner: bytes) -> bytes:
        keys = self._keys
        sequence_number = keys.sender_sequence_number
        keys.sender_sequence_number += 1
        key_id = keys.sender_id
        partial_iv = sequence_number.to_bytes(max(1, (sequence_number.bit_length() + 7) // 8))
        plain = (
            bytes((len(key_id),))
            + key_id.rjust(_NONCE_ID_BYTES, b"\0")
            + partial_iv.rjust(_PARTIAL_IV_BYTES, b"\0")
        )
        mask = int.from_bytes(keys.common_iv) ^ int.from_bytes(plain)
        external = cbor2.dumps([1, [_AES_CCM_16_64_128], key_id, partial_iv, b""])
        nonce = _Nonce(mask.to_bytes(len(plain)), cbor2.dumps(["Encrypt0", b"", external]))
        self._nonces[number] = nonce
        option = bytes((0x08 | len(partial_iv),)) + partial_iv + key_id
        self._message_id = (self._message_id + 1) & 0xFFFF
        head = bytes((0x40 | _CON << 4 | _TOKEN_BYTES, _POST))
        message_id = self._message_id.to_bytes(2)
        # The token is the message id. The OSCORE option is number 9, and shorter than 13 bytes.
        return b"".join(
            (
                head + message_id + message_id,
                bytes((0x90 | len(option),)) + option + _PAYLOAD_MARKER,
                self._protect.encrypt(nonce.nonce, inner, nonce.aad),
            )
        )

    def take(self, prepared: Prepared, answer: bytes) -> bool:
        """Keep the answer for `check`; acknowledge it where it comes by itself."""
        if len(answer) < _HEAD_BYTES or answer[4:_HEAD_BYTES] != prepared.data[4:_HEAD_BYTES]:
            return False
        if answer[0] >> 4 & 3 == _CON:
            self.socket.send(bytes((0x40 | _ACK << 4, 0)) + answer[2:4])
        self._answers.append((prepared.number, answer))
        return True

    def send_again(self) -> None:
        """Send the datagram under way once more."""
        if self.under_way:
            self.socket.send(self.under_way.data)

    def check(self) -> None:
        """Raise where an answer since the last check is not authentic, or not a 2.04."""
        for number, answer in self._answers:
            nonce = self._nonces.pop(number)
            body = answer[_HEAD_BYTES:].removeprefix(_ANSWER_OPTIONS)
            try:
                inner = self._unprotect.decrypt(nonce.nonce, body, nonce.aad)
            except (InvalidTag, ValueError):
                raise FeltpostError(
                    f"the gateway did not take {self.name}'s reading {number}: its answer is"
                    f" {answer.hex()}"
                ) from None
            if inner[0] != _CHANGED:
                raise FeltpostError(
                    f"the gateway answered {inner[0] >> 5}.{inner[0] & 31:02} to {self.name}'s"
                    f" reading {number}: {inner[1:]!r}"
                )
        self._answers.clear()


def pack(first: int, readings: int) -> bytes:
    """Return a pack of an indoor climate kit's readings with a barometer, taken just now."""
    values = (
        ("c", 600 + first % 900),
        ("t", cbor2.CBORTag(4, [-2, 1900 + first % 400])),
        ("h", 30 + first % 64 / 2),
        ("l", first % 500),
        ("p", cbor2.CBORTag(4, [-1, 9_800 + first % 500])),
    )
    records: list[dict[int, object]] = []
    for index in range(readings):
        name, value = values[index % len(values)]
        records.append({0: name, 2: value})
    records[0][-3] = int(time.time())
    return cbor2.dumps(records, canonical=True)


def free_udp_port() -> int:
    """Return a UDP port of the loopback interface that nobody listens on.

    It is below those that the system hands out (from 32768), so that none of a thousand nodes'
    sockets takes it before the gateway does.
    """
    while True:
        port = random.randrange(20_000, 30_000)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
            contextlib.suppress(OSError),
        ):
            probe.bind(("127.0.0.1", port))
            return port


def enrol(count: int) -> list[Enrolled]:
    """Return so many nodes with keys of their own."""
    return [
        Enrolled(
            name=f"node-{number}",
            mac=bytes.fromhex("020000") + number.to_bytes(3),
            key_id=number.to_bytes(2),
            key=secrets.token_bytes(16),
        )
        for number in range(1, count + 1)
    ]


async def introduce(nodes: Sequence[NodeSender]) -> None:
    """Make the first contact of all nodes."""
    limit = asyncio.Semaphore(_CONTACTS_AT_ONCE)

    async def contact(node: NodeSender) -> None:
        async with limit:
            await node.introduce()

    await asyncio.gather(*map(contact, nodes))
