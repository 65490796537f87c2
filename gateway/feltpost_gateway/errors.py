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


class BrokerClosedError(BrokerUnavailableError):
    """The broker ended a connection that it had taken; `too_fast` is whether it said so."""

    def __init__(self, message: str, too_fast: bool) -> None:
        super().__init__(message)
        self.too_fast = too_fast


class BrokerSilentError(BrokerUnavailableError):
    """The broker did not acknowledge a message in time."""


class LoginRefusedError(BrokerUnavailableError):
    """The broker does not take these credentials, this client id, or this certificate."""


class TlsFilesError(BrokerUnavailableError):
    """A destination's certificates or its key can't be used as they are now."""


class CredentialError(BrokerUnavailableError):
    """A password that the configuration names can't be read as things are now."""


class MessageRefusedError(PermanentError):
    """A destination does not take this message, and will not take it when it comes again."""


class ControlError(PermanentError):
    """The running gateway can't be asked, or answered what can't be understood."""


class ServiceError(PermanentError):
    """systemd does not start the gateway's service."""


class LinkError(PermanentError):
    """A link can't be opened for a reason that waiting doesn't change."""
