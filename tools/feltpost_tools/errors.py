"""The exceptions of Feltpost's tools: messages that a person can act on, without a traceback."""


class FeltpostError(Exception):
    """Something went wrong that the message explains; the base of the tools' own exceptions."""


class MissingTool(FeltpostError):
    """A program that the work at hand needs is not there, or is of no use."""

    def __init__(self, what: str, why: str, how: str) -> None:
        """Say *what* is missing, *why* it is needed or refused, and *how* to get it."""
        super().__init__(f"{what}: {why} {how}")
        self.what = what
        self.why = why
        self.how = how


class TraceError(FeltpostError):
    """A recording can't be replayed; the message names the file, and the line and column if any."""


class DefinitionError(FeltpostError):
    """A board's or kit's definition can't be used; the message names the file and the key."""


class UnsuitableBoard(FeltpostError):
    """A kit needs something that the board does not have; the message says what."""
