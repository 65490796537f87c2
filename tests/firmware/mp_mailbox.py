"""A new key by mail: whatever is cut, lost or forged, node and gateway go on speaking."""

import check
from feltpost import cbor
from mail_node import NEW, OLD, OTHER, Board, Gateway, Nvs, PowerCut, mail_of


def enrolled(at_once=False):
    """Return a gateway, and a board whose NVS has the key that the gateway knows."""
    Nvs.stored = {"key": OLD[0], "key_id": OLD[1]}
    Nvs.at_once = at_once
    Nvs.cut = None
    Nvs.writes = 0
    Nvs.full = False
    return Gateway()


def has(pair):
    """Tell whether that is the board's only key."""
    return (Nvs.stored["key"], Nvs.stored["key_id"]) == pair and "new_key" not in Nvs.stored


def test_a_new_key_is_fetched_and_used_when_all_else_is_sent():
    gateway = enrolled()
    gateway.rotate(NEW)
    board = Board(gateway)
    lines = board.lines
    board.send()
    check.equal(gateway.paths, ["t", "j/1/0", "m"])
    check.equal((board.boots, has(OLD), gateway.pairs), (2, False, [OLD, NEW]))
    lines += board.lines
    check.equal(board.send(), 0)
    check.equal((has(NEW), gateway.pairs), (True, [NEW]))
    check.equal(gateway.paths[3:], ["t", "j/2/0"])
    check.equal((board.uplink.waiting(), board.uplink.trial), (False, None))
    board.start()
    check.equal((board.send(), gateway.paths[5:]), (0, ["t", "j/3/0"]))
    for key in (OLD[0], NEW[0]):
        check.equal([line for line in lines if repr(key) in line or key.hex() in line], [])


def test_a_new_key_is_tried_even_with_nothing_to_send():
    gateway = enrolled()
    gateway.rotate(NEW)
    board = Board(gateway, readings=0)
    board.sample()
    board.send()
    check.equal((board.boots, board.uplink.waiting(), len(board.journal)), (2, True, 0))
    board.send()
    check.equal((has(NEW), board.uplink.waiting()), (True, False))


def test_without_mail_nothing_is_asked_for():
    gateway = enrolled()
    board = Board(gateway)
    for _ in range(3):
        board.send()
        board.sample()
    check.equal((board.boots, [path for path in gateway.paths if path == "m"]), (1, []))


def live(gateway):
    """Run a board until the power goes, and then in peace until it has a key for good."""
    board = None
    try:
        board = Board(gateway)
        for _ in range(3):
            board.send()
            board.sample()
    except PowerCut:
        # Readings in RAM are lost; on flash they would not be.
        pass
    Nvs.cut = None
    gateway.fate = lambda number: True
    board = board or Board(gateway)
    for _ in range(3):
        board.start()
        boot = board.boots
        check.equal(board.send(), 0)
        check.equal(gateway.arrived[str(boot)], {0, 1, 2})


def test_the_power_is_cut_at_every_write_to_nvs():
    for at_once in (False, True):
        cut = 0
        while True:
            gateway = enrolled(at_once)
            gateway.rotate(NEW)
            Nvs.cut = cut
            live(gateway)
            check.equal((has(NEW), gateway.pairs), (True, [NEW]), (at_once, cut))
            if Nvs.writes < cut:
                break
            cut += 1
        check.equal(cut > 8, True, cut)


def cut_at(number):
    def fate(at):
        if at == number:
            raise PowerCut
        return True

    return fate


def lose_from(number, count):
    return lambda at: not number <= at < number + count


def test_the_power_is_cut_before_and_after_every_message():
    for number in range(20):
        gateway = enrolled()
        gateway.rotate(NEW)
        gateway.fate = cut_at(number)
        live(gateway)
        check.equal((has(NEW), gateway.pairs), (True, [NEW]), number)


def test_messages_get_lost():
    # Some are sent again, and some exchanges fail.
    for count in (1, 2, 8):
        for number in range(12):
            gateway = enrolled()
            gateway.rotate(NEW)
            gateway.fate = lose_from(number, count)
            board = Board(gateway)
            for _ in range(20):
                board.send()
                board.sample()
            check.equal((has(NEW), gateway.pairs), (True, [NEW]), (count, number))
            numbers = gateway.arrived[str(board.boots)]
            check.equal(len(numbers), board.journal.first, "nothing freed too early")


class Forger(Gateway):
    """A gateway beside which somebody refuses what he likes, before it sees it."""

    def __init__(self, forged):
        super().__init__()
        self.forged = forged
        self._number = 0

    def handle(self, data):
        self._number += 1
        pairs = self.pairs
        if self._number in self.forged:
            self.pairs = []
        try:
            return super().handle(data)
        finally:
            if self._number in self.forged:
                self.pairs = pairs


def test_forged_refusals_take_no_key_away():
    for first in range(1, 10):
        for count in (1, 2, 3, 5):
            enrolled()
            gateway = Forger(range(first, first + count))
            gateway.rotate(NEW)
            board = Board(gateway)
            # The mail comes again in time.
            for _ in range(20):
                board.send()
                board.sample()
            check.equal((has(NEW), gateway.pairs), (True, [NEW]), (first, count))


def with_a_new_key():
    """Return a gateway and a board that has fetched a new key and not used it yet."""
    gateway = enrolled()
    gateway.rotate(NEW)
    board = Board(gateway)
    board.send()
    check.equal(Nvs.stored["new_key"], NEW[0] + NEW[1])
    return gateway, board


def test_a_key_that_the_gateway_gave_up_again():
    gateway, board = with_a_new_key()
    gateway.rotate(OTHER)
    # After some refusals of what was given up it is the old key's turn.
    check.equal((board.send(), board.boots), (6, 3))
    check.equal((board.send(), has(OLD)), (0, True))
    for _ in range(20):
        board.sample()
        check.equal(board.send(), 0)
    check.equal((has(OTHER), gateway.pairs, board.boots), (True, [OTHER], 4))


def test_a_node_that_was_given_another_key_by_cable():
    gateway, board = with_a_new_key()
    gateway.pairs = [OTHER]
    gateway.mail = b"\xa0"
    Nvs.stored.update({"key": OTHER[0], "key_id": OTHER[1]})
    board.start()
    check.equal(board.send(), 6)
    check.equal(board.send(), 0)
    check.equal(has(OTHER), True)


def test_a_refusal_after_a_cut_in_the_middle_of_the_change():
    gateway, board = with_a_new_key()
    gateway.pairs = [NEW]
    gateway.mail = b"\xa0"
    # The key is the new one already, its id is not yet; and somebody forged refusals then.
    Nvs.stored.update({"key": NEW[0], "key_turn": 1})
    board.start()
    check.equal(board.send(), 6)
    check.equal(board.send(), 0)
    check.equal(has(NEW), True)


def test_a_gateway_that_knows_neither_key():
    gateway, board = with_a_new_key()
    pairs, gateway.pairs = gateway.pairs, []
    for _ in range(4):
        board.send()
    check.equal((Nvs.stored["key"], Nvs.stored["new_key"]), (OLD[0], NEW[0] + NEW[1]))
    # As it is while a gateway can't open its store.
    gateway.pairs = pairs
    board.send()
    for _ in range(20):
        board.sample()
        board.send()
    check.equal((has(NEW), gateway.pairs), (True, [NEW]))


DAMAGED = (
    b"",
    b"\x80",
    b"\x01",
    b"\xa1\x00\x01",
    b"\xa1\x00\xa0",
    b"\xa1\x00\xa1\x00\x42\x77\x01",
    mail_of((NEW[0][:15], NEW[1])),
    mail_of((NEW[0] + b"\x00", NEW[1])),
    mail_of((NEW[0], b"")),
    mail_of((NEW[0], bytes(8))),
    mail_of(NEW)[:-1],
    mail_of(NEW) + b"\x00",
)


def test_damaged_mail_is_refused_and_not_asked_for_again_at_once():
    for mail in DAMAGED:
        gateway = enrolled()
        gateway.rotate(NEW)
        gateway.mail = mail
        # Said by answers, whatever the mail is.
        waits = gateway._answer
        gateway._answer = lambda *args, waits=waits: with_mail(waits(*args))
        board = Board(gateway)
        for _ in range(18):
            check.equal(board.send(), 0)
            board.sample()
        check.equal("mail refused" in "".join(board.lines), True, board.lines)
        check.equal((has(OLD), len(gateway.arrived["1"]), board.boots), (True, 20, 1), mail)
        # On a busy machine a message may be sent again, of which the node counts one answer.
        paths = []
        for path in gateway.paths:
            if path not in paths[-1:]:
                paths.append(path)
        asked = [number for number, path in enumerate(paths) if path == "m"]
        # The seventeenth answer is heeded again.
        check.equal((len(asked), asked[1] - asked[0]), (2, 18), paths)


def with_mail(answer):
    code, payload = answer
    if payload[:2] == b"\xa1\x00":
        payload = b"\xa2" + payload[1:] + b"\x02\xf5"
    return code, payload


def test_what_is_not_known_in_the_mail_is_passed_over():
    for mail, pair in (
        (b"\xa0", OLD),
        (b"\xa1\x01\xa1\x63abc\xf5", OLD),
        (b"\xa2\x18\x2a\x81\x01" + mail_of(NEW)[1:], NEW),
        (b"\xa1\x00\xa3\x09\xf6" + mail_of(NEW)[3:], NEW),
    ):
        gateway = enrolled()
        gateway.rotate(NEW)
        gateway._answer = lambda *args, answer=gateway._answer: with_mail(answer(*args))
        gateway.mail = mail
        board = Board(gateway)
        check.equal(board.send(), 0)
        check.equal("refused" in "".join(board.lines), False, board.lines)
        check.equal("new_key" in Nvs.stored, pair is NEW, mail)


def test_nvs_that_takes_nothing():
    gateway = enrolled()
    gateway.rotate(NEW)
    board = Board(gateway)
    gateway.fate = lambda number: setattr(Nvs, "full", number >= 4) or True
    check.equal(board.send(), 0)
    check.equal((has(OLD), gateway.arrived), (True, {"1": {0, 1, 2}}))
    check.equal("mail refused" in board.lines[-1], True, board.lines)
    # With room again, it is fetched again in time.
    gateway.fate = lambda number: True
    Nvs.full = False
    for _ in range(18):
        board.sample()
        board.send()
    check.equal((has(NEW), gateway.pairs), (True, [NEW]))


def test_nvs_that_takes_nothing_more_once_the_new_key_is_there():
    gateway, board = with_a_new_key()
    first = gateway.messages
    gateway.fate = lambda number: setattr(Nvs, "full", number > first) or True
    check.equal(board.send(), 0)
    check.equal("can't be written" in "".join(board.lines), True, board.lines)
    board.sample()
    check.equal(board.send(), 0, "the new key is in use all the same")
    Nvs.full = False
    gateway.fate = lambda number: True
    board.start()
    check.equal(board.send(), 0)
    check.equal(has(NEW), True)


def test_without_memory_the_mail_waits():
    gateway = enrolled()
    gateway.rotate(NEW)
    board = Board(gateway)
    heap_has_room = cbor.decode

    def no_memory(data):
        if gateway.paths[-1] == "m":
            raise MemoryError
        return heap_has_room(data)

    cbor.decode = no_memory
    check.equal(board.send(), 0)
    cbor.decode = heap_has_room
    check.equal((has(OLD), gateway.arrived), (True, {"1": {0, 1, 2}}))
    for _ in range(18):
        board.sample()
        check.equal(board.send(), 0)
    check.equal((has(NEW), gateway.pairs), (True, [NEW]))


if __name__ == "__main__":
    check.main(globals())
