"""A new key, which NVS has beside the old one until the gateway has answered.

The first answer that a key authenticates decides. Under the new key: it takes the old one's place.
Under the old one, which the gateway takes only as long as the new one was never used: the new one
goes, and comes by mail again if the gateway still wants it. A refusal decides nothing, as anybody
may have sent it; after several the node restarts with the other key. There is memory for one key
at a time only. Both number their messages by one sequence.

NVS has the new key in one piece, so a power cut leaves it there or not. It takes the old one's
place in several writes; cut in between, it is still there, and the next start tries it again.
"""

import esp32
import machine
from micropython import const

_NAMESPACE = "feltpost"
_KEY_BYTES = const(16)
# A minute or two with the pauses between them: a gateway that can't open its store refuses all.
_REFUSALS_MOST = const(7)


class KeyTrial:
    """The trial of ``identity.new_key``; identity: an identity.Identity, which is not kept."""

    def __init__(self, identity, log):
        self._new_key = identity.new_key
        self._is_old = identity.key + identity.key_id != self._new_key
        self._refusals = 0
        self._log = log

    def refused(self):
        """Note that somebody refused the key in use: the next start uses the other one, and comes
        at once when it has been refused often enough.
        """
        if not self._refusals:
            self._write(self._turn)
        self._refusals += 1
        if self._refusals == _REFUSALS_MOST:
            self._log("refused again and again; restarts with the other key")
            machine.reset()

    def settle(self):
        """Keep the key in use, under which the gateway has answered, and no other."""
        self._write(self._keep_one)

    def _turn(self, nvs):
        nvs.set_i32("key_turn", not self._is_old)
        nvs.commit()

    def _keep_one(self, nvs):
        if self._is_old:
            self._log("the gateway does not take the new key; the old one stays")
        else:
            nvs.set_blob("key", self._new_key[:_KEY_BYTES])
            nvs.set_blob("key_id", self._new_key[_KEY_BYTES:])
            nvs.commit()
            self._log("new key in use")
        nvs.erase_key("new_key")
        nvs.commit()

    def _write(self, write):
        try:
            write(esp32.NVS(_NAMESPACE))
        except OSError as error:
            # The next start tries it again.
            self._log("the keys can't be written: {}", error)
