"""The node's codecs on MicroPython, against oracles and against bytes that mean nothing."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from feltpost_tools.sim.interpreter import Interpreter

FIRMWARE = Path(__file__).parents[2] / "firmware"
SCRIPT = Path(__file__).with_name("codec_node.py")

SETTINGS = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Codec:
    """The codecs, as a process that answers line by line."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.process = subprocess.Popen(
            [*interpreter.command, "-X", "heapsize=256K", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MICROPYPATH": f"{FIRMWARE}:.frozen"},
        )

    def __call__(self, command: str, *args: bytes | int) -> str:
        assert self.process.stdin and self.process.stdout
        words = [arg.hex() if isinstance(arg, bytes) else str(arg) for arg in args]
        self.process.stdin.write(" ".join([command, *words]) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")


@pytest.fixture(scope="module")
def codec(micropython: Interpreter) -> Iterator[Codec]:
    codec = Codec(micropython)
    yield codec
    assert codec.process.stdin and codec.process.stdout
    codec.process.stdin.close()
    codec.process.stdout.close()
    assert codec.process.wait(10) == 0


# The receiver's rule (docs/protocol.md, "Packs"), written for clarity.


def narrowed(value: float, form: str) -> float | None:
    try:
        return struct.unpack(form, struct.pack(form, value))[0]
    except OverflowError:
        return None


def nearest(value: float) -> Decimal | None:
    """Return the decimal that a float stands for; None where that can be read in two ways.

    It can where two decimals are equally short and near (168.25 in binary16), and where a shorter
    one rounds to the float but is not the nearest of its length (2**-6 in binary16).
    """
    form = ">e" if narrowed(value, ">e") == value else ">f"
    for places in range(17):
        shortest = Decimal(f"{value:.{places}e}")
        step = Decimal(1).scaleb(shortest.adjusted() - places)
        if narrowed(float(shortest), form) == value:
            tie = abs(Fraction(value) - Fraction(shortest)) * 2 == Fraction(step)
            return None if tie else shortest
        if any(narrowed(float(shortest + side * step), form) == value for side in (-1, 1)):
            return None
    raise AssertionError(value)


def comes_back(encoding: bytes) -> Decimal | None:
    value = cbor2.loads(encoding)
    return nearest(value) if isinstance(value, float) else Decimal(value)


def best(exact: Decimal) -> bytes:
    """Return the encoding that the node should choose."""
    if exact == exact.to_integral_value():
        return cbor2.dumps(int(exact))
    for head, form in (("f9", ">e"), ("fa", ">f")):
        if narrowed(float(exact), form):
            encoding = bytes.fromhex(head) + struct.pack(form, float(exact))
            if comes_back(encoding) == exact:
                return encoding
    return cbor2.dumps(exact.normalize())


def assert_best(codec: Codec, mantissa: int, digits: int) -> None:
    encoding = bytes.fromhex(codec("number", mantissa, digits))
    exact = Decimal(mantissa).scaleb(-digits)
    assert comes_back(encoding) == exact, (mantissa, digits, encoding.hex())
    assert encoding == best(exact), (mantissa, digits)


@SETTINGS
@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 6))
@example(-(2**31), 0)
@example(-(2**31), 6)
@example(2**31 - 1, 6)
@example(2**31 - 1, 1)
@example(1, 6)
@example(0, 6)
@example(237, 1)
@example(2372, 2)
@example(16820, 2)  # halfway between 168.2 and 168.3 in binary16
@example(1563, 5)  # just above a power of two
@example(15625, 6)  # a power of two, which binary16 reads as 0.01563
@example(23_71875, 5)  # exact in binary16, and longer than what is shortest there
def test_a_number_comes_back_from_its_shortest_form(
    codec: Codec, mantissa: int, digits: int
) -> None:
    assert_best(codec, mantissa, digits)


def test_numbers_of_all_sizes(codec: Codec) -> None:
    # Evenly over the orders of magnitude, which hypothesis isn't; the same ones each time.
    chosen = random.Random(8428)
    for _ in range(4000):
        sign = chosen.choice((-1, 1))
        assert_best(codec, sign * chosen.getrandbits(chosen.randint(1, 31)), chosen.randint(0, 6))


def test_what_the_sensors_give(codec: Codec) -> None:
    for mantissa in range(-4000, 12_001, 3):
        assert_best(codec, mantissa, 2)


def test_numbers_near_powers_of_two(codec: Codec) -> None:
    for digits in range(1, 7):
        for exponent in range(-20, 21):
            mantissa = round(2.0**exponent * 10**digits)
            for near in range(max(1, mantissa - 2), min(mantissa + 3, 2**31)):
                assert_best(codec, near, digits)


@SETTINGS
@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=13, max_size=13),
    st.binary(max_size=62),
    st.one_of(st.binary(max_size=80), st.binary(min_size=1000, max_size=1024)),
)
def test_ccm_is_aes_ccm(
    codec: Codec, key: bytes, nonce: bytes, associated: bytes, plain: bytes
) -> None:
    sealed = AESCCM(key, tag_length=8).encrypt(nonce, plain, associated)
    assert codec("seal", key, nonce, associated, plain) == sealed.hex()
    assert codec("open", key, nonce, associated, sealed) == plain.hex()
    damaged = bytes((sealed[0] ^ 1,)) + sealed[1:]
    assert codec("open", key, nonce, associated, damaged) == "ValueError"


def test_rfc_3610_vector_1(codec: Codec) -> None:
    # RFC 3610 section 8, packet vector 1: the tag and the length field have our sizes.
    key = bytes(range(0xC0, 0xD0))
    nonce = bytes.fromhex("00000003020100a0a1a2a3a4a5")
    assert codec("seal", key, nonce, bytes(range(8)), bytes(range(8, 0x1F))) == (
        "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"
    )


def test_ccm_bounds(codec: Codec) -> None:
    key, nonce = bytes(16), bytes(13)
    assert codec("open", key, nonce, b"", b"1234567") == "ValueError"
    assert codec("seal", key, nonce, b"", bytes(1025)) == "ValueError"
    assert codec("seal", key, nonce, bytes(63), b"") == "ValueError"


@SETTINGS
@given(st.binary(max_size=200))
def test_cbor_refuses_or_reads_what_cbor2_reads(codec: Codec, data: bytes) -> None:
    assert codec("cbor", data) in ("", "ValueError")


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-(2**64), 2**64 - 1) | st.text(), inner, max_size=4)
    ),
    max_leaves=8,
)


@SETTINGS
@given(st.dictionaries(st.integers(0, 9), plain, max_size=4), st.data())
def test_cut_cbor_is_refused(codec: Codec, answer: dict[int, object], data: st.DataObject) -> None:
    encoding = cbor2.dumps(answer)
    cut = data.draw(st.integers(0, len(encoding) - 1))
    assert codec("cbor", encoding[:cut]) == "ValueError"


@SETTINGS
@given(st.one_of(st.binary(max_size=100), st.binary(max_size=60).map(lambda b: b"\x60\x45" + b)))
def test_coap_refuses_or_reads(codec: Codec, data: bytes) -> None:
    assert codec("coap", data) in ("", "ValueError")


@SETTINGS
@given(st.binary(max_size=20), st.binary(max_size=100))
def test_oscore_opens_nothing_that_was_not_sealed(
    codec: Codec, option: bytes, sealed: bytes
) -> None:
    assert codec("oscore", option, sealed) == "ValueError"


@SETTINGS
@given(st.lists(st.sampled_from([b"\xc0", b"\xa9", b"\xdb", b"\xdc", b"\x03", b"a"])))
def test_noise_on_the_line_gives_no_frame_and_hides_none(codec: Codec, noise: list[bytes]) -> None:
    message = b"message"
    checked = b"\xa9" + message
    fcs = 0xFFFF
    for byte in checked:
        fcs ^= byte
        for _ in range(8):
            fcs = fcs >> 1 ^ (0x8408 if fcs & 1 else 0)
    frame = checked + (fcs ^ 0xFFFF).to_bytes(2, "little")
    frame = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    stream = b"".join(noise) + b"\xc0" + frame + b"\xc0"
    assert codec("slip", stream) == message.hex()
