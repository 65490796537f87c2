"""One line a message, to whatever the technician can see."""


class Log:
    """Writes through ``sink(text)``: the console, or a diagnostic frame on the serial link."""

    def __init__(self, sink=print):
        self._sink = sink

    def to(self, sink):
        """Send what follows somewhere else."""
        self._sink = sink

    def __call__(self, text, *args):
        """Write one line; args fill the text's {} fields."""
        self._sink(text.format(*args) if args else text)
