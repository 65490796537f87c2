"""The sys module of a simulated board: the real one, but for what tells an ESP32 from a computer.

Which MicroPython the board runs is what is in its flash; the simulator has read it.
"""

import os
import sys as _real
from collections import namedtuple

platform = "esp32"
implementation = namedtuple("implementation", "name version _machine _mpy")(
    "micropython",
    tuple(int(number) for number in os.getenv("FELTPOST_VERSION").split(".")) + ("",),
    "Generic ESP32 module with ESP32",
    _real.implementation._mpy,
)
version = "3.4.0; MicroPython v" + os.getenv("FELTPOST_VERSION")


def __getattr__(name):
    return getattr(_real, name)
