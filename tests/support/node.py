"""A node made of aiocoap's own CoAP and OSCORE, with parts by hand where a test needs them."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Any

import cbor2
from aiocoap import Message
from aiocoap.numbers import codes
from aiocoap.numbers.types import CON

from feltpost_tools.sim.oscore_keys import NodeKeys as NodeKeys

BASE_TIME_S = 1_790_000_000


def pack(count: int, first_value: int = 0, time_s: int = BASE_TIME_S) -> bytes:
    """A pack of `count` CO2 readings a minute apart."""
    records: list[dict[int, Any]] = [
        {0: "c", 2: (first_value + i) % 5000, 6: 60 * i} for i in range(count)
    ]
    records[0][-3] = time_s
    return cbor2.dumps(records)


class Node:
    """Sends datagrams to a gateway's UDP port and decrypts what comes back."""

    def __init__(self, port: int, keys: NodeKeys, host: str = "127.0.0.1") -> None:
        self.keys = keys
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((host, port))
        # Anywhere (RFC 7252 section 4.4), since it may get the port of a node before it.
        self.message_id = secrets.randbelow(1 << 16)

    def close(self) -> None:
        self._socket.close()

    async def exchange(self, datagram: bytes, timeout_s: float = 10) -> Message:
        """Send bytes as they are and return the next datagram, decoded."""
        await asyncio.get_running_loop().sock_sendall(self._socket, datagram)
        return Message.decode(await self.receive(timeout_s))

    async def receive(self, timeout_s: float = 10) -> bytes:
        """The next datagram, as it came."""
        async with asyncio.timeout(timeout_s):
            return await asyncio.get_running_loop().sock_recv(self._socket, 65_535)

    def send(self, datagram: bytes) -> None:
        self._socket.send(datagram)

    def outer(self, message: Message) -> bytes:
        """The bytes of a CoAP message that is protected already, or not at all."""
        self.message_id = (self.message_id + 1) & 0xFFFF
        message.mtype = CON
        message.mid = self.message_id
        message.token = self.message_id.to_bytes(2, "big")
        encoded: bytes = message.encode()
        return encoded

    def protect(
        self,
        code: codes.Code,
        path: str,
        payload: bytes = b"",
        content_format: int | None = None,
        echo: bytes | None = None,
    ) -> tuple[bytes, Any]:
        """A protected request's datagram, and what its answer is decrypted with."""
        message = Message(code=code, payload=payload, echo=echo)
        message.opt.uri_path = tuple(path.strip("/").split("/"))
        message.opt.content_format = content_format
        protected, request_id = self.keys.protect(message)
        return self.outer(protected), request_id

    def unprotect(self, answer: Message, request_id: Any) -> Message:
        plain, _ = self.keys.unprotect(answer, request_id)
        return plain

    async def request(
        self, code: codes.Code, path: str, payload: bytes = b"", content_format: int | None = None
    ) -> Message:
        """One request, with the Echo round where the gateway asks for it; the decrypted answer."""
        echo = None
        for _ in range(2):
            datagram, request_id = self.protect(code, path, payload, content_format, echo)
            answer = await self.exchange(datagram)
            if answer.opt.oscore is None:
                return answer
            plain = self.unprotect(answer, request_id)
            if plain.code != codes.UNAUTHORIZED or plain.opt.echo is None:
                return plain
            echo = plain.opt.echo
        raise AssertionError("the gateway asked for an Echo twice")

    async def put(self, journal: int, seq: int, payload: bytes) -> Message:
        return await self.request(codes.PUT, f"/j/{journal}/{seq}", payload, 112)

    async def put_gap(self, journal: int, seq: int, count: int, reason: int) -> Message:
        return await self.request(
            codes.PUT, f"/j/{journal}/{seq}", cbor2.dumps({0: count, 1: reason}), 60
        )
