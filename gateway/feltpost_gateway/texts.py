"""What operators read, in English and in Danish.

The English text is the key: a `Text` keeps it as a template beside its values, so that what the
service found is said in the language of whoever asked. `danish` has the other language. Logs are
in English only, since they are searched by machines.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from feltpost_gateway.danish import DANISH

Value = str | int | float


@dataclass(frozen=True)
class Text:
    """A text to be said later: a template in English, and the values for its `{fields}`."""

    template: str
    values: Mapping[str, Value]

    def __str__(self) -> str:
        """Return the text in the language of this process."""
        return translate(self.template).format_map(self.values)


def text(template: str, **values: Value) -> Text:
    """Return a `Text`; `template` must be a literal, so that a test can look it up in `danish`."""
    return Text(template, values)


def translate(english: str) -> str:
    """Return a text in the language of this process, in English where it has no other form."""
    return DANISH.get(english, english) if is_danish() else english


@cache
def is_danish() -> bool:
    """Tell whether the environment asks for Danish, by the order of POSIX (LC_ALL first)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return value.split("_")[0].split(".")[0].lower() == "da"
    return False
