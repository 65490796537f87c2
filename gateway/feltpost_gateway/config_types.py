"""What the tables of the configuration file have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _label(text: str) -> str:
    if any(not c.isprintable() or c in "/+#" for c in text):
        raise ValueError("has a character that MQTT topics don't allow (/, +, # or a control)")
    return text


Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_label)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Table(BaseModel):
    """A table; unknown keys are errors, and values are never shown, since they may be secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def refuse_twice(table: str, key: str, values: list[str]) -> None:
    """Raise `ValueError` where two entries of the array `table` have the same value of `key`."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        if value in seen:
            raise ValueError(
                f"{table}[{seen[value]}] and {table}[{index}] have the same {key}, {value}"
            )
        seen[value] = index
