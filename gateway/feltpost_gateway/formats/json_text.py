"""JSON whose numbers are exact: the shortest decimal that says a value, never a rounded one.

The standard library's encoder knows no `Decimal`, and as a float a decimal of more than 15 digits
would become another one.
"""

import json
from decimal import Decimal


def encode(value: object) -> str:
    """Return `value`, of dictionaries, lists, texts, truth values and numbers, as JSON.

    Numbers are finite: `senml.decode` lets no others in.
    """
    if isinstance(value, dict):
        return "{" + ",".join([f"{text(k)}:{encode(v)}" for k, v in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([encode(item) for item in value]) + "]"
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return number(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON here")


def number(value: int | float | Decimal) -> str:
    """Return a finite number as the shortest decimal that is exact."""
    if isinstance(value, Decimal):
        digits = format(value, "f")
        if "." in digits:
            digits = digits.rstrip("0").rstrip(".")
        return "0" if digits == "-0" else digits
    return repr(value)


text = json.JSONEncoder(ensure_ascii=False).encode
