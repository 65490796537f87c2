"""The option ``--lang``, which every command for technicians has."""

from enum import StrEnum
from typing import Annotated

import typer

from feltpost_tools import language
from feltpost_tools.language import _


class Language(StrEnum):
    """The languages that there are, see `language.LANGUAGES`."""

    ENGLISH = "en"
    DANISH = "da"


def _use(chosen: Language | None) -> Language | None:
    # Without the option, what `main` found in the environment stays.
    if chosen is not None:
        language.use(chosen)
    return chosen


LanguageOption = Annotated[
    Language | None,
    typer.Option(
        "--lang", callback=_use, is_eager=True, help=_("Language, rather than that of LANG.")
    ),
]
