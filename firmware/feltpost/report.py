"""What a node tells the gateway once per boot: versions, why it restarted, what is wrong with it.

docs/protocol.md, ``PUT /h/<boot>``. In memory until the gateway has it.
"""

from micropython import const

from . import cbor

_UPTIME = const(7)
# Its key and value.
_UPTIME_BYTES = const(6)


class Report:
    """The report of one boot, encoded while the heap is fresh.

    path: where it is to be put. problems: texts; those that don't fit are left out, and the longest
    cut. board: a text for people.
    """

    def __init__(self, boot, boots, board, problems, clock):
        from .report_encoding import encode

        self.path = ("h", str(boot))
        self._boots = boots
        self._clock = clock
        data, self._has_traceback = encode(boots, board, problems)
        self._uptime_at = len(data)
        self._encoder = cbor.Encoder(bytearray(len(data) + _UPTIME_BYTES))
        self._encoder.encoded(data)

    def payload(self):
        """Return the report with the uptime of now, as a memoryview; Content-Format 60."""
        self._encoder.pos = self._uptime_at
        self._encoder.int(_UPTIME)
        self._encoder.int(self._clock.uptime_ms() // 1000)
        return self._encoder.view()

    def delivered(self):
        """Forget the traceback, which the gateway has on disk; the boot is a good one."""
        if self._has_traceback:
            from . import crash
            from .app import forget

            crash.forget()
            forget("crash")
        self._boots.reported()
