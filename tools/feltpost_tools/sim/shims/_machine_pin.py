"""machine.Pin of a simulated board. A pin to which nothing leads keeps what was written to it."""

import _host
import _part

_ENODEV = 19


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2

    def __init__(self, id, mode=-1, pull=-1, value=None):
        self.id = id
        self._level = 0
        if value is not None:
            self.value(value)

    def value(self, level=None):
        try:
            answer = _part.ask("pin{}".format(self.id), b"" if level is None else bytes((level,)))
            self._level = answer[0]
        except OSError as error:
            if error.errno != _ENODEV:
                raise
            if level is not None:
                self._level = level
        return self._level if level is None else None

    __call__ = value

    def irq(self, handler=None, trigger=IRQ_RISING | IRQ_FALLING):
        _host.interrupts[self.id] = handler and (lambda: handler(self))
        _host.call(0x69, bytes((self.id, trigger if handler else 0)))

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)
