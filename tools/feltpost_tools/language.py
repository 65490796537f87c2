"""The language in which a technician is spoken to: gettext, with English as the message ids."""

import gettext
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from feltpost_gateway.danish import DANISH
from feltpost_gateway.texts import Text

DOMAIN = "feltpost"
LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "da")

# One for the whole process: boards are flashed in threads and tasks of their own, and whoever
# sits before it reads one language.
_language = "en"
_translations = gettext.NullTranslations()


def use(language: str | None = None) -> None:
    """Speak that language of `LANGUAGES` from now on; None: what the environment asks for."""
    global _language, _translations
    _language = language or preferred(os.environ)
    # English, being the source's language, has no catalogue to find.
    _translations = gettext.translation(DOMAIN, LOCALE, [_language], fallback=True)


def _(message: str) -> str:
    """Return the message in the language in use."""
    return _translations.gettext(message)


def marked(message: str) -> str:
    """Return the message as it is: one of a table, which is looked up when it is said."""
    return message


def several(one: str, many: str, count: int) -> str:
    """Return the message for so many, see `_`."""
    return _translations.ngettext(one, many, count)


def of_gateway(message: Text) -> str:
    """Return what the gateway's code found, which has a catalogue of its own, see `_`."""
    danish = DANISH if _language == "da" else {}
    return danish.get(message.template, message.template).format_map(message.values)


def preferred(environment: Mapping[str, str]) -> str:
    """Return which of `LANGUAGES` the environment asks for, as gettext's manual says.

    That is LANGUAGE, a list by preference, unless the locale is "C"; then the first of LC_ALL,
    LC_MESSAGES and LANG that is set. English where they name no other language that there is.
    """
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environment[name] for name in names if environment.get(name)), "")
    wanted = [locale]
    if _code(locale) not in ("c", "posix"):
        wanted = [*environment.get("LANGUAGE", "").split(":"), locale]
    return next((code for code in map(_code, wanted) if code in LANGUAGES), "en")


def from_arguments(arguments: Sequence[str]) -> str | None:
    """Return what ``--lang`` on a command line says, None where it names no language there is.

    Help texts are needed before the command line can be parsed, hence this look ahead.
    """
    for argument, following in pairwise([*arguments, ""]):
        if argument == "--":
            break
        option, equals, value = argument.partition("=")
        if option == "--lang":
            code = value if equals else following
            return code if code in LANGUAGES else None
    return None


def _code(locale: str) -> str:
    return re.split("[_.@]", locale)[0].lower()
