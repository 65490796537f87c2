"""Numbers that must never be used twice, whatever is cut when."""

import sys


class Nvs:
    # NVS whose power can be cut: what is not committed is gone with cut().
    stored = {}

    def __init__(self, namespace):
        check.equal(namespace, "feltpost")
        self._values = dict(self.stored)

    def get_i32(self, key):
        if key not in self._values:
            raise OSError(-0x1102)
        return self._values[key]

    def set_i32(self, key, value):
        self._values[key] = value

    def get_blob(self, key, buf):
        value = self.get_i32(key)
        buf[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self._values[key] = bytes(value)

    def commit(self):
        Nvs.stored = dict(self._values)


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32

import check  # noqa: E402
from feltpost import identity, reserve  # noqa: E402
from feltpost.channel_table import ChannelTable  # noqa: E402
from feltpost.retained import Retained  # noqa: E402

KEY = bytes(range(16))


def boot():
    Nvs.stored.update({"key": KEY, "key_id": b"\x01\x02"})
    return identity.Identity()


def test_key_and_key_id():
    node = boot()
    check.equal((node.key, node.key_id), (KEY, b"\x01\x02"))


def test_no_number_comes_twice_however_often_the_power_is_cut():
    used = set()
    for boot_number in range(40):
        sequence = boot().sequence
        # Another count each time, over block boundaries too.
        for _ in range(boot_number * 7 % 300):
            number = sequence.next()
            check.equal(number in used, False, number)
            used.add(number)


def test_a_number_is_reserved_before_it_is_used():
    sequence = boot().sequence
    for _ in range(500):
        number = sequence.next()
        check.equal(number < Nvs.stored["ssn"], True, number)


class Rtc:
    # RTC memory; with torn set, a write does no more than that and raises Reset.
    def __init__(self):
        self.data = b""
        self.torn = None

    def memory(self, data=None):
        if data is None:
            return self.data
        if self.torn is None:
            self.data = bytes(data)
            return None
        done, self.torn = self.torn, None
        self.data = bytes(data[:done]) + self.data[done:]
        raise Reset


class Reset(Exception):
    pass


def woken(rtc):
    Nvs.stored.update({"key": KEY, "key_id": b"\x01\x02"})
    return identity.Identity(Retained(rtc.memory))


def test_waking_skips_no_number():
    rtc = Rtc()
    numbers = [woken(rtc).sequence.next() for _ in range(300)]
    check.equal(numbers, list(range(300)))
    check.equal(Nvs.stored["ssn"], 384)


def test_a_reset_while_a_number_is_noted_repeats_none():
    rtc = Rtc()
    used = set()
    sequence = woken(rtc).sequence
    for done in range(300, 440):
        rtc.torn = done
        check.raises(Reset, sequence.next)
        sequence = woken(rtc).sequence
        for _ in range(3):
            number = sequence.next()
            check.equal(number in used, False, number)
            used.add(number)


def test_numbers_that_a_boot_used_without_noting_them_in_rtc_memory():
    for count in (127, 128, 129):
        Nvs.stored.pop("ssn", None)
        rtc = Rtc()
        used = [woken(rtc).sequence.next() for _ in range(count)]
        used.append(boot().sequence.next())
        used.append(woken(rtc).sequence.next())
        check.equal(len(set(used)), count + 2, count)


def test_lost_power_skips_to_what_was_never_reserved():
    numbers = []
    rtc = Rtc()
    for _ in range(3):
        numbers.append(woken(rtc).sequence.next())
    check.equal(woken(Rtc()).sequence.next(), 128)
    check.equal(woken(rtc).sequence.next(), 256, "what RTC memory has is out of date")
    # A node that was given a new key begins anew, whatever RTC memory says.
    del Nvs.stored["ssn"]
    check.equal(woken(rtc).sequence.next(), 0)


def test_a_boot_goes_on_where_it_is_resumed():
    rtc = Rtc()
    boots = []
    for resumed in (False, True, True, False, True):
        retained = Retained(rtc.memory)
        boots.append(boot().boot(retained, resumed))
    check.equal(boots, [1, 1, 1, 2, 2])
    check.equal(boot().boot(Retained(Rtc().memory), True), 3, "with RTC memory lost")


def test_every_journal_has_a_number_of_its_own():
    numbers = [boot().new_journal() for _ in range(5)]
    check.equal(numbers, [1, 2, 3, 4, 5])


def test_every_boot_has_a_larger_number():
    numbers = [boot().new_boot() for _ in range(5)]
    check.equal(numbers, [1, 2, 3, 4, 5])


def test_channels_keep_their_numbers_whatever_is_configured_later():
    first = ChannelTable()
    check.equal([first.number("co2", "ppm"), first.number("x.y", None)], [0, 1])
    second = ChannelTable()
    check.equal(second.entries, [("co2", "ppm"), ("x.y", None)])
    check.equal([second.number("temperature", "Cel"), second.number("x.y", None)], [2, 1])
    check.equal(second.number("co2", "%"), 3, "another unit is another channel")
    check.equal(ChannelTable().entries[2], ("temperature", "Cel"))


def test_the_channel_table_is_bounded():
    table = ChannelTable()
    entered = 0
    while entered < 300:
        try:
            table.number(f"channel-with-a-rather-long-name.{entered}", "Cel")
        except ValueError:
            break
        entered += 1
    check.equal(50 < entered <= 256, True, entered)
    check.equal(len(ChannelTable().entries), entered, "what fitted is kept")
    check.equal(table.number("channel-with-a-rather-long-name.0", "Cel"), 0)


def test_the_last_numbers_are_not_reached():
    Nvs.stored["ssn"] = 0x7FFFFFFF - 100
    check.raises(reserve.Exhausted, boot().sequence.next)


def test_without_a_key():
    Nvs.stored.clear()
    check.raises(identity.NotEnrolled, identity.Identity)
    Nvs.stored.update({"key": b"short", "key_id": b"\x01"})
    check.raises(identity.NotEnrolled, identity.Identity)


if __name__ == "__main__":
    check.main(globals())
