"""The hooks of pytest-feltpost: its options, which tests run on which boards, and reports.

docs/hardware-in-the-loop.md tells how to use it. The fixtures are in fixtures.py.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from feltpost_tools.hil import session

if TYPE_CHECKING:
    from feltpost_tools.hil.inventory import BoardEntry

pytest_plugins = ["feltpost_tools.hil.fixtures"]

_SHOWN_LINES = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say which boards there are."""
    group = parser.getgroup("feltpost", "hardware in the loop")
    group.addoption(
        "--board",
        action="append",
        metavar="BOARD",
        help="run the tests on this board: sim (the default), sim-wifi, one of the inventory, or a "
        "port; may be given several times",
    )
    group.addoption(
        "--inventory",
        metavar="FILE",
        help="the boards of the bench (default: hil.toml in the root folder, else "
        "~/.config/feltpost/boards.toml)",
    )
    group.addoption(
        "--board-wait",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for a board that another run has (default: 60)",
    )
    group.addoption(
        "--board-logs",
        metavar="FOLDER",
        help="where to keep what boards say, a file for each test (default: a temporary folder)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the boards; complain of one that is not there before any test runs."""
    config.addinivalue_line(
        "markers",
        'needs(what, …): the test runs on boards that have it: a sensor\'s driver such as "scd41" '
        'or any "sensor", "power", "serial", "wifi", a chip such as "esp32-c3", or a label',
    )
    if config.getoption("board") or config.getoption("inventory"):
        session.boards(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the boards."""
    bench = config.stash.get(session.BENCH, None)
    if bench:
        bench.close()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Tell which boards were asked for."""
    boards = config.stash.get(session.BOARDS, ())
    named = ", ".join(f"{board.name} ({board.port or 'simulated'})" for board in boards)
    return f"boards: {named}" if named else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that works on a board on every board."""
    # Not `board`, which may be a fixture of that name that tests have of their own.
    if "board_entry" not in metafunc.fixturenames:
        return
    grouped = metafunc.config.pluginmanager.hasplugin("xdist")
    params = [
        pytest.param(
            board, id=board.name, marks=[pytest.mark.xdist_group(board.name)] if grouped else []
        )
        for board in session.boards(metafunc.config)
    ]
    metafunc.parametrize("board_entry", params, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the board lacks, and what would only find it broken again."""
    board = _board_of(item)
    if board is None:
        return
    needs = (need for marker in item.iter_markers("needs") for need in marker.args)
    bench = item.config.stash.get(session.BENCH, None)
    reasons = [*map(board.lacks, needs), bench.broken(board) if bench else None]
    for reason in filter(None, reasons):
        # As a marker, so that pytest tells the test's own place.
        item.add_marker(pytest.mark.skip(reason=reason))
        return


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the board said where a test failed, and remember a board that is broken."""
    report = yield
    board = _board_of(item)
    bench = item.config.stash.get(session.BENCH, None)
    if board is None or bench is None or not report.failed or call.excinfo is None:
        return report
    bench.note_failure(board, call.excinfo.value, item.name)
    station = item.stash.get(session.STATION, None)
    for title, text in station.logs(_SHOWN_LINES) if station else ():
        report.sections.append((f"{title} ({report.when})", text))
    return report


def _board_of(item: pytest.Item) -> BoardEntry | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("board_entry") if callspec else None
