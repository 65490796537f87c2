"""The relays that disturb, between real sockets and real terminals."""

import asyncio
import os
import socket
import tty
from contextlib import contextmanager

import pytest
import serial

from feltpost_tools.errors import FeltpostError
from feltpost_tools.faults.disturbance import Disturbance, Done
from feltpost_tools.faults.serial_proxy import SerialProxy
from feltpost_tools.faults.udp_proxy import UdpProxy

HERE = ("127.0.0.1", 0)
PATIENCE_S = 20


class Gateway(asyncio.DatagramProtocol):
    """Answers each datagram with the name of who sent it, and its content."""

    def __init__(self):
        self.came = []

    def connection_made(self, transport):
        self.transport = transport
        self.address = transport.get_extra_info("sockname")

    def datagram_received(self, data, address):
        self.came.append((address, data))
        self.transport.sendto(b"to " + data, address)


def udp(test, disturbance=None):
    """Run test(gateway, proxy, node, other): two sockets that are connected to the proxy."""

    async def run():
        loop = asyncio.get_running_loop()
        transport, gateway = await loop.create_datagram_endpoint(Gateway, local_addr=HERE)
        nodes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        async with UdpProxy(gateway.address, ("localhost", 0), disturbance) as proxy:
            for node in nodes:
                node.setblocking(False)
                node.connect(proxy.address)
            async with asyncio.timeout(PATIENCE_S):
                await test(gateway, proxy, *nodes)
        for node in nodes:
            node.close()
        transport.close()

    asyncio.run(run())


def received(node):
    return asyncio.get_running_loop().sock_recv(node, 2048)


def test_each_node_is_a_peer_of_its_own_and_gets_its_own_answers():
    async def test(gateway, proxy, node, other):
        node.send(b"one")
        assert await received(node) == b"to one"
        other.send(b"two")
        assert await received(other) == b"to two"
        node.send(b"three")
        assert await received(node) == b"to three"
        (first, _), (second, _), (third, _) = gateway.came
        assert first == third != second

    udp(test)


def test_a_disturbance_works_in_both_directions_and_can_end():
    disturbance = Disturbance(5, duplicate=1.0, delay_ms=20)

    async def test(gateway, proxy, node, other):
        node.send(b"one")
        # Each direction makes two of one.
        assert [await received(node) for _ in range(4)] == [b"to one"] * 4
        proxy.disturbance = None
        node.send(b"two")
        assert await received(node) == b"to two"

    udp(test, disturbance)
    assert disturbance.from_node.done[Done.DUPLICATED] == 1
    assert disturbance.to_node.done[Done.DUPLICATED] == 2
    assert disturbance.done[Done.DELAYED] == 3


def test_what_is_lost_does_not_arrive():
    async def test(gateway, proxy, node, other):
        node.send(b"lost")
        while not proxy.disturbance.done:  # noqa: ASYNC110 - it is read within a turn of the loop
            await asyncio.sleep(0)
        proxy.disturbance = None
        node.send(b"kept")
        assert await received(node) == b"to kept"
        assert [data for _, data in gateway.came] == [b"kept"]

    udp(test, Disturbance(5, loss=1.0))


def test_a_gateway_that_is_away_is_no_end_to_the_relay():
    async def test(gateway, proxy, node, other):
        address = gateway.address
        node.send(b"one")
        assert await received(node) == b"to one"
        gateway.transport.abort()
        await asyncio.sleep(0)
        node.send(b"two")
        loop = asyncio.get_running_loop()
        _, back = await loop.create_datagram_endpoint(Gateway, local_addr=address)
        # What came back for the second may have met the next one, which is lost with it then.
        while not back.came:
            node.send(b"three")
            await asyncio.sleep(0.01)
        back.transport.close()

    udp(test)


@contextmanager
def board(folder):
    """A terminal in a real port's place: what the board reads and writes, and the port's path."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    path = folder / "port"
    path.symlink_to(os.ttyname(theirs))
    try:
        yield ours, path
    finally:
        os.close(theirs)
        os.close(ours)


async def read(descriptor, count):
    """Return count bytes of what comes from a non-blocking descriptor."""
    data = b""
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, arrived.set)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(data) < count:
                arrived.clear()
                await arrived.wait()
                data += os.read(descriptor, 4096)
    finally:
        loop.remove_reader(descriptor)
    return data


def test_a_serial_relay_carries_both_ways_and_disturbs(tmp_path):
    async def run():
        with board(tmp_path) as (end, port):
            async with SerialProxy(port, tmp_path / "relay", 115_200) as proxy:
                with serial.Serial(str(tmp_path / "relay"), timeout=0) as gateway:
                    os.write(end, b"from the board")
                    assert await read(gateway.fileno(), 14) == b"from the board"
                    gateway.write(b"to the board")
                    assert await read(end, 12) == b"to the board"
                    proxy.line.disturbance = Disturbance(1, duplicate=1.0, serial=True)
                    gateway.write(b"twice ")
                    assert await read(end, 12) == b"twice twice "

    asyncio.run(run())


def test_a_port_that_hangs_up_takes_the_relay_with_it(tmp_path):
    async def run():
        with board(tmp_path) as (_, port):
            proxy = SerialProxy(port, tmp_path / "relay", 115_200)
            await proxy.__aenter__()
            assert (tmp_path / "relay").exists()
        async with asyncio.timeout(PATIENCE_S):
            while proxy.line.plugged:  # noqa: ASYNC110 - it hangs up within a turn of the loop
                await asyncio.sleep(0)
        assert not (tmp_path / "relay").is_symlink()
        await proxy.__aexit__()

    asyncio.run(run())


def test_a_port_that_is_not_there_is_told(tmp_path):
    async def run():
        async with SerialProxy(tmp_path / "none", tmp_path / "relay", 115_200):
            raise AssertionError

    with pytest.raises(FeltpostError, match="none: the port can't be opened"):
        asyncio.run(run())
