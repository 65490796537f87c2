"""machine.time_pulse_us of a simulated board."""

import struct

import _host
import _part


def time_pulse_us(pin, pulse_level, timeout_us=1_000_000):
    request = b"t" + struct.pack("<BI", pulse_level, timeout_us)
    try:
        length_us, waited_us = struct.unpack("<iI", _part.ask("pin{}".format(pin.id), request))
    except OSError:
        length_us, waited_us = -2, timeout_us
    # The processor does nothing else meanwhile.
    _host.sleep_ms(waited_us // 1000)
    return length_us
