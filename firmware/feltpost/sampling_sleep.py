"""What samplers and their channels remember through deep sleep.

A part of sampling.Sampler and channel.Channel, whose state this is. It has a module of its own
because only a node on a battery has a use for it.
"""

import struct

from micropython import const

# A sampler: fault code and failures, then its channels.
_SAMPLER = "<BB"
_SAMPLER_BYTES = const(2)

# A channel: in how many ms it is due, calm, flags, last value, kept value, when it was kept.
_CHANNEL = "<iBBiiHI"
_CHANNEL_BYTES = const(20)
_HAS_LAST = const(1)
_HAS_KEPT = const(2)


def state(sampler):
    """Return what restore() needs after a deep sleep: 2 bytes, and 20 for each channel."""
    now_ms = sampler._clock.uptime_ms()
    data = bytearray(struct.pack(_SAMPLER, sampler._code, min(sampler._failures, 255)))
    for i, channel in enumerate(sampler._channels):
        if channel:
            flags = 0 if channel._last is None else _HAS_LAST
            if channel._kept is not None:
                flags |= _HAS_KEPT
            data += struct.pack(
                _CHANNEL,
                sampler._due_ms[i] - now_ms,
                channel._calm,
                flags,
                channel._last or 0,
                channel._kept or 0,
                channel._kept_ms >> 32,
                channel._kept_ms & 0xFFFFFFFF,
            )
    return data


def restore(sampler, data, elapsed_ms):
    """Take over what state() gave so long ago, from the start of data; return the rest."""
    sampler._code, sampler._failures = struct.unpack_from(_SAMPLER, data)
    data = data[_SAMPLER_BYTES:]
    then_ms = sampler._clock.uptime_ms() - elapsed_ms
    for i, channel in enumerate(sampler._channels):
        if channel:
            wait_ms, channel._calm, flags, last, kept, high, low = struct.unpack_from(
                _CHANNEL, data
            )
            sampler._due_ms[i] = then_ms + wait_ms
            channel._last = last if flags & _HAS_LAST else None
            channel._kept = kept if flags & _HAS_KEPT else None
            channel._kept_ms = high << 32 | low
            data = data[_CHANNEL_BYTES:]
    return data
