"""What a technician asked for: the same for every board of a run."""

from dataclasses import dataclass, field
from pathlib import Path

from feltpost_tools.enrolment.base import Enroller
from feltpost_tools.flashing.compile import Application
from feltpost_tools.flashing.site import Site


@dataclass(frozen=True)
class Order:
    """application: what boards get. enroller: None for boards that are not to be enrolled.

    micropython: the file to write to boards without MicroPython, or with one that is too old; None
    for the cache's. lose_files: files on a board may be lost where its flash needs another layout.
    reset: a board that says nothing may be reset, which a node in deep sleep loses readings by.
    update: the node's description takes the place of the one that its gateway has.
    """

    application: Application
    site: Site = field(default_factory=Site)
    enroller: Enroller | None = None
    micropython: Path | None = None
    new_identity: bool = False
    erase_journal: bool = False
    lose_files: bool = False
    reset: bool = False
    update: bool = False
