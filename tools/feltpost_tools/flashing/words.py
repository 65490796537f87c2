"""What a run's steps and results are called, for technicians."""

from feltpost_tools.flashing import application, job
from feltpost_tools.language import _, marked

_STEPS = {
    job.LOOK: marked("looking at the board"),
    job.MICROPYTHON: marked("MicroPython"),
    job.APPLICATION: marked("application"),
    application.LOOK: marked("looking at its files"),
    application.COPY: marked("copying the application"),
    application.VERIFY: marked("checking what was copied"),
    application.USE: marked("putting the application in use"),
    job.KEY: marked("key"),
    job.SELFTEST: marked("self-test"),
    job.ENROL: marked("enrolling"),
    job.START: marked("starting"),
}


def step_text(step: str) -> str:
    """Return a step's name in the language in use."""
    return _(_STEPS[step])
