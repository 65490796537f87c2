"""Feltpost's node: samples sensors, keeps the readings in custody, delivers them to a gateway."""

import gc

# Set before any other module is loaded. Left to itself MicroPython collects only when the heap is
# full, and what stays then lies between garbage all over it: no room for a kilobyte in one piece.
_COLLECT_EVERY_BYTES = 4096
gc.threshold(_COLLECT_EVERY_BYTES)

VERSION = "0.1.0"
