"""What tests of every area share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import order
from tests.system.chaos.plugin import Chaos

from feltpost_tools.sim.interpreter import Interpreter, find

_BOOTED = Path(__file__).parent / "booted"
_CHAOS = Path(__file__).parent / "system" / "test_chaos.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--booted",
        action="store_true",
        help="only the tests of the installed package, on a Debian 13 that is booted (as root)",
    )
    parser.addoption(
        "--chaos",
        type=int,
        metavar="N",
        help="only the chaos runs, with N faults (else they have 100, beside all other tests)",
    )
    parser.addoption(
        "--chaos-seed",
        type=int,
        metavar="SEED",
        help="decides what the chaos runs do (else drawn anew for --chaos, and printed)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Chaos(config), "chaos")
    # In the background of a shell SIGINT is ignored, and so by all that tests start, Ctrl-C or not.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    booted = config.getoption("booted")
    only_chaos = config.getoption("chaos") is not None
    kept, left_out = [], []
    for item in items:
        wanted = item.path.is_relative_to(_BOOTED) == booted
        wanted = wanted and (item.path == _CHAOS or not only_chaos)
        (kept if wanted else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    items[:] = order.long_ones_first(kept, workers)


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
