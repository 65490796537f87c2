"""The simulated Wi-Fi station: how long joining takes, and what its status says when it fails."""

from __future__ import annotations

import struct

import pytest

from feltpost_tools.sim.radio import AccessPoint, Radio

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010
HANDSHAKE_FAILED, NO_AP = 15, 201
UNLIMITED = 255
STEP_US = 10_000


class Bench:
    """A radio with a clock that is set by hand."""

    def __init__(self, *reach: AccessPoint) -> None:
        self.now_us = 0
        self.radio = Radio(reach, lambda: self.now_us)

    def join(
        self,
        ssid: str = "skole",
        password: str = "",
        channel: int = 0,
        static: bool = False,
        reconnects: int = 1,
    ) -> bool:
        head = struct.pack("<BBBB", channel, static, reconnects, len(ssid))
        return self.radio.join(head + ssid.encode() + password.encode())

    @property
    def status(self) -> int:
        return int(struct.unpack("<HBBb", self.radio.state())[0])

    @property
    def associated(self) -> bool:
        return bool(struct.unpack("<HBBb", self.radio.state())[1])

    def wait(self, duration_s: float) -> int:
        self.now_us += int(duration_s * 1e6)
        return self.status

    def joined_s(self) -> float:
        began_us = self.now_us
        while self.status != GOT_IP:
            self.now_us += STEP_US
            assert self.now_us < began_us + 60_000_000
        assert 0 <= self.now_us - began_us - self.radio.joined_us < STEP_US
        return (self.now_us - began_us) / 1e6


def test_what_shortens_joining() -> None:
    took_s = []
    for static, channel in ((False, 0), (True, 0), (True, 11), (True, 6)):
        bench = Bench(AccessPoint("skole", channel=11))
        bench.radio.takes_channel = True
        assert bench.join(static=static, channel=channel)
        took_s.append(round(bench.joined_s(), 1))
    # 1.3 s for the search, 0.2 to associate, 0.7 for DHCP; beginning elsewhere costs a channel.
    assert took_s == [2.2, 1.5, 0.3, 1.5]


def test_a_channel_is_refused_as_by_released_micropython() -> None:
    bench = Bench(AccessPoint("skole"))
    assert not bench.join(channel=6)
    assert bench.radio.joins == 0


def test_absent_network() -> None:
    bench = Bench(AccessPoint("other"))
    bench.join()
    assert bench.wait(1.5) == CONNECTING
    assert bench.wait(0.1) == NO_AP
    assert not bench.associated
    # The second and last try; what comes into reach after it is not joined.
    bench.wait(2)
    bench.radio.reach.append(AccessPoint("skole"))
    assert bench.wait(60) == NO_AP


def test_wrong_password_shows_once_the_tries_are_over() -> None:
    bench = Bench(AccessPoint("skole", "secret", channel=1))
    bench.join(password="wrong")
    assert bench.wait(5) == CONNECTING
    assert bench.wait(1) == HANDSHAKE_FAILED


def test_a_failure_stays_in_the_status_until_there_is_an_address() -> None:
    bench = Bench()
    bench.join()
    assert bench.wait(4) == NO_AP
    bench.radio.reach.append(AccessPoint("skole", channel=1))
    bench.radio.leave()
    bench.join()
    assert bench.wait(0.5) == NO_AP
    assert bench.associated
    assert bench.wait(1) == GOT_IP
    bench.radio.leave()
    assert bench.status == IDLE


def test_no_address() -> None:
    bench = Bench(AccessPoint("skole", addresses=False))
    bench.join()
    assert bench.wait(60) == CONNECTING
    assert bench.associated
    assert bench.radio.point is None


@pytest.mark.parametrize("reconnects", [1, UNLIMITED])
def test_a_lost_network_is_joined_again_as_often_as_asked(reconnects: int) -> None:
    point = AccessPoint("skole")
    bench = Bench(point)
    bench.join(reconnects=reconnects)
    bench.joined_s()
    point.up = False
    assert bench.status != GOT_IP
    bench.wait(3600)
    point.up = True
    assert (bench.wait(10) == GOT_IP) == (reconnects == UNLIMITED)


def test_a_network_that_moves_is_lost() -> None:
    point = AccessPoint("skole", channel=6)
    bench = Bench(point)
    bench.join()
    bench.joined_s()
    point.channel = 11
    assert bench.radio.point is None
    # Once by itself.
    assert bench.wait(5) == GOT_IP
    assert bench.radio.joins == 1
