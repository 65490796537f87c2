"""A node on a battery: when it wakes, samples, sends and sleeps, and what it remembers."""

import asyncio

import fake_time
from fake_board import Memory, machine

# Deep sleep does not end it.
now = fake_time.install(5_000_000)

import check  # noqa: E402
from feltpost import sampling_sleep  # noqa: E402
from feltpost.battery import Battery  # noqa: E402
from feltpost.channel import Channel, Settings  # noqa: E402
from feltpost.clock_sleep import SleepClock  # noqa: E402
from feltpost.journal_ram import RamJournal  # noqa: E402
from feltpost.log import Log  # noqa: E402
from feltpost.record import Record  # noqa: E402
from feltpost.retained import CHANNELS, CLOCK, WAKE  # noqa: E402
from feltpost.sampling import Sampler  # noqa: E402
from feltpost.sensor import SensorError  # noqa: E402
from feltpost.watchdog import UNWATCHED  # noqa: E402

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
BOOT_MS = 635
GRACE_MS = 15_000
# What a gateway that is away costs: joining, and three transmissions.
SILENCE_MS = 20_000
ROUND_TRIP_MS = 50
FAULT = 9


class Slept(Exception):
    def __init__(self, duration_ms):
        self.duration_ms = duration_ms


class Enough(Exception):
    pass


def deepsleep(duration_ms):
    raise Slept(duration_ms)


machine.deepsleep = deepsleep


async def sleep_ms(duration_ms):
    now.now_ms += duration_ms


asyncio.sleep_ms = sleep_ms


class Sensor:
    CHANNELS = (("waterLevel", 3),)
    STOP_FROM_MS = 0

    def __init__(self, node):
        self.node = node

    async def start(self):
        pass

    async def stop(self):
        self.node.stops += 1

    def recover(self):
        pass

    async def sample(self, values):
        now.now_ms += self.node.takes_ms
        self.node.tries_at.append(now.now_ms)
        if self.node.broken:
            raise SensorError("unplugged")
        values[0] = self.node.level


class Uplink:
    """Sends a reading an exchange, so that a backlog takes long; what is there is the node's."""

    def __init__(self, node):
        self.node = node
        self.report = "report"
        self.lost = self.retries = self.mail_rest = 0

    def waiting(self):
        return bool(self.report or len(self.node.journal))

    async def flush(self, word, enough):
        node = self.node
        node.sends_at.append(now.now_ms)
        while self.waiting():
            node.radio = True
            if node.away:
                now.now_ms += SILENCE_MS
                self.retries += 1
                return node.pause_ms
            now.now_ms += ROUND_TRIP_MS
            if self.report:
                self.report = None
                node.reports += 1
                self.mail_rest = 16
            else:
                node.journal.free(node.journal.first + 1)
            if enough():
                break
        return 0


class Links:
    class client:
        retransmissions = 0

    def __init__(self, node):
        self.node = node

    def sleep(self):
        self.node.radio = False

    def state(self):
        return b"\x01\x20"

    def restore(self, state, elapsed_ms):
        self.node.links_restored = state, elapsed_ms


class Boots:
    safe = False
    forgiven = 0

    def forgive(self):
        self.forgiven += 1


class Node:
    """What outlasts deep sleep, and what is outside: sensor and gateway."""

    def __init__(self, settings, sensors=1, send_interval_ms=HOUR_MS):
        self.settings = settings
        self.sensors = sensors
        self.send_interval_ms = send_interval_ms
        self.journal = RamJournal(1, 5_000)
        self.memory = Memory()
        self.boots = Boots()
        self.level = 1_000
        self.broken = self.away = self.radio = False
        self.pause_ms = 2_000
        self.takes_ms = 20
        self.reports = self.stops = self.wakes = self.awake_ms = 0
        self.sends_at, self.tries_at, self.radio_asleep = [], [], []
        self.began_ms = now.now_ms

    def wake(self, woken=True):
        """Be awake once, and sleep; return for how long it asked to, None if it was awake on."""
        began_ms = now.now_ms
        now.now_ms += BOOT_MS
        clock = SleepClock(self.memory.get(CLOCK) if woken else None)
        self.samplers = [
            Sampler(
                str(i),
                Sensor(self),
                [Channel(i, self.settings)],
                FAULT,
                self.journal,
                clock,
                Log(lambda line: None),
            )
            for i in range(self.sensors)
        ]
        self.uplink = Uplink(self)
        battery = Battery(
            self.samplers,
            self.uplink,
            Links(self),
            clock,
            self.memory,
            self.boots,
            self.send_interval_ms,
        )
        if woken:
            battery.resume()
        try:
            asyncio.run(battery.run(UNWATCHED))
        except Slept as slept:
            self.wakes += 1
            self.awake_ms = now.now_ms - began_ms
            check.equal(self.radio, False, "the radio is off in deep sleep")
            now.now_ms += slept.duration_ms
            return slept.duration_ms
        except Enough:
            return None

    def until(self, hours):
        """Wake and sleep until so many hours after it was made."""
        if not self.wakes:
            self.wake(woken=False)
        while now.now_ms < self.began_ms + hours * HOUR_MS:
            self.wake()

    def sent_min(self):
        """When it began to send, minutes since it was made."""
        return [(at_ms - self.began_ms) // MINUTE_MS for at_ms in self.sends_at]


def every(minutes):
    return Settings(minutes * MINUTE_MS)


def steps(values):
    return [later - values[i] for i, later in enumerate(values[1:])]


def readings(journal):
    record, found = Record(), []
    for number in range(journal.first, journal.next):
        journal.read(number, record)
        found.append((record.channel, record.mantissa))
    return found


def test_it_sleeps_until_a_sample_is_due_and_sends_once_an_interval():
    node = Node(every(15))
    node.until(5.9)
    # Sampling does not wait for the boot, so all are a little after their time, never a minute.
    check.equal(
        [(at - node.began_ms) // MINUTE_MS for at in node.tries_at], list(range(0, 354, 15))
    )
    check.equal(node.wakes, 24, "no wake but for a sample")
    check.equal(node.sent_min(), [0, 60, 120, 180, 240, 300])
    check.equal(node.reports, 1, "one report for a boot, however often it wakes")
    check.equal(node.stops, 24)
    check.equal(node.boots.forgiven, 24)


def test_sending_shares_a_wake_with_samples_even_if_the_time_for_it_is_a_little_later():
    node = Node(every(15))
    # A slow first round, and all others are quick: they come before an hour since is over.
    node.takes_ms = 9 * SECOND_MS
    node.wake(woken=False)
    node.takes_ms = 20
    node.until(3.9)
    check.equal(node.wakes, 16)
    check.equal(node.sent_min(), [0, 60, 120, 180])


def test_a_sample_that_waits_is_sent_when_its_interval_is_over_even_between_samples():
    node = Node(every(50))
    node.until(5)
    # The one of minute 50 waits for 60, that of 100 for 120, and so on.
    check.equal(node.sent_min(), [0, 60, 120, 180, 240])


def test_nothing_to_send_is_no_reason_for_the_radio():
    settings = every(15)
    settings.deadband = 5
    settings.heartbeat_ms = 3 * HOUR_MS
    node = Node(settings)
    node.until(6.1)
    check.equal(node.sent_min(), [0, 180, 360])


def test_a_gateway_that_is_away_is_asked_ever_less_often():
    node = Node(every(15))
    node.until(1.1)
    node.away = True
    del node.sends_at[:]
    node.until(73)
    tries = node.sent_min()
    # After 1, 2, 4 hours, then every 6: less up to a quarter of it, and the sample it waits for.
    check.equal(13 <= len(tries) <= 20, True, tries)
    pauses = steps(tries)
    check.equal(all(42 <= pause <= 365 for pause in pauses), True, pauses)
    check.equal(min(pauses[4:]) >= 245, True, pauses)
    check.equal(len(set(pauses[4:])) > 3, True, "by chance")
    check.equal(len(node.journal) >= 4 * 71, True)
    node.away = False
    node.until(83)
    check.equal(len(node.journal) <= 4, True)
    later = node.sent_min()[len(tries) :]
    check.equal(steps(later)[1], 60, "back to the interval")
    check.equal(node.uplink.retries, len(tries), "counted through deep sleep")
    check.equal(node.uplink.mail_rest, 16, "remembered through deep sleep")


def test_a_gateway_that_asks_for_a_longer_pause_gets_it():
    node = Node(every(1), send_interval_ms=MINUTE_MS)
    node.until(0.1)
    node.away = True
    node.pause_ms = HOUR_MS
    del node.sends_at[:]
    node.until(3.5)
    pauses = steps(node.sends_at)
    check.equal(len(pauses), 3)
    check.equal(min(pauses) > HOUR_MS, True, pauses)


def moving():
    settings = every(15)
    settings.fast_interval_ms = 2 * MINUTE_MS
    settings.fast_change = 10
    return settings


def test_a_value_that_moves_is_followed_and_sent_at_once():
    node = Node(moving())
    node.until(0.6)
    del node.sends_at[:]
    node.level += 50
    node.until(0.99)
    # Seen at 45, and followed until it has stood still three times.
    check.equal(node.sent_min(), [45, 46, 48])
    node.until(3)
    minutes = [(at_ms - node.began_ms) // MINUTE_MS for at_ms in node.tries_at]
    # Not 15 minutes after the last fast one: with all other channels again.
    check.equal(minutes[-8:], list(range(60, 180, 15)))


def test_a_value_that_moves_while_the_gateway_is_away_costs_no_more_tries():
    node = Node(moving())
    node.until(1.1)
    node.away = True
    del node.sends_at[:]
    for hour in range(2, 8):
        node.until(hour)
        node.level += 50
    check.equal(len(node.sends_at) <= 5, True, node.sent_min())


def test_a_sensor_that_is_unplugged_keeps_nobody_awake():
    node = Node(moving())
    node.until(0.6)
    node.level += 50
    node.until(0.8)
    node.broken = True
    del node.tries_at[:]
    node.wake()
    # After 1 and 2 s it is tried once more; from then on once a wake.
    check.equal(len(node.tries_at), 3)
    check.equal(node.awake_ms < 5_000, True, node.awake_ms)
    for _ in range(20):
        slept_ms = node.wake()
        check.equal(node.awake_ms < 1_500, True, node.awake_ms)
    check.equal(slept_ms > 14 * MINUTE_MS, True, "nothing is followed that is not there")
    node.away = True
    del node.tries_at[:]
    node.journal.free(node.journal.next)
    for _ in range(4):
        node.wake()
    check.equal(readings(node.journal), [], "told once, however many boots ago")
    node.broken = False
    node.wake()
    check.equal(readings(node.journal), [(0, node.level), (FAULT, 0)])


def test_a_channel_that_is_not_due_is_left_alone_by_a_fault():
    class Two(Sensor):
        CHANNELS = (("waterLevel", 3), ("temperature", 2))

    node = Node(every(15))
    node.broken = True
    clock = SleepClock()
    channels = [Channel(0, every(15)), Channel(1, every(24 * 60))]
    sampler = Sampler("s", Two(node), channels, FAULT, node.journal, clock, Log(lambda line: None))
    sampler.retry_most_ms = 0
    asyncio.run(sampler.round(asyncio.Event()))
    for _ in range(8):
        now.now_ms += sampler.wait_ms()
        asyncio.run(sampler.round(asyncio.Event()))
    data = sampling_sleep.state(sampler)
    long_wait_ms = int.from_bytes(data[22:26], "little")
    check.equal(abs(long_wait_ms - 22 * HOUR_MS) < MINUTE_MS, True, long_wait_ms)


def test_after_power_on_there_is_time_for_the_prompt_and_after_a_wake_there_is_none():
    node = Node(every(15))
    node.wake(woken=False)
    check.equal(node.awake_ms >= GRACE_MS, True, node.awake_ms)
    check.equal(len(node.sends_at), 1, "but it sends at once")
    node.wake()
    check.equal(node.awake_ms < 1_000, True, node.awake_ms)


def test_an_interval_that_is_no_time_to_sleep_is_spent_awake_without_the_radio():
    node = Node(Settings(3 * SECOND_MS))
    seen = []

    async def watched(duration_ms):
        now.now_ms += duration_ms
        seen.append(node.radio)
        if len(seen) == 100:
            raise Enough

    asyncio.sleep_ms = watched
    node.wake(woken=False)
    check.equal(any(seen), False)
    check.equal(len(node.tries_at), 100, "each is taken")
    check.equal(len(node.sends_at), 1)


def test_samples_go_on_while_a_long_backlog_is_sent():
    node = Node(Settings(10 * SECOND_MS), send_interval_ms=HOUR_MS)
    node.until(0.1)
    for _ in range(1_000):
        node.journal.append(0, 0, 3, 0)
    del node.tries_at[:]
    node.until(1.05)
    check.equal(len(node.journal) < 40, True, len(node.journal))
    longest_ms = max(steps(node.tries_at))
    check.equal(longest_ms < 10 * SECOND_MS + 2 * ROUND_TRIP_MS + BOOT_MS, True, longest_ms)


def test_sampling_that_takes_longer_than_its_interval_does_not_keep_it_from_sending():
    node = Node(Settings(SECOND_MS), send_interval_ms=10 * SECOND_MS)
    node.takes_ms = 6 * SECOND_MS

    async def watched(duration_ms):
        now.now_ms += duration_ms
        if len(node.tries_at) == 100:
            raise Enough

    asyncio.sleep_ms = watched
    node.wake(woken=False)
    check.equal(len(node.journal) <= 2, True, len(node.journal))


def test_what_does_not_fit_is_sampled_at_every_wake_and_the_rest_when_due():
    node = Node(every(15), sensors=30)
    node.wake(woken=False)
    check.equal(len(node.memory[CHANNELS]) <= 464, True)
    check.equal(len(node.memory[WAKE]) <= 40 - 2 * 7, True, "with eight links")
    for _ in range(4):
        slept_ms = node.wake()
    check.equal(slept_ms > 14 * MINUTE_MS, True)
    check.equal(len(node.tries_at), 30 * 5)


def test_links_are_told_how_long_the_sleep_was():
    node = Node(every(15))
    node.wake(woken=False)
    slept_ms = node.wake()
    node.wake()
    state, elapsed_ms = node.links_restored
    check.equal(state, b"\x01\x20")
    check.equal(elapsed_ms, slept_ms + BOOT_MS)


def test_safe_mode_sends_its_report_and_sleeps_for_an_interval():
    node = Node(every(15), sensors=0)
    node.boots.safe = True
    node.away = True
    slept_ms = node.wake(woken=False)
    check.equal(30 * MINUTE_MS < slept_ms <= HOUR_MS, True, slept_ms)
    node.away = False
    node.wake()
    check.equal(node.reports, 1)
    check.equal(node.wake(), HOUR_MS)
    check.equal(node.boots.forgiven, 0, "that is no good boot")


if __name__ == "__main__":
    check.main(globals())
