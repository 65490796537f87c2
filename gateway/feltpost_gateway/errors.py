"""The gateway's exceptions.

A `TransientError` goes away by waiting or by trying again; a `PermanentError` needs a person, or
a different request. Each message says what happened, to what, and what to do about it.
"""


class FeltpostError(Exception):
    """Base of every exception that this package raises on purpose."""


class TransientError(FeltpostError):
    """Trying the same thing again later can succeed."""


class PermanentError(FeltpostError):
    """Trying the same thing again fails again."""


class ConfigError(PermanentError):
    """The configuration can't be used; the message has one line for each thing that is wrong."""


class StoreError(PermanentError):
    """The store can't be opened, or is not one of ours."""


class StoreUnavailableError(TransientError):
    """Nothing was stored: the disk refused the commit, or too many requests wait for it."""


class StoreFullError(StoreUnavailableError):
    """The store's limits let no new readings in; they do when delivered ones are deleted."""


class ClockNotSetError(TransientError):
    """A relative time can't be resolved while the gateway doesn't know the time."""


class PackError(PermanentError):
    """A SenML pack, or a gap report, breaks a rule; the message names the record."""


class PackTooLargeError(PackError):
    """A request is over a limit of the protocol; a smaller one can succeed."""


class BrokerUnavailableError(TransientError):
    """The broker can't be reached, refused the connection, or went away."""


class LinkError(PermanentError):
    """A link can't be opened for a reason that waiting doesn't change."""
