"""One reading as a journal gives it back."""


class Record:
    """Filled by a journal's read(), and reused from call to call.

    channel: index into the node's channels. form: in its low four bits the digits, above them the
    marks (docs/protocol.md); the value is mantissa / 10**digits. uptime_ms: when it was sampled,
    in the boot with the number ``boot``. offset_ms: Unix time less uptime of that boot, None if it
    is not known, or is this boot's (which the clock knows).
    """

    def __init__(self):
        self.channel = self.form = self.mantissa = self.uptime_ms = self.boot = 0
        self.offset_ms = None
