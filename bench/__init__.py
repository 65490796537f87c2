"""Where the figures for speed, memory and bytes on the wire come from: ``./run bench``."""
