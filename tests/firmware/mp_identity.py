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

    def commit(self):
        Nvs.stored = dict(self._values)


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32

import check  # noqa: E402
from feltpost import identity  # noqa: E402

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


def test_every_journal_has_a_number_of_its_own():
    numbers = [boot().new_journal() for _ in range(5)]
    check.equal(numbers, [1, 2, 3, 4, 5])


def test_the_last_numbers_are_not_reached():
    Nvs.stored["ssn"] = 0x7FFFFFFF - 100
    check.raises(identity.Exhausted, boot().sequence.next)


def test_without_a_key():
    Nvs.stored.clear()
    check.raises(identity.NotEnrolled, identity.Identity)
    Nvs.stored.update({"key": b"short", "key_id": b"\x01"})
    check.raises(identity.NotEnrolled, identity.Identity)


if __name__ == "__main__":
    check.main(globals())
