"""The micropython module of a simulated board: the real one, but for the interrupt character.

On a board a 0x03 on the console interrupts whatever runs, unless kbd_intr(-1) says that it is
data. The simulator holds the other end of the console, so it must be told.
"""

import struct

import _host
import micropython as _real

const = _real.const
heap_lock = _real.heap_lock
heap_unlock = _real.heap_unlock
mem_info = _real.mem_info
opt_level = _real.opt_level
schedule = _real.schedule
stack_use = _real.stack_use


def kbd_intr(character):
    _host.call(0x6B, struct.pack("<b", character))
