"""What nodes and broker had been told when the power went, and whether the store keeps to it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from aiocoap.numbers import codes
from tests.gateway.crash_site import JOURNAL, Courier, Heard
from tests.gateway.power_loss.recording import HandedOver, Told

from feltpost_gateway.transaction import GapReason, pack_checksum

_WINDOW_NUMBERS = 32

Numbers = dict[str, set[int]]
"""Numbers of the journal, by a node's URN."""


@dataclass
class Known:
    """All that must hold after a power loss, for what was told up to then.

    `kept` are readings that must be in the store, `handed_over` those that the broker has. With
    `is_pruned`, what is both may have been deleted; with `is_damaged`, the store was salvaged, and
    gaps may say so.
    """

    kept: Numbers = field(default_factory=lambda: defaultdict(set))
    handed_over: Numbers = field(default_factory=lambda: defaultdict(set))
    requests: dict[bytes, set[int]] = field(default_factory=lambda: defaultdict(set))
    own_numbers: dict[bytes, int] = field(default_factory=dict)
    is_pruned: bool = False
    is_damaged: bool = False

    def take(self, event: Told | HandedOver, answers: dict[bytes, tuple[Courier, Heard]]) -> None:
        """Note what was told; `answers` are those that nodes could decrypt."""
        if isinstance(event, HandedOver):
            self.handed_over[event.urn].update(event.numbers)
        elif event.datagram in answers:
            courier, heard = answers[event.datagram]
            key_id = courier.enrolled.key_id
            if heard.own_number is not None:
                self.own_numbers[key_id] = max(heard.own_number, self.own_numbers.get(key_id, 0))
            if heard.code == codes.CHANGED:
                self.requests[key_id].add(heard.request_number)
                self.kept[courier.urn].update(range(heard.first, heard.first + heard.count))

    def check(self, path: Path) -> int:
        """Compare with the store, which nobody has open; return how many readings were looked for.

        Raises `AssertionError` with what is wrong.
        """
        with closing(sqlite3.connect(path)) as store:
            urns = dict(store.execute("SELECT id, 'urn:dev:mac:' || lower(hex(eui64)) FROM nodes"))
            self._check_security(store)
            return self._check_readings(store, urns)

    def _check_readings(self, store: sqlite3.Connection, urns: dict[int, str]) -> int:
        stored: Numbers = defaultdict(set)
        cursor = store.execute("SELECT coalesce(min(pack_id), 0) FROM cursors").fetchone()[0]
        packs = store.execute("SELECT * FROM packs WHERE journal = ?", (JOURNAL,))
        for pack_id, *row, checksum in packs:
            assert pack_checksum(*row) == checksum, f"pack {pack_id} is damaged"
            node_id, _, first, count, *_ = row
            numbers = range(first, first + count)
            assert stored[urns[node_id]].isdisjoint(numbers), f"pack {pack_id} is there twice"
            stored[urns[node_id]].update(numbers)
            if pack_id <= cursor:
                assert self.handed_over[urns[node_id]].issuperset(numbers), (
                    f"the cursor {cursor} has passed pack {pack_id}, and no PUBACK has come for it"
                )
        for urn, kept in self.kept.items():
            missing = kept - stored[urn]
            if self.is_pruned:
                missing -= self.handed_over[urn]
            assert not missing, f"{urn} was told that {sorted(missing)[:9]} are kept; they are gone"
        for node_id, journal, next_seq, kept_from in store.execute("SELECT * FROM journals"):
            if journal == JOURNAL:
                gaps = self._gaps(store, node_id)
                assert stored[urns[node_id]].isdisjoint(gaps), "a gap for what is there"
                unaccounted = set(range(kept_from, next_seq)) - stored[urns[node_id]] - gaps
                assert not unaccounted, f"{sorted(unaccounted)[:9]} are neither kept nor a gap"
        return sum(map(len, self.kept.values()))

    def _check_security(self, store: sqlite3.Connection) -> None:
        rows = store.execute(
            "SELECT key_id, window_index, window_bits, sender_reserved FROM oscore"
        ).fetchall()
        for key_id, index, bits, reserved in rows:
            own = self.own_numbers.get(key_id, -1)
            assert reserved > own, f"Partial IV {own} of key {key_id.hex()} could be used again"
            if index is not None:
                again = [n for n in self.requests[key_id] if _is_new(n, index, bits)]
                assert not again, f"requests {again} of key {key_id.hex()} could come again"
        used = {*self.own_numbers, *(key for key, numbers in self.requests.items() if numbers)}
        assert used <= {row[0] for row in rows}, "the state of a key is gone"

    def _gaps(self, store: sqlite3.Connection, node_id: int) -> set[int]:
        rows = store.execute(
            "SELECT first, count, reason FROM gaps WHERE node_id = ? AND journal = ?",
            (node_id, JOURNAL),
        ).fetchall()
        damaged = [row for row in rows if row[2] == GapReason.DAMAGED]
        assert self.is_damaged or not damaged, "the store was damaged"
        return {number for first, count, _ in rows for number in range(first, first + count)}


def _is_new(number: int, index: int, bits: int) -> bool:
    """Tell whether a replay window lets a number through (RFC 8613 section 7.4)."""
    if number < index:
        return False
    return number >= index + _WINDOW_NUMBERS or not bits >> (number - index) & 1


def answers_of(couriers: Iterable[Courier]) -> dict[bytes, tuple[Courier, Heard]]:
    return {heard.datagram: (courier, heard) for courier in couriers for heard in courier.heard}
