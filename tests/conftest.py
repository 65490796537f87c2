"""What tests of every area share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from feltpost_tools.sim.interpreter import Interpreter, find

_BOOTED = Path(__file__).parent / "booted"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--booted",
        action="store_true",
        help="only the tests of the installed package, on a Debian 13 that is booted (as root)",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("booted")
    kept, left_out = [], []
    for item in items:
        (kept if item.path.is_relative_to(_BOOTED) == wanted else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


@pytest.fixture(scope="session")
def micropython() -> Interpreter:
    """Return the MicroPython that the firmware is tested on."""
    return find()


@pytest.fixture(scope="session", autouse=True)
def state_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests do out of the audit log of whoever runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
