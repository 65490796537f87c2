"""What the gateway kept for the node until it asked: at present, a new key (docs/protocol.md).

In memory only while there is mail.
"""

import asyncio

import esp32
import machine
from micropython import const

from . import cbor, coap
from .app import forget
from .reserve import blob

_NAMESPACE = "feltpost"
_NEW_KEY = "new_key"
_KEY_TURN = "key_turn"

_CONTENT = const(0x45)

_MAIL_NEW_KEY = const(0)
_KEY_ID = const(0)
_KEY = const(1)

# What is being measured when the mail comes is measured and in the journal within this.
_ROUND_MS = const(10_000)

_KEY_BYTES = const(16)
_KEY_ID_MOST_BYTES = const(7)


async def fetch(uplink, client, log):
    """Ask for the mail and do what it asks; return how long to wait then, in ms.

    A new key goes to NVS, and is taken up by a restart. What can't be done is logged and left.
    """
    try:
        response = await uplink.request(client, coap.GET, ("m",), None, b"")
        if response.code != _CONTENT:
            return uplink.refused(response)
        new_key = _new_key(cbor.decode(response.payload))
        if new_key:
            _keep(new_key)
            await asyncio.sleep_ms(_ROUND_MS)
            if uplink.waiting():
                # A reading came meanwhile, which may be in RAM only. Once it is sent, again.
                uplink.mail_rest = 0
            else:
                log("restarts with a new key")
                machine.reset()
    except ValueError as error:
        log("mail refused: {}", error)
    finally:
        forget("mailbox")
    return 0


def _keep(new_key):
    # ValueError if NVS does not have it then.
    nvs = esp32.NVS(_NAMESPACE)
    if blob(nvs, _NEW_KEY, len(new_key)) == new_key:
        return
    try:
        # It is tried first.
        nvs.set_i32(_KEY_TURN, 0)
        nvs.set_blob(_NEW_KEY, new_key)
        nvs.commit()
    except OSError as error:
        raise ValueError("NVS: {}".format(error))
    if blob(nvs, _NEW_KEY, len(new_key)) != new_key:
        raise ValueError("NVS has not kept the new key")


def _new_key(mail):
    # Return the new key in the mail and behind it its key id, None where there is none.
    if not isinstance(mail, dict):
        raise ValueError("not a map")
    if _MAIL_NEW_KEY not in mail:
        return None
    fields = mail[_MAIL_NEW_KEY]
    if not isinstance(fields, dict):
        raise ValueError("the new key is not a map")
    key = fields.get(_KEY)
    if not isinstance(key, bytes) or len(key) != _KEY_BYTES:
        raise ValueError("a key has {} bytes".format(_KEY_BYTES))
    key_id = fields.get(_KEY_ID)
    if not isinstance(key_id, bytes) or not 0 < len(key_id) <= _KEY_ID_MOST_BYTES:
        raise ValueError("a key id has 1 to {} bytes".format(_KEY_ID_MOST_BYTES))
    return key + key_id
