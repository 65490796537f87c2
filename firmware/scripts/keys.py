"""The node's key in NVS: given, told from others, read."""

import binascii
import hashlib

import esp32
from scripts.base import NAMESPACE, blob, erase, tell

_KEY_BYTES = 16
_KEY_ID_MOST_BYTES = 7

_CHECK_LABEL = b"feltpost key check"
_CHECK_BYTES = 8
_HASH_BLOCK_BYTES = 64


def keep_key(key, key_id, first_journal, replace):
    """Give the board a key unless it has one, or though it has one where replace says so.

    first_journal: the number before that of the first journal, for a board that has counted none:
    it may be one whose flash was erased, and whose numbers the gateway has seen.
    """
    nvs = esp32.NVS(NAMESPACE)
    had = _key(nvs)
    if replace or not had:
        for name in ("key", "new_key"):
            erase(nvs, name)
        nvs.commit()
        # Where there is a key, there is the id that belongs to it.
        nvs.set_blob("key_id", binascii.unhexlify(key_id))
        nvs.commit()
        nvs.set_blob("key", binascii.unhexlify(key))
        try:
            nvs.get_i32("journal")
        except OSError:
            nvs.set_i32("journal", first_journal)
        nvs.commit()
    tell_key()
    tell("kept", bool(had) and not replace)


def tell_key():
    """Tell the key id and what tells the key from others, but not the key."""
    had = _key(esp32.NVS(NAMESPACE))
    if had:
        tell("key", had[1], _hmac(had[0], _CHECK_LABEL)[:_CHECK_BYTES])


def read_key():
    """Tell the key itself, to whoever has the board in hand and enrols it."""
    had = _key(esp32.NVS(NAMESPACE))
    if had:
        tell("secret", had[1], had[0])


def _key(nvs):
    # Return the key and its id, None without a whole pair.
    key = blob(nvs, "key", _KEY_BYTES)
    key_id = blob(nvs, "key_id", _KEY_ID_MOST_BYTES)
    return (key, key_id) if len(key) == _KEY_BYTES and key_id else None


def _hmac(key, data):
    # RFC 2104, for keys no longer than a block of SHA-256.
    key = key + bytes(_HASH_BLOCK_BYTES - len(key))
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + data).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
