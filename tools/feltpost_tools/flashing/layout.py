"""Where things lie on a board's file system; ../../../firmware/main.py starts what lies there.

/main.py                      finds the current slot and starts the application in it
/current                      the current slot's name
/slots/<name>/feltpost/*.mpy  an application; the name comes from its content
/slots/<name>/complete        says that all of the slot has been read back and compared
/feltpost.json                the configuration
"""

import shutil
from pathlib import Path

from feltpost_tools.flashing.compile import Application

SLOTS = "/slots"
CURRENT = "/current"
COMPLETE = "complete"
MAIN = "/main.py"
CONFIGURATION = "/feltpost.json"


def slot(name: str) -> str:
    """Return the path of the slot with that name on a board."""
    return f"{SLOTS}/{name}"


def lay_out(application: Application, root: Path) -> None:
    """Put the application below root as it lies on a board that has been flashed."""
    shutil.copytree(application.folder, root / slot(application.name)[1:])
    (root / slot(application.name)[1:] / COMPLETE).touch()
    (root / CURRENT[1:]).write_text(application.name)
    (root / MAIN[1:]).write_text(application.main)
