"""The proxy between gateway and broker, with a real broker and a real client."""

import asyncio
from contextlib import asynccontextmanager

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from tests.gateway.fake_broker import FakeBroker

from feltpost_tools.faults.mqtt_proxy import MqttProxy
from feltpost_tools.sim.broker import Broker

TOPIC = "feltpost/o/s/n/readings"
PAIRS = [("node", "n"), ("seq", "3-5")]


class Client:
    """paho through the proxy; `told` has the message ids of the PUBACKs that came."""

    def __init__(self, port, version=mqtt.MQTTv5):
        loop = asyncio.get_running_loop()
        self.connected, self.subscribed, self.gone = (asyncio.Event() for _ in range(3))
        self.told = asyncio.Queue()
        self.got = asyncio.Queue()
        self.address = ("127.0.0.1", port)
        self.paho = mqtt.Client(
            CallbackAPIVersion.VERSION2, protocol=version, reconnect_on_failure=False
        )
        self.paho.on_connect = lambda *_: loop.call_soon_threadsafe(self.connected.set)
        self.paho.on_subscribe = lambda *_: loop.call_soon_threadsafe(self.subscribed.set)
        self.paho.on_disconnect = lambda *_: loop.call_soon_threadsafe(self.gone.set)
        self.paho.on_publish = lambda _, __, mid, *___: loop.call_soon_threadsafe(
            self.told.put_nowait, mid
        )
        self.paho.on_message = lambda _, __, message: loop.call_soon_threadsafe(
            self.got.put_nowait, message.payload
        )

    async def connect(self):
        await asyncio.to_thread(self.paho.connect, *self.address)
        self.paho.loop_start()
        await self.connected.wait()

    async def subscribe(self):
        """Subscribe; return once the broker knows: what is published then comes."""
        self.paho.subscribe(TOPIC, qos=1)
        await self.subscribed.wait()

    def publish(self, payload, qos=1):
        properties = None
        if self.paho.protocol == mqtt.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)
            properties.UserProperty = PAIRS
            properties.ContentType = "application/senml+json"
        return self.paho.publish(TOPIC, payload, qos=qos, properties=properties).mid

    async def close(self):
        self.paho.disconnect()
        await asyncio.to_thread(self.paho.loop_stop)


class Scene:
    """A broker, the proxy before it, and what it tells of."""

    def __init__(self, broker, proxy):
        self.broker = broker
        self.proxy = proxy
        self.handed_over = []
        self.forbidden = set()
        self.clients = []

    async def client(self, version=mqtt.MQTTv5):
        client = Client(self.proxy.port, version)
        self.clients.append(client)
        await client.connect()
        return client


@asynccontextmanager
async def scene(folder):
    broker = Broker(folder)
    await broker.start()
    proxy = MqttProxy(
        (broker.host, broker.port),
        lambda message: found.handed_over.append(message),
        lambda message: message.payload not in found.forbidden,
    )
    found = Scene(broker, proxy)
    await proxy.start()
    try:
        yield found
    finally:
        for client in found.clients:
            await client.close()
        await proxy.stop()
        await broker.stop()


def play(folder, script):
    async def run():
        async with asyncio.timeout(60), scene(folder) as found:
            await script(found)

    asyncio.run(run())


@pytest.mark.parametrize(("version", "pairs"), [(mqtt.MQTTv5, PAIRS), (mqtt.MQTTv311, [])])
def test_it_tells_which_message_each_puback_is_of(tmp_path, version, pairs):
    async def script(scene):
        client = await scene.client(version)
        client.publish(b"not counted", qos=0)
        mids = [client.publish(payload) for payload in (b"a", b"b" * 70_000)]
        assert [await client.told.get() for _ in range(3)][1:] == mids
        assert [(m.topic, list(m.properties), m.payload) for m in scene.handed_over] == [
            (TOPIC, pairs, b"a"),
            (TOPIC, pairs, b"b" * 70_000),
        ]

    play(tmp_path, script)


def test_pubacks_that_are_held_come_later_and_in_order(tmp_path):
    async def script(scene):
        client = await scene.client()
        scene.proxy.hold_pubacks()
        mids = [client.publish(payload) for payload in (b"a", b"b", b"c")]
        await scene.proxy.puback_held.wait()
        # What is no PUBACK comes through: the broker answers a subscription.
        await client.subscribe()
        assert client.told.empty()
        assert scene.handed_over == []
        scene.proxy.release_pubacks()
        assert [await client.told.get() for _ in range(3)] == mids
        assert [message.payload for message in scene.handed_over] == [b"a", b"b", b"c"]

    play(tmp_path, script)


def test_pubacks_that_are_dropped_never_come(tmp_path):
    async def script(scene):
        client = await scene.client()
        scene.proxy.hold_pubacks()
        client.publish(b"a")
        await scene.proxy.puback_held.wait()
        scene.proxy.drop_pubacks()
        assert scene.proxy.held == 0
        scene.proxy.release_pubacks()
        last = client.publish(b"b")
        assert await client.told.get() == last
        assert [message.payload for message in scene.handed_over] == [b"b"]

    play(tmp_path, script)


def test_a_puback_waits_until_it_may_pass_and_those_after_it_too(tmp_path):
    async def script(scene):
        client = await scene.client()
        scene.forbidden.add(b"b")
        mids = [client.publish(payload) for payload in (b"a", b"b", b"c")]
        assert await client.told.get() == mids[0]
        await scene.proxy.puback_held.wait()
        assert len(scene.handed_over) == 1
        scene.forbidden.clear()
        scene.proxy.look_again()
        assert [await client.told.get() for _ in range(2)] == mids[1:]

    play(tmp_path, script)


def test_a_stalled_connection_stands_and_carries_nothing_even_later(tmp_path):
    async def script(scene):
        watcher = await scene.client()
        await watcher.subscribe()
        stalled = await scene.client()
        stalled.publish(b"before")
        assert await watcher.got.get() == b"before"
        await stalled.told.get()

        scene.proxy.stall()
        stalled.publish(b"lost")
        await scene.proxy.swallowed.wait()
        # A connection that is begun now gets no answer, and stands.
        scene.proxy.stall()
        silent = Client(scene.proxy.port)
        scene.clients.append(silent)
        await asyncio.to_thread(silent.paho.connect, *silent.address)
        silent.paho.loop_start()
        await scene.proxy.swallowed.wait()
        await scene.broker.stop()
        await scene.broker.start()
        assert not stalled.gone.is_set()
        assert not silent.connected.is_set()

        scene.proxy.resume()
        stalled.publish(b"lost as well")
        fresh = await scene.client()
        await fresh.subscribe()
        fresh.publish(b"after")
        assert await fresh.got.get() == b"after"
        await fresh.told.get()
        assert stalled.told.empty()
        scene.proxy.cut()
        await stalled.gone.wait()
        assert [message.payload for message in scene.handed_over] == [b"before", b"after"]

    play(tmp_path, script)


def test_cut_and_refused_connections(tmp_path):
    async def script(scene):
        client = await scene.client()
        scene.proxy.refuse()
        scene.proxy.cut()
        await client.gone.wait()
        await is_reset(scene.proxy.port)
        scene.proxy.accept()
        await scene.client()
        assert scene.proxy.connections == 1

    play(tmp_path, script)


def test_no_connection_is_made_while_none_may_be():
    async def script():
        broker = FakeBroker()
        await broker.start()
        may_connect = False
        proxy = MqttProxy(("127.0.0.1", broker.port), may_connect=lambda: may_connect)
        await proxy.start()
        await is_reset(proxy.port)
        assert not broker.open_connections
        may_connect = True
        client = Client(proxy.port)
        await client.connect()
        assert proxy.connections == 1
        await client.close()
        await proxy.stop()
        await broker.stop()

    asyncio.run(asyncio.wait_for(script(), 60))


def test_without_a_broker_connections_are_ended(tmp_path):
    async def script(scene):
        client = await scene.client()
        await scene.broker.kill()
        await client.gone.wait()
        await is_reset(scene.proxy.port)

    play(tmp_path, script)


async def is_reset(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        assert await reader.read() == b""
    except ConnectionResetError:
        pass
    finally:
        writer.close()


def test_a_slow_broker_loses_nothing(tmp_path):
    async def script(scene):
        client = await scene.client()
        scene.proxy.slow(0.01)
        mids = [client.publish(str(number).encode()) for number in range(10)]
        assert [await client.told.get() for _ in mids] == mids

    play(tmp_path, script)


def test_what_the_broker_refuses_is_not_handed_over():
    async def script():
        refuses = FakeBroker(judge=lambda message: 0x97 if message.payload == b"a" else 0)
        await refuses.start()
        handed_over = []
        proxy = MqttProxy(("127.0.0.1", refuses.port), handed_over.append)
        await proxy.start()
        client = Client(proxy.port)
        await client.connect()
        mids = [client.publish(payload) for payload in (b"a", b"b")]
        assert [await client.told.get() for _ in mids] == mids
        assert [message.payload for message in handed_over] == [b"b"]
        await client.close()
        await proxy.stop()
        await refuses.stop()

    asyncio.run(asyncio.wait_for(script(), 60))
