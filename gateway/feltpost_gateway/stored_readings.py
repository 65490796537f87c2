"""From a stored pack back to its readings."""

from feltpost_gateway import senml
from feltpost_gateway.errors import PackError
from feltpost_gateway.formats.base import Reading
from feltpost_gateway.transaction import StoredPack

_UNNUMBERED_JOURNAL = 0


def readings_of(pack: StoredPack) -> list[Reading]:
    """Return the readings that a row of packs stands for.

    Raises `PackError` or `ClockNotSetError` where the pack is not what it was when it came.
    """
    records = senml.decode(
        pack.body,
        now_ms=pack.received_ms,
        base_name=f"urn:dev:mac:{pack.node.eui64.hex()}_",
        short_floats=pack.journal != _UNNUMBERED_JOURNAL,
    )
    wanted = records[pack.skip : pack.skip + pack.count]
    if len(wanted) != pack.count:
        raise PackError(f"it has {len(records)} records, not those that were counted")
    return [Reading(pack.first + index, record) for index, record in enumerate(wanted)]
