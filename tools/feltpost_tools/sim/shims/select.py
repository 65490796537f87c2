"""The select module of a simulated board: waiting passes simulated time, not real time."""

import _host
import uselect as _select

POLLIN = _select.POLLIN
POLLOUT = _select.POLLOUT
POLLERR = _select.POLLERR
POLLHUP = _select.POLLHUP


class _Poll:
    def __init__(self):
        self._poll = _select.poll()
        self._channel = _host.channel()
        self._poll.register(self._channel, POLLIN)

    def register(self, stream, mask=POLLIN | POLLOUT):
        self._poll.register(stream, mask)

    def unregister(self, stream):
        self._poll.unregister(stream)

    def modify(self, stream, mask):
        self._poll.modify(stream, mask)

    def poll(self, timeout_ms=-1, flags=0):
        if timeout_ms == 0:
            return self._ready()
        return _host.wait(self._poll, self._ready, timeout_ms)

    def ipoll(self, timeout_ms=-1, flags=0):
        return iter(self.poll(timeout_ms, flags))

    def _ready(self):
        while True:
            found = self._poll.poll(0)
            if self._channel not in [entry[0] for entry in found]:
                return found
            _host.drain(self._poll)


def poll():
    return _Poll()
