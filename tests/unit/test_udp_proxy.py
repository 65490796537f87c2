"""The relay that disturbs datagrams, between real sockets."""

import asyncio
import socket

from feltpost_tools.faults.disturbance import Disturbance, Done
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
