"""Links: preferred ones first, a bad one aside for a while. Networks: joined, or told why not."""

import asyncio

import check
from feltpost import links_opening
from feltpost.link_udp import UdpLink
from feltpost.links_sleeping import SleepingLinks
from feltpost.wifi import Network, rssi

GOT_IP = 1010


class Link:
    def __init__(self, name, node):
        self.name = name
        self.works = True
        self.takes_ms = 0
        self._node = node
        self.opened = self.closed = 0

    async def connect(self):
        self.opened += 1
        self._node.now_ms += self.takes_ms
        if not self.works:
            raise OSError(self.name + " is away")

    def close(self):
        self.closed += 1


class Client:
    link = None


class Node:
    """Links with a clock that is set by hand."""

    def __init__(self, *names):
        self.now_ms = 1_000
        self.made = [Link(name, self) for name in names]
        self.links = SleepingLinks(Client(), self.made, lambda: self.now_ms)

    def exchange(self):
        """Open and use a link; return its name, or with a "-" before it that of one that failed."""
        try:
            asyncio.run(self.links.open())
        except OSError:
            name = self.links.client.link.name
            self.more = self.links.failed()
            return "-" + name
        self.links.worked()
        return self.links.client.link.name

    def round(self):
        """Exchange until a link works or none is left; return what each gave."""
        names = [self.exchange()]
        while names[-1][0] == "-" and self.more:
            names.append(self.exchange())
        return names

    def aside_ms(self, i):
        return self.links._entries[i].aside_until_ms - self.now_ms


def test_the_preferred_link_is_used_and_connected_once():
    node = Node("a", "b")
    check.equal([node.exchange() for _ in range(5)], ["a"] * 5)
    check.equal([(link.opened, link.closed) for link in node.made], [(1, 0), (0, 0)])


def test_the_next_link_takes_over_at_once():
    node = Node("a", "b", "c")
    node.made[0].works = node.made[1].works = False
    check.equal(node.round(), ["-a", "-b", "c"])
    check.equal(node.round(), ["c"])


def test_a_preferred_link_is_tried_again_while_a_lesser_one_works():
    node = Node("a", "b")
    node.made[0].works = False
    check.equal(node.round(), ["-a", "b"])
    node.now_ms += 2_000
    check.equal(node.round(), ["-a", "b"])
    node.made[0].works = True
    node.now_ms += 4_000
    check.equal(node.round(), ["a"])
    check.equal(node.made[1].closed, 2, "the lesser one is left")


def test_time_aside_grows_to_a_bound_with_jitter():
    node = Node("a", "b")
    node.made[0].works = False
    times_ms = []
    for i in range(40):
        node.round()
        times_ms.append(node.aside_ms(0))
        bound_ms = min(2_000 << i, 480_000)
        check.equal(bound_ms // 2 <= times_ms[i] <= bound_ms, True, (i, times_ms[i]))
        node.now_ms += times_ms[i]
    check.equal(len(set(times_ms[10:])) > 10, True, "jitter")


def test_a_link_that_works_now_and_then_is_not_trusted_at_once():
    node = Node("a", "b")
    for works in (False, False, False, False, False, True):
        node.made[0].works = works
        node.round()
        node.now_ms += max(0, node.aside_ms(0))
    node.links.failed()
    check.equal(4_000 <= node.aside_ms(0) <= 8_000, True, node.aside_ms(0))
    check.equal(node.round(), ["b"])
    node.now_ms += 8_000
    check.equal([node.exchange() for _ in range(3)], ["a"] * 3)
    node.links.failed()
    check.equal(node.aside_ms(0) <= 2_000, True, "steady work is rewarded")


def test_each_link_is_tried_once_before_a_pause():
    node = Node("a", "b")
    for link in node.made:
        link.works = False
        link.takes_ms = 20_000
    # When the last has failed the first may be tried again, but there is a pause now.
    check.equal(node.round(), ["-a", "-b"])
    check.equal((node.aside_ms(0) < 0, node.more), (True, False))
    node.now_ms += 600_000
    check.equal(node.round(), ["-a", "-b"])
    node.now_ms += 600_000
    node.made[1].works = True
    check.equal(node.round(), ["-a", "b"])


def test_when_all_are_aside_the_one_that_returns_first_gets_a_chance():
    node = Node("a", "b")
    node.made[0].works = False
    for _ in range(6):
        node.round()
        node.now_ms += node.aside_ms(0)
    node.made[1].works = False
    check.equal(node.round(), ["-a", "-b"])
    check.equal(node.aside_ms(1) < node.aside_ms(0), True)
    node.made[1].works = True
    check.equal(node.round(), ["b"])


def test_state_survives_deep_sleep():
    node = Node("a", "b", "c")
    node.made[0].works = False
    for _ in range(5):
        node.round()
        node.now_ms += node.aside_ms(0)
    node.round()
    left_ms = node.aside_ms(0)
    state = node.links.state()
    check.equal(len(state), 6)
    # A boot later uptime counts from 0 again.
    woken = Node("a", "b", "c")
    woken.now_ms = 50
    woken.links.restore(state, 10_000)
    check.equal(0 <= woken.aside_ms(0) - (left_ms - 10_000) < 1_000, True)
    check.equal(woken.links._entries[0].level, 6)
    check.equal(woken.round(), ["b"])
    slept = Node("a", "b", "c")
    slept.links.restore(state, 3_600_000)
    check.equal(slept.round(), ["a"])


def test_state_of_other_links_or_none_is_passed_over():
    for state in (b"", b"\xff\xff", bytes(range(16))):
        node = Node("a", "b", "c")
        node.links.restore(state, 0)
        check.equal(node.round(), ["a"])
    # What has decayed puts nothing aside for longer than a failure would.
    node = Node("a", "b")
    node.links.restore(b"\xff\xff\xff\xff", 0)
    check.equal((node.aside_ms(0), node.links._entries[0].level), (480_000, 8))


def test_eight_links_fit_into_sixteen_bytes():
    node = Node(*"abcdefgh")
    check.equal(len(node.links.state()), 16)


def test_closing_closes_every_link_and_opening_goes_on():
    node = Node("a", "b")
    node.exchange()
    node.links.close()
    check.equal([link.closed > 0 for link in node.made], [True, True])
    check.equal(node.exchange(), "a")


class Entry:
    kind = "serial"


def test_the_serial_link_is_handed_out_to_be_run():
    made, serial = links_opening.open_links([Entry()], None, lambda: 0)
    check.equal(made.client.link is serial, True)
    check.equal(serial.name, "serial")


class Station:
    """network.WLAN with one network; ``statuses`` is what status() gives after connect()."""

    def __init__(self, ssid="skole", statuses=(GOT_IP,), channel=11):
        self.ssid = ssid
        self.statuses = list(statuses)
        self.called = []
        self.rssi_dbm = None
        self._channel = channel
        self._status = 1000
        self._ssid = ""

    def active(self, value):
        pass

    def isconnected(self):
        return self.status() == GOT_IP

    def status(self, what=None):
        if what:
            if self.rssi_dbm is None:
                raise OSError("Wifi Not Connected")
            return self.rssi_dbm
        return self._status

    def config(self, what=None, reconnects=None):
        if what:
            return {"ssid": self._ssid, "channel": self._channel}[what]
        self.called.append(("reconnects", reconnects))
        return None

    def ipconfig(self, **settings):
        self.called.append(("ipconfig", settings))

    def connect(self, ssid, password):
        self.called.append(("connect", ssid, password))
        self._ssid = ssid
        self._status = self.statuses.pop(0) if ssid == self.ssid else 201

    def disconnect(self):
        self.called.append(("disconnect",))
        self._status = 1000

    def count(self, name):
        return len([call for call in self.called if call[0] == name])


class AnyChannel(Station):
    """What takes a channel in connect()."""

    def connect(self, ssid, password, channel=0):
        super().connect(ssid, password)
        self.called[-1] += (channel,)


class Memory:
    data = b""
    puts = 0

    def get(self):
        return self.data

    def put(self, data):
        self.data = data
        self.puts += 1


def joined(network, anew=False):
    """Return None, or what people are told of why it failed."""
    try:
        asyncio.run(network.join(anew))
    except OSError as error:
        return str(error)
    return None


# What a network does in 5 s takes a test as long: the searches are shortened.
def shortened(times=50):
    real = asyncio.sleep_ms
    asyncio.sleep_ms = lambda duration_ms: real(duration_ms // times)


def test_a_network_is_joined_once_and_kept():
    station = Station()
    network = Network(station, "skole", "secret")
    check.equal(joined(network), None)
    check.equal(joined(network), None)
    check.equal(
        station.called,
        [("ipconfig", {"dhcp4": True}), ("reconnects", 1), ("connect", "skole", "secret")],
    )


def test_joining_anew_leaves_first():
    station = Station(statuses=(GOT_IP, GOT_IP))
    network = Network(station, "skole", "")
    joined(network)
    check.equal(joined(network, True), None)
    check.equal((station.count("disconnect"), station.count("connect")), (1, 2))


def test_another_network_is_left_first():
    station = Station()
    joined(Network(station, "skole", ""))
    station.ssid, station.statuses = "gade", [GOT_IP]
    check.equal(joined(Network(station, "gade", "")), None)
    check.equal(
        [call[0] for call in station.called][-4:],
        ["disconnect", "ipconfig", "reconnects", "connect"],
    )


def test_people_are_told_the_reason_and_no_password():
    shortened()
    for status, text in (
        (201, "no such network in reach"),
        (212, "no such network in reach"),
        (15, "refused, probably for a wrong password"),
        (202, "refused, probably for a wrong password"),
        (204, "refused, probably for a wrong password"),
        (211, "its security is not supported; WPA2 or WPA3 is needed"),
        (1001, "can't be joined (status 1001)"),
    ):
        station = Station(statuses=(status,))
        check.equal(joined(Network(station, "skole", "hemmelig")), "Wi-Fi skole: " + text)
        check.equal(station.called[-1], ("disconnect",), "left trying, it would refuse connect()")


def test_an_old_failure_is_not_taken_for_a_new_one():
    # status() keeps it while the network is joined and its DHCP takes its time.
    shortened()
    station = Station(statuses=(201,))
    station.rssi_dbm = -70
    looks = []

    def isconnected():
        looks.append(1)
        return len(looks) > 150

    station.isconnected = isconnected
    check.equal(joined(Network(station, "skole", "")), None)
    station = Station(statuses=(201,))
    station.rssi_dbm = -70
    text = "Wi-Fi skole: joined, but it gives no address"
    check.equal(joined(Network(station, "skole", "")), text)


def test_a_driver_out_of_memory_is_a_failure_of_the_link():
    station = Station()

    def connect(*_):
        raise RuntimeError("Wifi Unknown Error 0x0101")

    station.connect = connect
    text = "Wi-Fi skole: Wifi Unknown Error 0x0101"
    check.equal(joined(Network(station, "skole", "")), text)


def test_the_channel_of_the_last_good_join_is_tried_first():
    memory = Memory()
    station = AnyChannel(statuses=[GOT_IP] * 5)
    network = Network(station, "skole", "", memory=memory)
    joined(network)
    check.equal((station.called[-1][-1], len(memory.data) <= 16), (0, True))
    for _ in range(2):
        joined(network, True)
        check.equal(station.called[-1][-1], 11)
    check.equal(memory.puts, 1, "what is known is not written again")
    station.ssid = "gade"
    joined(Network(station, "gade", "", memory=memory))
    check.equal(station.called[-1][-1], 0, "that was another network's")


def test_a_channel_that_led_nowhere_is_forgotten():
    shortened()
    memory = Memory()
    station = AnyChannel(statuses=[GOT_IP, 201, GOT_IP])
    network = Network(station, "skole", "", memory=memory)
    joined(network)
    check.equal(joined(network, True) is None, False)
    check.equal(joined(network), None)
    check.equal([call[-1] for call in station.called if call[0] == "connect"], [0, 11, 0])


def test_without_a_channel_in_connect_the_network_is_joined_all_the_same():
    memory = Memory()
    station = Station(statuses=[GOT_IP, GOT_IP])
    network = Network(station, "skole", "", memory=memory)
    joined(network)
    check.equal(joined(network, True), None)
    check.equal(memory.puts, 1)


def test_signal_strength():
    station = Station()
    check.equal(rssi(station), None)
    station.rssi_dbm = -67
    check.equal(rssi(station), -67)


def test_silence_joins_anew_now_and_then_only():
    station = Station(statuses=[GOT_IP] * 100)
    link = UdpLink(station, "skole", "", "127.0.0.1", 9)
    anew = []
    for i in range(50):
        before = station.count("connect")
        asyncio.run(link.connect())
        if station.count("connect") > before:
            anew.append(i)
        link.close()
    check.equal(anew, [0, 1, 2, 4, 8, 16, 32, 48])
    check.equal(link.name, "udp skole")


if __name__ == "__main__":
    check.main(globals())
