"""Keeps the message catalogues up to date; for developers, since it needs babel (the extra dev).

    python -m feltpost_tools.catalogue

takes all messages out of the sources, writes locale/feltpost.pot, brings each language's .po in
line with it and compiles that to the .mo, which is carried as it is, so that neither a checkout
nor an installed package needs a tool for it. It then says what is left to translate; after that
is done in the .po, it is to be run again. tests/unit/test_language.py asks the same of `faults`.
"""

from __future__ import annotations

import io
import string
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir

from feltpost_tools import language

PACKAGE = Path(__file__).parent
TRANSLATED = tuple(code for code in language.LANGUAGES if code != "en")

_KEYWORDS = {"_": None, "marked": None, "several": (1, 2)}
_HEADER = "# Texts of Feltpost's tools. Written by feltpost_tools/catalogue.py; see there.\n#"


class _Stable(Catalog):
    # Without the head's dates and versions, which would change a file with nothing new in it.

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        head = [("Project-Id-Version", "feltpost"), ("MIME-Version", "1.0")]
        if self.locale is not None:
            head += [("Language", str(self.locale)), ("Plural-Forms", self.plural_forms)]
        head.append(("Content-Type", "text/plain; charset=utf-8"))
        return [*head, ("Content-Transfer-Encoding", "8bit")]


def extract(sources: Path = PACKAGE) -> Catalog:
    """Return the messages of all Python files below a folder, with the files that they are in."""
    catalog = _Stable(header_comment=_HEADER, fuzzy=False)
    found = extract_from_dir(
        sources,
        [("**.py", "python")],
        keywords=_KEYWORDS,
        comment_tags=("Translators:",),
        strip_comment_tags=True,
    )
    for name, _line, message, comments, _context in sorted(found, key=lambda item: item[:2]):
        catalog.add(message, locations=[(name, 0)], auto_comments=comments)
    return catalog


def update(locale: Path = language.LOCALE, sources: Path = PACKAGE) -> None:
    """Bring the catalogues in `locale` in line with the sources; what is no longer used goes."""
    template = extract(sources)
    locale.mkdir(exist_ok=True)
    (locale / f"{language.DOMAIN}.pot").write_bytes(_written(template))
    for code in TRANSLATED:
        path = po_path(locale, code)
        path.parent.mkdir(parents=True, exist_ok=True)
        before = _read(path, code) if path.exists() else Catalog(code)
        path.write_bytes(_written(_translated(template, before)))
        path.with_suffix(".mo").write_bytes(compiled(path, code))


def faults(locale: Path = language.LOCALE, sources: Path = PACKAGE) -> list[str]:
    """Return what is wrong with the catalogues in `locale`, nothing where they are complete."""
    template = extract(sources)
    used = {message.id for message in template if message.id}
    found = []
    for code in TRANSLATED:
        path = po_path(locale, code)
        catalog = _read(path, code)
        known = {message.id for message in catalog if message.id}
        found += [f"{code}: not in the catalogue: {id!r}" for id in used - known]
        found += [f"{code}: no longer used: {id!r}" for id in known - used]
        found += [f"{code}: no longer used: {id!r}" for id in catalog.obsolete]
        for message in catalog:
            if message.id:
                found += [f"{code}: {what}: {message.id!r}" for what in _wrong_in(message)]
        if path.with_suffix(".mo").read_bytes() != compiled(path, code):
            found.append(f"{code}: the .mo is not what the .po compiles to")
    return sorted(found)


def po_path(locale: Path, code: str) -> Path:
    """Return where the catalogue of a language is."""
    return locale / code / "LC_MESSAGES" / f"{language.DOMAIN}.po"


def compiled(path: Path, code: str) -> bytes:
    """Return what a .po compiles to."""
    file = io.BytesIO()
    catalog = _read(path, code)
    mofile.write_mo(file, _translated(catalog, catalog))
    return file.getvalue()


def _translated(messages: Catalog, translations: Catalog) -> Catalog:
    # Nothing is guessed from similar messages: a person has to have read each translation.
    catalog = _Stable(translations.locale, header_comment=_HEADER, fuzzy=False)
    for message in messages:
        known = translations.get(message.id)
        if message.id:
            catalog.add(
                message.id,
                known.string if known else "",
                locations=message.locations,
                flags=known.flags if known else (),
                auto_comments=message.auto_comments,
            )
    return catalog


def _wrong_in(message: Message) -> Iterator[str]:
    if message.fuzzy:
        yield "fuzzy"
    english = [message.id] if isinstance(message.id, str) else list(message.id)
    texts = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if not all(texts):
        yield "not translated"
    # Each form of a plural has them all, since a language may use one form for several numbers.
    allowed = set().union(*map(_fields, english))
    for text in filter(None, texts):
        if _fields(text) != allowed:
            yield "other {fields}"


def _fields(text: str) -> set[str]:
    return {name for _text, name, _spec, _how in string.Formatter().parse(text) if name is not None}


def _read(path: Path, code: str) -> Catalog:
    with path.open("rb") as file:
        return pofile.read_po(file, locale=code)


def _written(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    # Line numbers would change the file at every change of the code.
    pofile.write_po(file, catalog, width=98, include_lineno=False)
    return file.getvalue()


if __name__ == "__main__":
    update()
    left = faults()
    print("\n".join(left) or "complete")
    sys.exit(1 if left else 0)
