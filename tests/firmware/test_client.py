"""The node's client on MicroPython against aiocoap's server and OSCORE, over lines that lose,
repeat, delay and forge datagrams.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiocoap
import aiocoap.resource
import pytest
from aiocoap import credentials, oscore
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper
from tests.support.oscore_files import security_context

from feltpost_tools.sim.interpreter import Interpreter

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("client_node.py")

KEY = bytes(range(16))
KEY_ID = b"\xa1\xb2"
GET, PUT = 1, 3
CHANGED, CONTENT, BAD_REQUEST, UNAUTHORIZED, UNAVAILABLE = 0x44, 0x45, 0x80, 0x81, 0xA3
# The client's, in client_node.py.
TRANSMISSIONS = 4
DEADLINE_S = 30

# What the line does with a datagram: how many copies arrive, each after so many seconds.
Fate = Callable[[int], tuple[float, ...]]


def delivered(_: int) -> tuple[float, ...]:
    return (0.0,)


def first_lost(index: int) -> tuple[float, ...]:
    return () if index == 0 else (0.0,)


class Line(asyncio.DatagramProtocol):
    """A UDP proxy: the node sends to it, it sends on to the server, and back."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.up: list[bytes] = []
        self.down: list[bytes] = []
        self.fate_up: Fate = delivered
        self.fate_down: Fate = delivered
        # Called with each of the node's datagrams; what it returns reaches the node first.
        self.forge: Callable[[bytes], list[bytes]] = lambda _: []
        self._server = server
        self._node: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        if source == self._server:
            self._pass(data, self.fate_down(len(self.down)), self._node)
            self.down.append(data)
            return
        self._node = source
        for forged in self.forge(data):
            self._transport.sendto(forged, source)
        self._pass(data, self.fate_up(len(self.up)), self._server)
        self.up.append(data)

    def _pass(self, data: bytes, fate: tuple[float, ...], target: Any) -> None:
        for delay_s in fate:
            asyncio.get_running_loop().call_later(delay_s, self._transport.sendto, data, target)


class Journal(aiocoap.resource.Resource, aiocoap.resource.PathCapable):
    """Keeps the requests that reach it; answers each with its number."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[aiocoap.Message] = []
        self.delay_s = 0.0
        self.answer = aiocoap.Message(code=aiocoap.CHANGED, content_format=60)

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        self.requests.append(request)
        await asyncio.sleep(self.delay_s)
        number = len(self.requests)
        return self.answer.copy(payload=self.answer.payload + bytes((number,)))


class Node:
    """The client, as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def request(
        self, payload: bytes = b"\x80", path: tuple[str, ...] = ("j", "17", "1234")
    ) -> dict[str, Any]:
        request = {"code": PUT, "path": path, "format": 112, "payload": payload.hex()}
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        async with asyncio.timeout(DEADLINE_S):
            line = await self._process.stdout.readline()
        assert line, "the node's client ended"
        response: dict[str, Any] = json.loads(line)
        return response


class World:
    """Server, line and node of one test."""

    def __init__(self, line: Line, journal: Journal, node: Node) -> None:
        self.line = line
        self.journal = journal
        self.node = node


@asynccontextmanager
async def world(
    interpreter: Interpreter, directory: Path, *, key: bytes = KEY, window: bool = True
) -> AsyncIterator[World]:
    journal = Journal()
    site = aiocoap.resource.Site()
    site.add_resource(["j"], journal)
    ending = ExitStack()
    context = ending.enter_context(
        security_context(directory, key, sender_id=b"", recipient_id=KEY_ID)
    )
    if not window:
        # As after a crash: the numbers that this key has seen are not known.
        context.recipient_replay_window = oscore.ReplayWindow(32, lambda: None)
    known = credentials.CredentialsMap()
    known[":node"] = context
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = probe.getsockname()
    server = await aiocoap.Context.create_server_context(
        OscoreSiteWrapper(site, known), bind=address, transports=["simplesocketserver"]
    )
    transport, line = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Line(address), local_addr=("127.0.0.1", 0)
    )
    process = await asyncio.create_subprocess_exec(
        *interpreter.command,
        str(SCRIPT),
        str(line.port),
        KEY_ID.hex(),
        KEY.hex(),
        "300",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"MICROPYPATH": f"{FIRMWARE}:.frozen"},
    )
    try:
        yield World(line, journal, Node(process))
    finally:
        assert process.stdin
        process.stdin.close()
        try:
            async with asyncio.timeout(DEADLINE_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        transport.close()
        await server.shutdown()
        ending.close()


Journey = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def travel(micropython: Interpreter, tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs a journey in a world of its own."""

    def run(journey: Journey, **options: Any) -> None:
        async def whole() -> None:
            async with world(micropython, tmp_path, **options) as made:
                await journey(made)

        asyncio.run(whole())

    return run


def test_a_request_arrives_as_it_was_sent_and_so_does_the_answer(travel) -> None:
    async def journey(world: World) -> None:
        response = await world.node.request(bytes(range(100)))
        assert response == {
            "code": CHANGED,
            "payload": "01",
            "format": 60,
            "max_age_s": 60,
            "protected": True,
        }
        (request,) = world.journal.requests
        assert request.opt.uri_path == ("17", "1234")
        assert request.opt.content_format == 112
        assert request.payload == bytes(range(100))

    travel(journey)


def test_many_requests_in_a_row(travel) -> None:
    async def journey(world: World) -> None:
        for number in range(1, 21):
            response = await world.node.request(bytes(30 * (number % 18)))
            assert response["payload"] == bytes((number,)).hex()
        assert [len(request.payload) for request in world.journal.requests] == [
            30 * (number % 18) for number in range(1, 21)
        ]

    travel(journey)


def test_a_lost_request_is_sent_again_byte_by_byte(travel) -> None:
    async def journey(world: World) -> None:
        world.line.fate_up = first_lost
        assert (await world.node.request())["code"] == CHANGED
        assert len(world.line.up) >= 2
        assert len(set(world.line.up)) == 1

    travel(journey)


def test_a_lost_answer_is_asked_for_again(travel) -> None:
    async def journey(world: World) -> None:
        world.line.fate_down = first_lost
        assert (await world.node.request())["code"] == CHANGED
        assert len(set(world.line.up)) == 1
        assert len(world.journal.requests) == 1

    travel(journey)


def test_duplicates_and_late_answers_are_not_taken_for_the_next_answer(travel) -> None:
    async def journey(world: World) -> None:
        world.line.fate_up = lambda _: (0.0, 0.01)
        world.line.fate_down = lambda index: (0.0, 0.0, 0.02, 0.1 * (index % 3))
        for number in range(1, 9):
            response = await world.node.request()
            assert response["payload"] == bytes((number,)).hex()
        assert len(world.journal.requests) == 8

    travel(journey)


def test_a_slow_answer_comes_separately(travel) -> None:
    async def journey(world: World) -> None:
        world.journal.delay_s = 0.6
        assert (await world.node.request())["payload"] == "01"
        # The empty acknowledgement stopped the retransmissions, and the answer was acknowledged.
        requests = [data for data in world.line.up if data[1] == aiocoap.POST]
        assert len(requests) == 1
        world.journal.delay_s = 0.0
        assert (await world.node.request())["payload"] == "02"
        acknowledgement = next(data for data in world.line.up if data[0] == 0x60)
        separate = next(data for data in world.line.down if data[0] >> 4 == 4)
        assert acknowledgement == b"\x60\x00" + separate[2:4]

    travel(journey)


def test_every_copy_of_a_separate_answer_and_its_announcement(travel) -> None:
    async def journey(world: World) -> None:
        world.journal.delay_s = 0.3
        world.line.fate_down = lambda _: (0.0, 0.01, 0.4)
        for number in range(1, 4):
            assert (await world.node.request())["payload"] == bytes((number,)).hex()

    travel(journey)


def test_a_request_without_answer_ends(travel) -> None:
    async def journey(world: World) -> None:
        world.line.fate_up = lambda _: ()
        assert (await world.node.request())["failed"] == "NoAnswer"
        assert len(world.line.up) == TRANSMISSIONS
        assert len(set(world.line.up)) == 1
        # The next request takes another sequence number and another message id.
        world.line.fate_up = delivered
        assert (await world.node.request())["code"] == CHANGED
        assert world.line.up[-1] not in world.line.up[:TRANSMISSIONS]

    travel(journey)


def test_echo_brings_a_lost_replay_window_back(travel) -> None:
    async def journey(world: World) -> None:
        assert (await world.node.request(b"first"))["code"] == CHANGED
        assert [request.payload for request in world.journal.requests] == [b"first"]
        assert len(world.line.up) == 2
        assert (await world.node.request(b"second"))["code"] == CHANGED
        assert len(world.line.up) == 3

    travel(journey, window=False)


def test_wrong_key_is_an_unprotected_error(travel) -> None:
    async def journey(world: World) -> None:
        response = await world.node.request()
        assert (response["code"], response["protected"]) == (BAD_REQUEST, False)
        assert world.journal.requests == []

    travel(journey, key=bytes(16))


def test_the_gateway_asks_to_wait(travel) -> None:
    async def journey(world: World) -> None:
        world.journal.answer = aiocoap.Message(
            code=aiocoap.SERVICE_UNAVAILABLE, max_age=600, payload=b"disk full "
        )
        response = await world.node.request()
        assert (response["code"], response["max_age_s"]) == (UNAVAILABLE, 600)
        assert response["payload"] == b"disk full \x01".hex()
        assert response["protected"]

    travel(journey)


def test_forged_success_is_ignored(travel) -> None:
    async def journey(world: World) -> None:
        world.line.forge = (
            lambda data: [
                b"\x60\x44" + data[2:4],  # a bare 2.04
                b"\x60\x44" + data[2:4] + b"\xff\x01",  # with a payload
                b"\x60\x44" + data[2:4] + b"\x90\xff" + bytes(12),  # "protected" by nobody
                b"\x40\x44" + data[2:4] + b"\x90\xff" + bytes(12),  # the same, confirmable
                b"\x60\x44" + data[2:4] + b"\x90",  # protected, but empty
                b"\x61\x44" + data[2:4] + b"\x01",  # somebody else's token
            ]
        )
        response = await world.node.request()
        assert (response["payload"], response["protected"]) == ("01", True)

    travel(journey)


def test_noise_is_ignored(travel) -> None:
    async def journey(world: World) -> None:
        world.line.forge = lambda data: [
            b"",
            b"\x00",
            b"\xff" * 40,
            data,  # its own request, reflected
            b"\x60\x00\x00\x00",  # acknowledges nothing of this node's
            b"\x70\x00" + bytes((data[2], data[3] ^ 1)),  # resets somebody else's message
            b"\x60\x81" + bytes((data[2], data[3] ^ 1)),  # an error to another message
            bytes(2000),
        ]
        assert (await world.node.request())["payload"] == "01"

    travel(journey)


def test_a_reset_ends_the_request(travel) -> None:
    async def journey(world: World) -> None:
        world.line.forge = lambda data: [b"\x70\x00" + data[2:4]]
        assert (await world.node.request())["failed"] == "NoAnswer"

    travel(journey)


def test_unprotected_error_is_marked(travel) -> None:
    async def journey(world: World) -> None:
        # 5.03 with a Max-Age of 2**32 - 1 seconds, which nobody vouches for.
        world.line.forge = lambda data: [
            b"\x60\xa3" + data[2:4] + b"\xd4\x01\xff\xff\xff\xff\xffwait"
        ]
        response = await world.node.request()
        assert (response["code"], response["protected"]) == (UNAVAILABLE, False)
        assert response["max_age_s"] == 60
        assert bytes.fromhex(response["payload"]) == b"wait"

    travel(journey)


def test_nobody_listens(travel) -> None:
    async def journey(world: World) -> None:
        # ICMP's refusal, when the gateway's service restarts, is a lost datagram and no more.
        world.line._transport.abort()
        assert (await world.node.request())["failed"] == "NoAnswer"

    travel(journey)
