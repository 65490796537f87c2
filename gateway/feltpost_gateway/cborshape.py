"""Checks the shape of CBOR that comes from the network before a decoder builds objects from it.

A decoder turns a few hostile bytes into huge integers, deep nesting or dates, and keeps one of
two equal map keys without a word. What passes here is an item of plain, shallow, small parts.
"""

from feltpost_gateway.errors import PackError

_MAX_DEPTH = 4
_DECIMAL_FRACTION = 4
_BREAK = 0xFF
_MAX_EXPONENT = 20


class _Scanner:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.record: int | None = None

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise PackError("the CBOR ends too early")
        value = self.data[self.at]
        self.at += 1
        return value

    def head(self) -> tuple[int, int, int | None]:
        """Return major type, additional information, and the argument (None: indefinite)."""
        initial = self.byte()
        info = initial & 0x1F
        if info < 24:
            return initial >> 5, info, info
        if info == 31:
            return initial >> 5, info, None
        if info > 27:
            raise PackError(f"byte 0x{initial:02x} is not CBOR")
        size = 1 << info - 24
        if self.at + size > len(self.data):
            raise PackError("the CBOR ends too early")
        argument = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return initial >> 5, info, argument

    def more(self, left: int | None) -> bool:
        """Tell whether a container has another item; steps over the break of an indefinite one."""
        if left is not None:
            return left > 0
        if self.at < len(self.data) and self.data[self.at] == _BREAK:
            self.at += 1
            return False
        return True

    def item(self, depth: int) -> int | str | None:
        """Step over one item; return it where it is an integer or a text (map keys are)."""
        if depth > _MAX_DEPTH:
            raise PackError("the CBOR is nested too deep")
        major, info, argument = self.head()
        if major == 0 and argument is not None:
            return argument
        if major == 1 and argument is not None:
            return -1 - argument
        if major == 3 and argument is not None:
            return self.text(argument)
        if major == 4:
            self.array(argument, depth)
        elif major == 5:
            self.map(argument, depth)
        elif major == 6:
            self.decimal(argument, depth)
        elif major == 7 and info in (20, 21, 25, 26, 27):
            pass
        else:
            raise PackError(f"CBOR of major type {major}, information {info}, has no place here")
        return None

    def text(self, length: int) -> str:
        raw = self.data[self.at : self.at + length]
        if len(raw) < length:
            raise PackError("the CBOR ends too early")
        self.at += length
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise PackError("a text is not UTF-8") from error

    def array(self, left: int | None, depth: int) -> None:
        index = 0
        while self.more(left):
            if depth == 0:
                self.record = index
            self.item(depth + 1)
            index += 1
            left = None if left is None else left - 1
        if depth == 0:
            self.record = None

    def map(self, left: int | None, depth: int) -> None:
        keys: set[int | str] = set()
        while self.more(left):
            key = self.item(depth + 1)
            if key is None:
                raise PackError("a map key is neither an integer nor a text")
            if key in keys:
                raise PackError(f"label {key} appears twice in a map")
            keys.add(key)
            self.item(depth + 1)
            left = None if left is None else left - 1

    def decimal(self, tag: int | None, depth: int) -> None:
        if tag != _DECIMAL_FRACTION:
            raise PackError(f"CBOR tag {tag} is not taken")
        major, _, length = self.head()
        if major != 4 or length != 2:
            raise PackError("a decimal fraction is not an array of two")
        exponent = self.item(depth + 1)
        mantissa = self.item(depth + 1)
        if not isinstance(exponent, int) or not isinstance(mantissa, int):
            raise PackError("a decimal fraction is not made of two integers")
        # Arithmetic on a larger exponent would build numbers of any length.
        if abs(exponent) > _MAX_EXPONENT:
            raise PackError(f"a decimal fraction has the exponent {exponent}")


def check_shape(data: bytes) -> None:
    """Raise `PackError` unless `data` is exactly one CBOR item that is safe to decode.

    Taken are integers of up to 64 bits, floats, definite texts, booleans, arrays, maps without
    equal keys, and decimal fractions (tag 4) with an exponent within ±20; four levels deep. The
    message names the element of the outermost array that is wrong.
    """
    scanner = _Scanner(data)
    try:
        scanner.item(0)
    except PackError as error:
        if scanner.record is None:
            raise
        raise PackError(f"record {scanner.record}: {error}") from error
    if scanner.at != len(data):
        raise PackError("bytes follow the CBOR item")
