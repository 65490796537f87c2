"""The gateway's serial line: frames, diagnostics and console text, however they are cut."""

from __future__ import annotations

import random

from tests.fuzz.target import Target

from feltpost_gateway.slipmux import Coap, Decoder, encode_coap, encode_diagnostic

_PROBE = b"probe \xc0\xdb"


class Slipmux(Target):
    traced = ("feltpost_gateway.slipmux",)
    tokens = (b"\xc0", b"\xc0\xa9", b"\xc0\x0a", b"\xdb\xdc", b"\xdb\xdd", b"\xdb", b"\n")
    max_bytes = 1400
    executions = 40

    def generate(self, rng: random.Random) -> bytes:
        pieces = [
            encode_coap(rng.randbytes(rng.randrange(40))),
            encode_diagnostic("x" * rng.randrange(300)),
            rng.randbytes(rng.randrange(20)),
            b"\xc0",
        ]
        if rng.random() < 0.03:
            return encode_coap(bytes(rng.randrange(1140, 1160)))
        return b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 6)))

    def run(self, data: bytes) -> None:
        whole, split = Decoder(), Decoder()
        items = whole.feed(data)
        assert items == [item for byte in data for item in split.feed(bytes((byte,)))]
        assert whole.bad_frames == split.bad_frames
        assert whole.in_frame == split.in_frame
        for item in items:
            if isinstance(item, Coap):
                assert Decoder().feed(encode_coap(item.message)) == [item]
        # Whatever came before, the next frame gets through: its END ends what was open.
        assert whole.feed(encode_coap(_PROBE))[-1:] == [Coap(_PROBE)]
        split.abandon()
        assert not split.in_frame
        assert split.feed(encode_coap(_PROBE)) == [Coap(_PROBE)]
