"""What tests of every area share."""

import pytest

from feltpost_tools.sim.interpreter import Interpreter, find


@pytest.fixture(scope="session")
def micropython() -> Interpreter:
    """Return the MicroPython that the firmware is tested on."""
    return find()
