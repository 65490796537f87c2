"""The node's key on a board: made once, kept, told from others, read where enrolling needs it.

The board gets it through mpremote's stdin. It is in no argument, file, log or message of ours.
"""

import secrets
from dataclasses import dataclass, field

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import NoKey
from feltpost_tools.flashing import script
from feltpost_tools.language import _

_SCRIPTS = ("keys",)
_TIMEOUT_S = 30.0

_KEY_BYTES = 16
_KEY_ID_BYTES = 4
# Each digit of a journal's number is a byte in every request.
_JOURNALS = 10_000


@dataclass(frozen=True)
class NodeKey:
    """A node's OSCORE master secret and its key id."""

    key_id: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class KeyOnBoard:
    """The key that a board has now: its id, what tells it from others, itself if it is new.

    check: feltpost_gateway.enrolment.check_value of the key, computed on the board. made: None
    where the board had a key and kept it.
    """

    key_id: bytes
    check: bytes
    made: NodeKey | None


async def ensure(board: Mpremote, new_identity: bool = False) -> KeyOnBoard:
    """See to it that a board has a key; new_identity: another one than it had.

    Cut short, it leaves the board with the key it had, with the new one, or, where a new identity
    was asked for, without; never with a key under another's id. Raises a DeviceError.
    """
    made = NodeKey(secrets.token_bytes(_KEY_ID_BYTES), secrets.token_bytes(_KEY_BYTES))
    journal = 1 + secrets.randbelow(_JOURNALS)
    keep = script.call("keep_key", made.key.hex(), made.key_id.hex(), journal, new_identity)
    lines = await script.run(board, _SCRIPTS, keep, timeout_s=_TIMEOUT_S)
    told = {what: values for what, *values in lines}
    key_id, check = (bytes.fromhex(value) for value in told["key"])
    return KeyOnBoard(key_id, check, None if told["kept"][0] else made)


async def look(board: Mpremote) -> KeyOnBoard | None:
    """Return what tells a board's key from others, None where it has none. Raises a DeviceError."""
    told = await script.run(board, _SCRIPTS, script.call("tell_key"), timeout_s=_TIMEOUT_S)
    if not told:
        return None
    _key, key_id, check = told[0]
    return KeyOnBoard(bytes.fromhex(key_id), bytes.fromhex(check), None)


async def read_key(board: Mpremote) -> NodeKey:
    """Return a board's key, to finish an enrolment that was cut short after the key was made.

    It comes through a pipe into this process's memory; the caller must not let it go further than
    to the gateway. Raises a DeviceError, NoKey where there is none.
    """
    told = await script.run(board, _SCRIPTS, script.call("read_key"), timeout_s=_TIMEOUT_S)
    if not told:
        raise NoKey(board.port, _("The board has no key."), _("Flash it, which gives it one."))
    _secret, key_id, key = told[0]
    return NodeKey(bytes.fromhex(key_id), bytes.fromhex(key))
