"""What the registry makes of enrolments: a new node, the same once more, a new key, a refusal.

Each enrolment counts as a whole or not at all, and the same one again changes nothing.
"""

import hmac
from collections.abc import Sequence

from feltpost_gateway.clock import Clock
from feltpost_gateway.enrolment import (
    COLUMNS,
    Enrolment,
    Outcome,
    Question,
    Status,
    check_value,
)
from feltpost_gateway.logs import EventLog
from feltpost_gateway.nodes import (
    FieldFault,
    FieldsError,
    Node,
    OperatorError,
    format_mac,
    node_from_columns,
    node_to_columns,
    normalise,
    parse_mac,
)
from feltpost_gateway.registry import Registry
from feltpost_gateway.registry_rows import DeclaredIn, RegisteredNode, RegistryRows
from feltpost_gateway.texts import Text, text


class _RefusedError(OperatorError):
    """An enrolment can't be taken for a reason that has a status of its own."""

    def __init__(self, status: Status, message: Text, column: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.column = column


class Enroller:
    """Takes enrolments into `registry`, whichever way they come."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._log = EventLog("enrolment")

    async def enrol(
        self,
        enrolments: Sequence[Enrolment],
        by: str,
        *,
        dry_run: bool = False,
        new_only: bool = False,
    ) -> list[Outcome]:
        """Enrol nodes in one commit and return what came of each, in that order.

        `by` says in the log which way they came. `new_only` refuses to give another key to a node
        that is known. Raises `StoreUnavailableError` where the store can't be written to.
        """
        now_ms = self._clock.now_ms()

        def run(rows: RegistryRows) -> list[Outcome]:
            return [_attempt(rows, enrolment, now_ms, new_only) for enrolment in enrolments]

        outcomes = await self._registry.change(run, dry_run=dry_run)
        if not dry_run:
            for enrolment, outcome in zip(enrolments, outcomes, strict=True):
                self._note(enrolment, outcome, by)
        return outcomes

    def knows(self, question: Question) -> bool:
        """Tell whether a node is on the list with the key that is asked for."""
        return any(
            hmac.compare_digest(check_value(key.key), question.check)
            for row in self._registry.nodes
            if row.node.eui64 == question.eui64
            for key in self._registry.keys_of(row.id)
        )

    def _note(self, enrolment: Enrolment, outcome: Outcome, by: str) -> None:
        mac, key_id = enrolment.columns.get("mac", ""), enrolment.key_id.hex()
        if not outcome.status.refused:
            event = f"enrolment-{outcome.status.name.lower()}"
            self._log.info(event, mac=mac, node=outcome.node, key_id=key_id, by=by)
            return
        reasons = "; ".join(f"{fault.column} {fault.text}".strip() for fault in outcome.faults)
        self._log.limited(
            (by, outcome.status), "enrolment-refused", mac=mac, key_id=key_id, by=by, reason=reasons
        )


def _attempt(rows: RegistryRows, enrolment: Enrolment, now_ms: int, new_only: bool) -> Outcome:
    try:
        return _enrol(rows, enrolment, now_ms, new_only)
    except FieldsError as error:
        return Outcome(Status.MALFORMED, faults=tuple(error.faults))
    except _RefusedError as error:
        return Outcome(error.status, faults=(FieldFault(error.column, error.text),))


def _enrol(rows: RegistryRows, enrolment: Enrolment, now_ms: int, new_only: bool) -> Outcome:
    # All is checked before anything is written, so that a refusal has nothing to undo.
    given = {column: value for column, value in enrolment.columns.items() if value}
    eui64 = node_from_columns(given).eui64
    row = rows.find(eui64)
    listed = row if row is not None and not row.removed else None
    described = listed is not None and listed.declared_in is not DeclaredIn.LOST
    before = node_to_columns(listed.node) if listed is not None and described else {}
    node = node_from_columns({**before, **given})
    after = node_to_columns(node)
    different = tuple(name for name in COLUMNS if before and before[name] != after[name])

    keys = rows.keys_of(row.id) if row is not None else []
    has_key = (enrolment.key_id, enrolment.key) in [(key.key_id, key.key) for key in keys]
    replaces = not has_key and _check_key(rows, enrolment, listed, new_only)
    saves = not before or (enrolment.update and bool(different))
    if saves:
        _check_name(rows, node)
        rows.save_node(node, DeclaredIn.REGISTRY)
    stored = rows.find(eui64)
    assert stored is not None
    if not has_key:
        rows.take_over(stored.id)
        rows.supersede_key(stored.id, enrolment.key_id, enrolment.key, now_ms)
    return Outcome(_status(has_key, replaces, saves), stored.node.path, different)


def _status(has_key: bool, replaces: bool, saves: bool) -> Status:
    if has_key:
        return Status.UPDATED if saves else Status.ALREADY
    return Status.REPLACED if replaces else Status.ENROLLED


def _check_key(
    rows: RegistryRows, enrolment: Enrolment, row: RegisteredNode | None, new_only: bool
) -> bool:
    """Tell whether a new key replaces another one; raise `_RefusedError` where it must not.

    `row` is None for a node that is not on the list.
    """
    mac = enrolment.columns["mac"]
    taken = rows.owner_of_key(enrolment.key_id)
    if taken is not None:
        eui64, valid = taken
        if not valid and eui64 == parse_mac(normalise(mac)):
            # Else an old enrolment file would let in whoever has a key that was given up.
            raise _RefusedError(
                Status.KEY_REVOKED,
                text("this key was taken away from the node before. Give the node a new one"),
            )
        raise _RefusedError(
            Status.KEY_ID_TAKEN,
            text(
                "the key id 0x{key_id} belongs to a key of {mac} already. Give the new key"
                " another id",
                key_id=enrolment.key_id.hex(),
                mac=format_mac(eui64),
            ),
        )
    if row is None or not rows.had_keys(row.id):
        return False
    if not enrolment.replaces:
        raise _RefusedError(
            Status.OTHER_KEY,
            text(
                "{node} is enrolled with another key. Is it the right board? To give it a new key"
                " on purpose, flash it with --new-identity",
                node=row.node.path,
            ),
        )
    if new_only:
        raise _RefusedError(
            Status.CODE_FOR_NEW_NODES,
            text(
                "{node} is enrolled with another key, and this code is for new nodes only. Ask for"
                " one made with: enrol-code --replace",
                node=row.node.path,
            ),
        )
    return True


def _check_name(rows: RegistryRows, node: Node) -> None:
    namesake = rows.namesake(node)
    if namesake is not None:
        raise _RefusedError(
            Status.NAME_TAKEN,
            text("{node} is the name of {mac} already", node=node.path, mac=format_mac(namesake)),
            "name",
        )
