"""Technicians are spoken to in English and Danish, and no text is missing in either."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from babel.messages import pofile
from babel.messages.catalog import Catalog

from feltpost_gateway.texts import text
from feltpost_tools import catalogue, errors, language, main
from feltpost_tools.language import _, several

# What is for developers only speaks English; the files of boards and kits are written by them.
EXEMPT = ("catalogue.py", "demo/", "faults/", "hil/", "sim/", "hardware.py")

# What an installation lacks is found out by whoever sets it up, before a technician has it.
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type)} - {"MissingTool"}

SOURCE = """
from feltpost_tools.language import _, several
one = _("the board {name} is ready")
many = several("{count} board", "{count} boards", 2)
"""


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    language.use("en")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A catalogue of two messages, complete; its sources are beside it."""
    (tmp_path / "code.py").write_text(SOURCE)
    catalogue.update(tmp_path / "locale", tmp_path)
    edit(
        tmp_path,
        {
            '"the board {name} is ready"\nmsgstr ""': (
                '"the board {name} is ready"\nmsgstr "kortet {name} er klar"'
            ),
            'msgstr[0] ""\nmsgstr[1] ""': 'msgstr[0] "{count} kort"\nmsgstr[1] "{count} kort"',
        },
    )
    catalogue.update(tmp_path / "locale", tmp_path)
    return tmp_path


def edit(folder: Path, changes: dict[str, str]) -> None:
    path = catalogue.po_path(folder / "locale", "da")
    content = path.read_text()
    for old, new in changes.items():
        assert old in content
        content = content.replace(old, new)
    path.write_text(content)


def faults(folder: Path) -> str:
    return "\n".join(catalogue.faults(folder / "locale", folder))


def test_the_danish_catalogue_is_complete() -> None:
    assert not catalogue.faults(), "python -m feltpost_tools.catalogue, and translate what it names"


def test_a_complete_catalogue_has_no_faults(small: Path) -> None:
    assert faults(small) == ""


def test_a_missing_message_is_noticed(small: Path) -> None:
    (small / "more.py").write_text('from feltpost_tools.language import _\nx = _("new")\n')
    assert faults(small) == "da: not in the catalogue: 'new'"


def test_an_untranslated_message_is_noticed(small: Path) -> None:
    edit(small, {"kortet {name} er klar": ""})
    assert "da: not translated: 'the board {name} is ready'" in faults(small)


def test_an_obsolete_message_is_noticed(small: Path) -> None:
    (small / "code.py").write_text(SOURCE.replace("is ready", "is there"))
    assert "da: no longer used: 'the board {name} is ready'" in faults(small)
    catalogue.update(small / "locale", small)
    assert "no longer used" not in faults(small)


def test_a_message_that_was_only_commented_out_is_noticed(small: Path) -> None:
    edit(small, {'msgid "the board': '#~ msgid "the board', 'msgstr "kortet': '#~ msgstr "kortet'})
    assert "da: no longer used: 'the board {name} is ready'" in faults(small)


def test_a_fuzzy_message_is_noticed(small: Path) -> None:
    edit(small, {'msgid "the board': '#, fuzzy\nmsgid "the board'})
    assert "da: fuzzy: 'the board {name} is ready'" in faults(small)


@pytest.mark.parametrize(
    ("right", "wrong"), [("kortet {name}", "kortet {navn}"), ('[1] "{count} kort', '[1] "to kort')]
)
def test_other_fields_are_noticed(small: Path, right: str, wrong: str) -> None:
    edit(small, {right: wrong})
    assert "da: other {fields}" in faults(small)


def test_a_compiled_catalogue_that_is_older_is_noticed(small: Path) -> None:
    edit(small, {"er klar": "er parat"})
    assert faults(small) == "da: the .mo is not what the .po compiles to"


def test_updating_twice_changes_nothing(small: Path) -> None:
    files = sorted((small / "locale").rglob("feltpost.*"))
    before = [path.read_bytes() for path in files]
    catalogue.update(small / "locale", small)
    assert len(files) == 3
    assert not any(b"-Date" in content for content in before)
    assert [path.read_bytes() for path in files] == before


def test_the_template_is_up_to_date() -> None:
    with (language.LOCALE / "feltpost.pot").open("rb") as file:
        written = pofile.read_po(file)
    assert places(written) == places(catalogue.extract())


def places(catalog: Catalog) -> dict[str, list[str]]:
    """The messages by the files that they are in."""
    return {str(m.id): [name for name, _line in m.locations] for m in catalog if m.id}


def test_what_is_said_is_danish() -> None:
    language.use("da")
    assert _("Time") == "Tid"
    assert (
        several("{count} line, unbroken", "{count} lines, unbroken", 2) == "{count} linjer, ubrudt"
    )


def test_the_gateways_texts_follow() -> None:
    fault = text("{value} is not a number", value="x")
    assert language.of_gateway(fault) == "x is not a number"
    language.use("da")
    assert language.of_gateway(fault) == "x er ikke et tal"


@pytest.mark.parametrize(
    ("environment", "chosen"),
    [
        ({}, "en"),
        ({"LANG": "da_DK.UTF-8"}, "da"),
        ({"LANG": "da_DK@euro"}, "da"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "da_DK.UTF-8", "LC_MESSAGES": "en_DK.UTF-8"}, "en"),
        ({"LANG": "en_DK.UTF-8", "LC_ALL": "da_DK.UTF-8"}, "da"),
        ({"LANG": "en_DK.UTF-8", "LC_ALL": "", "LC_MESSAGES": "da"}, "da"),
        ({"LANG": "en_DK.UTF-8", "LANGUAGE": "fo:da:en"}, "da"),
        ({"LANG": "da_DK.UTF-8", "LANGUAGE": "en:da"}, "en"),
        ({"LANG": "da_DK.UTF-8", "LANGUAGE": ""}, "da"),
        ({"LANGUAGE": "da"}, "da"),
        ({"LC_ALL": "C.UTF-8", "LANGUAGE": "da"}, "en"),
    ],
)
def test_the_environment_chooses(environment: dict[str, str], chosen: str) -> None:
    assert language.preferred(environment) == chosen


@pytest.mark.parametrize(
    ("arguments", "chosen"),
    [
        ([], None),
        (["log"], None),
        (["log", "--lang", "da"], "da"),
        (["--lang=da", "log"], "da"),
        (["log", "--lang"], None),
        (["log", "--lang", "fr"], None),
        (["log", "--", "--lang", "da"], None),
    ],
)
def test_the_command_line_chooses_before_that(arguments: list[str], chosen: str | None) -> None:
    assert language.from_arguments(arguments) == chosen


@pytest.mark.parametrize(
    ("environment", "arguments"), [("da_DK.UTF-8", []), ("en_DK.UTF-8", ["--lang=da"])]
)
def test_a_commands_help_is_in_the_language_that_was_asked_for(
    environment: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()

    @app.callback()
    def group() -> None: ...

    class Commands:
        # Stands for the module that imports all commands, which by then ask for their texts.
        @property
        def app(self) -> typer.Typer:
            app.command(help=_("Only what was done from then on."))(lambda: None)
            return app

    for name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", environment)
    monkeypatch.setitem(sys.modules, "feltpost_tools.cli", Commands())
    monkeypatch.setattr(sys, "argv", ["feltpost", *arguments])
    with pytest.raises(SystemExit):
        main.main()
    assert app.registered_commands[0].help == "Kun hvad der er gjort fra da af."


def modules() -> list[str]:
    names = (
        path.relative_to(catalogue.PACKAGE).as_posix() for path in catalogue.PACKAGE.rglob("*.py")
    )
    return sorted(name for name in names if not name.startswith(EXEMPT))


def untranslated(tree: ast.AST) -> Iterator[str]:
    """Literals that go to a person without having been looked up, and look-ups that can't work."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("_", "several"):
            # Filled in before it is looked up, a message is never found.
            if any(isinstance(a, ast.JoinedStr | ast.BinOp | ast.Call) for a in node.args):
                yield ast.unparse(node)
            continue
        said = [k.value for k in node.keywords if k.arg == "help"]
        if called in ("typer.echo", "typer.BadParameter", *ERRORS):
            said += [*node.args, *(k.value for k in node.keywords)]
        yield from (ast.unparse(node) for value in said if is_bare(value))


def is_bare(value: ast.expr) -> bool:
    """Whether there are words in a literal outside of `{}`."""
    match value:
        case ast.Constant(value=str(words)):
            return any(word.isalpha() and word != "feltpost" for word in words.split())
        case ast.JoinedStr(values=parts):
            return any(is_bare(part) for part in parts)
    return False


@pytest.mark.parametrize("module", modules())
def test_whatever_is_said_is_looked_up(module: str) -> None:
    found = list(untranslated(ast.parse((catalogue.PACKAGE / module).read_text())))
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        'typer.echo("the board is gone")',
        'typer.echo(f"{port} is gone")',
        'typer.Option(help="Which board.")',
        'BatchError("there is no node")',
        'BatchChanged(_("the list was changed"), beside="here it is")',
        '_("{port} is gone".format(port=port))',
        '_(f"{port} is gone")',
    ],
)
def test_a_text_that_is_not_looked_up_is_noticed(code: str) -> None:
    assert list(untranslated(ast.parse(code)))
