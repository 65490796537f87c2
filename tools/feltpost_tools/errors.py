"""The exceptions of Feltpost's tools: messages that a person can act on, without a traceback."""

from pathlib import Path


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


class ConfigurationError(FeltpostError):
    """A node's configuration can't be used; the message names the key and says why."""


class UnsuitableBoard(FeltpostError):
    """A kit needs something that the board does not have; the message says what."""


class SpreadsheetError(FeltpostError):
    """A CSV file can't be read as a table; the message says where in it."""


class BatchError(FeltpostError):
    """A list of nodes can't be used or written; the message names the file and every fault."""


class BatchChanged(BatchError):
    """Somebody else wrote to the list meanwhile; beside: the file that has this run's results."""

    def __init__(self, message: str, beside: Path) -> None:
        super().__init__(message)
        self.beside = beside


class LabelError(FeltpostError):
    """Labels can't be made as asked; the message says why."""


class AuditError(FeltpostError):
    """The audit log can't be read; the message names it."""


class DeviceError(FeltpostError):
    """A board could not be worked with; the message names it and says what to do."""

    transient = False
    """Whether the same may succeed when it is tried again."""

    def __init__(self, port: str, happened: str, advice: str) -> None:
        """Say what has *happened* at which *port*, and what to do: *advice*."""
        super().__init__(f"{port}: {happened} {advice}")
        self.port = port
        self.happened = happened
        self.advice = advice


class NoAnswer(DeviceError):
    """The board says nothing."""

    transient = True


class NotAtPrompt(DeviceError):
    """The board says something, but does not come to MicroPython's prompt; said: its last words."""

    transient = True

    def __init__(self, port: str, happened: str, advice: str, said: str) -> None:
        super().__init__(port, happened, advice)
        self.said = said


class TookTooLong(DeviceError):
    """The board answered, and was then not ready in time."""

    transient = True


class PortLost(DeviceError):
    """The port went away while it was in use."""

    transient = True


class PortUnavailable(DeviceError):
    """The port can't be opened: it is not there, is another's, or may not be used."""


class FlashFull(DeviceError):
    """The board's file system has no room left."""


class NotVerified(DeviceError):
    """What was written to the board's flash does not read back as it was."""

    transient = True


class NoKey(DeviceError):
    """The board has no key, or half of one."""


class SelftestFailed(DeviceError):
    """A board lacks something that a node can't do without, or it does not work."""


class ScriptFailed(DeviceError):
    """A script on the board ended with an exception; traceback: what the board printed of it."""

    def __init__(self, port: str, happened: str, advice: str, traceback: str) -> None:
        super().__init__(port, happened, advice)
        self.traceback = traceback


class ToolFailed(DeviceError):
    """mpremote or esptool failed for a reason that only its own words tell."""


class UnusableImage(FeltpostError):
    """A file with MicroPython can't be written to the board; the message names it and says why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


class WrongChip(DeviceError):
    """The board's chip is not the one that was expected, or none that Feltpost runs on."""


class WouldLoseFiles(DeviceError):
    """The flash can't get its layout without losing the files on the board."""


class NoJournalRoom(DeviceError):
    """The board's flash has no room for the journal beside MicroPython and its files."""


class EnrolmentError(FeltpostError):
    """A node could not be enrolled; the message says why, and what to do."""

    transient = False
    """Whether the same may succeed when it is tried again."""


class GatewayUnavailable(EnrolmentError):
    """The gateway can't be reached, or can't store anything at the moment.

    It may have enrolled the node all the same, its answer being lost. Asking again tells.
    """

    transient = True


class EnrolmentRefused(EnrolmentError):
    """The gateway, having understood, does not take the node."""


class PortsUnclear(FeltpostError):
    """It is not clear which port is meant, or there is none; the message lists those there are."""


class SiteError(FeltpostError):
    """A file on a place can't be used; the message names it and says why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")


class NoNode(FeltpostError):
    """Nobody said what a board is to become."""


class AlreadyDone(FeltpostError):
    """There is nothing left to be done with a board; the message says who says so."""


class UsageError(FeltpostError):
    """What was asked for on the command line does not go together; the message says what does."""


class BoardBusy(FeltpostError):
    """Another run of tests has the board; the message says which."""
