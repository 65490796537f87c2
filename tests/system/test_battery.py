"""Nodes on a battery: asleep but for samples, the radio on but to send, and nothing lost by it."""

import asyncio
import os
import random
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.boards import at_rest

from feltpost_tools.flashing.compile import firmware_source
from feltpost_tools.sim import kit as indoor_climate
from feltpost_tools.sim import sensors
from feltpost_tools.sim.kit import Sampled
from feltpost_tools.sim.parts import I2cBus

pytestmark = pytest.mark.timeout(300)

HOUR_S = 3600
INTERVAL_S = 1800
FAST_S = 300
SEND_S = 3600
WAIT_S = 60

UNITS = {"temperature": "Cel", "relativeHumidity": "%RH"}

# A round of samples is over and in the journal within this.
ROUND_S = 10


class Kit:
    """An SHT4x on a node with a battery, in air of which ``temperature`` is the one thing known."""

    QUANTITIES = frozenset()

    def __init__(self, send_s=SEND_S):
        self.temperature = 20.0
        self.sensor = None
        self._send_s = send_s

    def parts(self, node, environment, sampled):
        def observe(readout):
            name = readout.quantity
            sampled(Sampled(node, name, UNITS[name], readout.value, 0.01, readout.time_us))

        def air(quantity, now_us):
            return self.temperature if quantity == "temperature" else 50.0

        self.sensor = sensors.build("sht4x", air, observe)
        bus = I2cBus([self.sensor])
        return {"i2c0": bus, "pin22": bus.scl, "pin21": bus.sda}

    def configuration(self, links, interval_s):
        temperature = {"name": "temperature", "fast_interval_s": FAST_S, "fast_change": 1}
        channels = {"temperature": temperature, "relativeHumidity": "relativeHumidity"}
        return {
            "links": links,
            "i2c": [{"id": 0, "scl": 22, "sda": 21}],
            "sensors": [{"driver": "sht4x", "interval_s": interval_s, "channels": channels}],
            "power": {"mode": "battery", "send_interval_s": self._send_s},
        }


@pytest.fixture
def battery(rig):
    """Return a function that makes a rig with one node on a battery, and its Kit."""

    def make(send_s=SEND_S, **plan):
        kit = Kit(send_s)
        return rig(["udp"], interval_s=INTERVAL_S, kit=kit, **plan), kit

    return make


async def asleep(board):
    """Wait until the board is in deep sleep, where it stays until the caller waits again."""
    async with asyncio.timeout(WAIT_S):
        while not board.in_deep_sleep:  # noqa: ASYNC110 - it is, at every turn of the loop but a few
            await asyncio.sleep(0)


def wakes(board):
    """Return how often the node has started, deep sleep or not."""
    return (board.folder / "console.log").read_bytes().count(b" sensors")


def stored(running, query):
    """Return what a query gives on the gateway's store."""
    # From a copy: the database is the gateway's while it runs.
    with tempfile.TemporaryDirectory() as folder:
        for file in running.folder.glob("feltpost.db*"):
            if file.suffix in (".db", ".db-wal"):
                shutil.copy(file, folder)
        with closing(sqlite3.connect(Path(folder) / "feltpost.db")) as database:
            return database.execute(query).fetchall()


def unsent(running, before_s=0):
    """Return what has not arrived of what was sampled so long ago, or longer."""
    before_us = running.clock.now_us() - before_s * 1e6
    return [sample for sample in running.ledger.missing if sample.time_us < before_us]


async def settle(running, before_s=0):
    """Wait until that has arrived, and see that nothing came twice or with a wrong time."""
    before_us = running.clock.now_us() - before_s * 1e6
    async with asyncio.timeout(WAIT_S):
        while any(sample.time_us < before_us for sample in running.ledger.missing):
            await running.until(running.simulated_s + 60)
    outcome = running.ledger.outcome()
    assert (outcome.wrong, outcome.duplicates) == (0, 0), running.ledger.wrong[:5]


def of_itself(running, name):
    """Return the values of what the node has told of itself by that name, in their order."""
    return [reading.value for reading in running.ledger.of_itself if reading.name == name]


def boots(running):
    """Return the numbers of the boots that the gateway has reports of."""
    return [boot for (boot,) in stored(running, "SELECT boot FROM reports ORDER BY boot")]


def gaps(running):
    """Return the reasons of all gaps that the gateway knows."""
    return [reason for (reason,) in stored(running, "SELECT reason FROM gaps")]


def test_a_day_of_deep_sleep_by_a_bad_oscillator(battery):
    making, _ = battery(sleep_ppm=30_000)

    async def run():
        async with making as running:
            board = running.nodes[0].board
            await running.until(23.9 * HOUR_S)
            await asleep(board)
            await settle(running, before_s=1.2 * HOUR_S)
            seen = board.air.radio.joins, wakes(board), board.flash.operations
            return running, seen, boots(running), gaps(running)

    running, (joins, started, operations), booted, lost = asyncio.run(run())
    assert running.ledger.outcome().delivered >= 2 * 2 * 21
    assert (len(booted), lost) == (1, [])
    # An hour by its own clock is three hundredths shorter.
    assert started in range(48, 52)
    assert joins in range(23, 27)
    uptimes = of_itself(running, "uptime")
    steps = [later - earlier for earlier, later in zip(uptimes, uptimes[1:], strict=False)]
    assert set(steps) <= set(range(HOUR_S - 20, HOUR_S + 20)), steps
    assert of_itself(running, "resetCause") == [1]
    assert set(of_itself(running, "retries")) == {0}
    # What the gateway takes within the hour costs flash nothing but the start.
    assert operations < 60


def test_an_outage_is_slept_through(battery):
    making, _ = battery()

    async def run():
        async with making as running:
            board = running.nodes[0].board
            await running.until(1.1 * HOUR_S)
            await asleep(board)
            joined, operations = board.air.radio.joins, board.flash.operations
            await running.gateway.stop()
            await running.until(13.1 * HOUR_S)
            await asleep(board)
            tries = board.air.radio.joins - joined
            waiting = len(running.ledger.missing)
            written = board.flash.operations - operations
            # Now the gateway is back, and the access point is away.
            board.air.up = False
            await running.gateway.start()
            await running.until(15.1 * HOUR_S)
            board.air.up = True
            # It is next tried after six hours at most.
            await running.until(21.7 * HOUR_S)
            await asleep(board)
            started = wakes(board)
            await settle(running, before_s=1.2 * HOUR_S)
            return running, tries, waiting, written, started, boots(running), gaps(running)

    running, tries, waiting, written, started, booted, lost = asyncio.run(run())
    assert 3 <= tries <= 6
    assert waiting >= 2 * 2 * 11
    assert written > waiting
    # Hardly a wake but for samples, and no reboot.
    assert started <= 2 * 22 + 12
    assert (len(booted), lost) == (1, [])
    # Each exchange that failed, and the two messages sent again in it; no more than two.
    assert 3 * tries <= max(of_itself(running, "retries")) <= 3 * tries + 4


def test_a_value_that_moves_is_sent_at_once_and_a_sensor_that_is_gone_is_no_reason_to(battery):
    making, kit = battery()

    async def run():
        async with making as running:
            board = running.nodes[0].board
            await running.until(1.3 * HOUR_S)
            kit.temperature += 5
            await running.until(1.5 * HOUR_S + 60)
            await asleep(board)
            # Before the next fast sample, whose humidity is no reading.
            kit.sensor.unplugged = True
            before = wakes(board)
            await settle(running)
            await running.until(4.2 * HOUR_S)
            await asleep(board)
            without = wakes(board) - before
            kit.sensor.unplugged = False
            await running.until(6.1 * HOUR_S)
            await asleep(board)
            await settle(running, before_s=0.2 * HOUR_S)
            return running, without, boots(running)

    running, without, booted = asyncio.run(run())
    assert of_itself(running, "sensorFault.sht4x") == [1, 0]
    # Every half an hour, and for health readings.
    assert without <= 10
    assert len(booted) == 1


def test_a_power_cut_in_sleep_costs_no_more_than_what_was_in_rtc_memory_and_that_is_told(battery):
    making, _ = battery()

    async def run():
        async with making as running:
            board = running.nodes[0].board
            await running.until(0.7 * HOUR_S)
            await asleep(board)
            # The samples of the half hour wait.
            lost = unsent(running)
            await board.power_off()
            await running.until(0.8 * HOUR_S)
            await board.power_on()
            await running.until(1.9 * HOUR_S)
            await asleep(board)
            missing = unsent(running, before_s=0.6 * HOUR_S)
            assert running.ledger.wrong == []
            return lost, missing, gaps(running), boots(running)

    lost, missing, reasons, booted = asyncio.run(run())
    assert len(lost) == 2
    assert missing == lost
    # Reason 4: lost with power.
    assert set(reasons) == {4}
    assert len(booted) == 2


def test_resets_and_damage_lead_to_a_new_boot_and_never_to_a_wrong_time(battery):
    # What is sampled is sent in the same wake, so that nothing may be missing.
    making, _ = battery(send_s=10)
    chance = random.Random(3)
    resets_us = []

    async def run():
        async with making as running:
            board = running.nodes[0].board
            await running.until(60)
            began = []
            for section in ("BOOT", "CLOCK", "WAKE", "SEQUENCE", "JOURNAL", "CHANNELS"):
                before = len(boots(running))
                # Time has gone on while this waited.
                await asleep(board)
                damage(board.rtc, section)
                await running.until(running.simulated_s + INTERVAL_S)
                await settle(running, before_s=ROUND_S)
                if len(boots(running)) > before:
                    began.append(section)
            for _ in range(6):
                board.rtc.tear_at(chance.randint(1, 30), chance.randint(0, 1200))
                async with asyncio.timeout(WAIT_S):
                    await board.rtc.torn.wait()
                resets_us.append(running.clock.now_us())
                await asleep(board)
            await running.until(running.simulated_s + INTERVAL_S)
            await asleep(board)
            return running, began, boots(running)

    running, began, booted = asyncio.run(run())
    assert began == ["BOOT", "CLOCK", "WAKE"]
    assert len(booted) == 1 + 3 + 6
    ledger = running.ledger
    assert ledger.wrong == []
    unexplained = [
        sample
        for sample in ledger.missing
        if not any(abs(reset_us - sample.time_us) <= ROUND_S * 1e6 for reset_us in resets_us)
    ]
    assert unexplained == []
    # Half an hour each, before and after the wakes that were reset.
    assert ledger.outcome().delivered >= 2 * 12


def damage(memory, section):
    """Ruin all copies of a section of RTC memory (retained.py)."""
    source = (firmware_source() / "feltpost/retained.py").read_text()
    names = re.findall(r"^([A-Z]+) = const\(\d\)$", source, re.M)
    rooms = eval(re.search(r"^_ROOMS = (.*)$", source, re.M)[1])
    place = 0
    for name, room in zip(names, rooms, strict=True):
        for _ in range(1 if name == "CHANNELS" else 2):
            if name == section:
                memory._data[place] ^= 0xFF
            place += 8 + 4 * room


class IndoorKit:
    """The indoor climate kit on a battery: a wake takes seconds."""

    QUANTITIES = indoor_climate.QUANTITIES
    parts = staticmethod(indoor_climate.parts)

    @staticmethod
    def configuration(links, interval_s):
        power = {"mode": "battery", "send_interval_s": SEND_S}
        return indoor_climate.configuration(links, interval_s) | {"power": power}


def test_ctrl_c_during_a_wake_gives_the_prompt(rig):
    async def run():
        async with rig(["udp"], interval_s=INTERVAL_S, kit=IndoorKit) as running:
            board = running.nodes[0].board
            await running.until(INTERVAL_S - 2)
            await asleep(board)
            board.line.plug()
            # People don't work at the simulation's speed.
            running.world.speed = 1
            console = board.folder / "console.log"
            fd = os.open(board.line.path, os.O_RDWR | os.O_NOCTTY)
            try:
                async with asyncio.timeout(WAIT_S):
                    while wakes(board) < 2:
                        await running.until(running.simulated_s + 0.1)
                    # The unix port can't be interrupted while it collects garbage.
                    await at_rest(board)
                    os.write(fd, b"\x03")
                    while not console.read_bytes().endswith(b">>> "):
                        await running.until(running.simulated_s + 0.1)
            finally:
                os.close(fd)
            return console.read_bytes()

    assert b"KeyboardInterrupt" in asyncio.run(run())
