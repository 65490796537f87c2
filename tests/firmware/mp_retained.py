"""RTC memory's sections: what a reset at any byte of any write leaves of them."""

import struct

import check
from feltpost.retained import (
    BOOT,
    CHANNELS,
    CLOCK,
    COUNTS,
    HEALTH,
    JOURNAL,
    SEQUENCE,
    WAKE,
    Retained,
)

_ROOMS = {
    HEALTH: 16,
    BOOT: 16,
    COUNTS: 64,
    CLOCK: 40,
    WAKE: 40,
    SEQUENCE: 8,
    CHANNELS: 464,
}
_BYTES = 2048


class Reset(Exception):
    pass


class Rtc:
    """RTC memory as the ESP32 port gives it; reset_after: how much of the next write is done."""

    def __init__(self):
        self.data = bytearray(_BYTES)
        self.length = 0
        self.writes = 0
        self.reset_after = None

    def memory(self, data=None):
        if data is None:
            return bytes(self.data[: self.length])
        assert len(data) <= _BYTES
        done = len(data) if self.reset_after is None else self.reset_after
        self.data[:done] = data[:done]
        if self.reset_after is not None:
            self.reset_after = None
            raise Reset
        self.length = len(data)
        self.writes += 1
        return None


def content(section, mark):
    return bytes(mark + section + i & 0xFF for i in range(_ROOMS[section]))


def filled(rtc):
    kept = Retained(rtc.memory)
    for section in _ROOMS:
        kept.put(section, content(section, 1))
    return kept


def test_nothing_is_kept_at_first_and_all_after():
    rtc = Rtc()
    kept = Retained(rtc.memory)
    for section in _ROOMS:
        check.equal(kept.get(section), None)
    filled(rtc)
    again = Retained(rtc.memory)
    for section in _ROOMS:
        check.equal(again.get(section), content(section, 1), section)
    check.equal(Retained(rtc.memory, kept=False).get(BOOT), None, "after a power-on")


def test_a_section_holds_what_was_put_last_however_often():
    rtc = Rtc()
    kept = filled(rtc)
    # Beyond the generation's 16 bits.
    for i in range(65_600):
        kept.put(SEQUENCE, struct.pack("<I", i))
        if i < 40 or i >= 65_500:
            check.equal(Retained(rtc.memory).get(SEQUENCE), struct.pack("<I", i))
    check.equal(kept.get(WAKE), content(WAKE, 1))


def test_data_may_be_shorter_than_its_room_and_not_longer():
    rtc = Rtc()
    kept = Retained(rtc.memory)
    kept.put(CLOCK, b"abc")
    check.equal(Retained(rtc.memory).get(CLOCK), b"abc")
    kept.put(CLOCK, b"")
    check.equal(Retained(rtc.memory).get(CLOCK), b"")
    check.raises(ValueError, kept.put, SEQUENCE, bytes(9))


def test_a_node_that_keeps_little_writes_little():
    rtc = Rtc()
    kept = Retained(rtc.memory)
    kept.put(HEALTH, content(HEALTH, 1))
    check.equal(rtc.length, 48)
    kept.put(CHANNELS, content(CHANNELS, 1))
    check.equal(Retained(rtc.memory).get(HEALTH), content(HEALTH, 1))


def test_a_reset_at_any_byte_leaves_the_old_content_or_the_new():
    for section in _ROOMS:
        for generation in range(2):
            done = 0
            while done < _BYTES:
                rtc = Rtc()
                kept = filled(rtc)
                for i in range(generation):
                    kept.put(section, content(section, 2 + i))
                old, new = content(section, 1 + generation), content(section, 9)
                rtc.reset_after = done
                check.raises(Reset, kept.put, section, new)
                again = Retained(rtc.memory)
                for other in _ROOMS:
                    got = again.get(other)
                    if other != section:
                        check.equal(got, content(other, 1), (section, done, other))
                    elif section == CHANNELS:
                        check.equal(got in (old, new, None), True, (section, done))
                    else:
                        check.equal(got in (old, new), True, (section, done))
                again.put(section, new)
                check.equal(Retained(rtc.memory).get(section), new, (section, done))
                done += 5 if done < 600 else 61


def test_damage_is_found():
    rtc = Rtc()
    filled(rtc)
    for position in range(rtc.length):
        rtc.data[position] ^= 1 << position % 8
        kept = Retained(rtc.memory)
        for section in _ROOMS:
            got = kept.get(section)
            check.equal(got in (content(section, 1), None), True, (position, section))
        rtc.data[position] ^= 1 << position % 8


def test_the_tail_is_kept_and_is_nobody_elses():
    rtc = Rtc()
    kept = filled(rtc)
    kept.put(JOURNAL, bytes(100))
    tail = kept.tail()
    check.equal(len(tail) >= 40 * 16, True, len(tail))
    tail[:] = b"\xa5" * len(tail)
    kept.store()
    again = Retained(rtc.memory)
    for section in _ROOMS:
        check.equal(again.get(section), content(section, 1))
        again.put(section, content(section, 2))
    check.equal(bytes(again.tail()), b"\xa5" * len(tail))


if __name__ == "__main__":
    check.main(globals())
