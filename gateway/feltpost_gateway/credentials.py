"""Secrets that the configuration file names and does not hold.

systemd hands a service its credentials as files in a directory of the service's own, decrypted
where they are kept encrypted (systemd.exec(5), "Credentials"). `%d/` in the configuration stands
for that directory, as it does in a unit. Outside the service, as in an operator's commands, it
stands for the directory in which systemd finds the unencrypted ones.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, SecretStr, model_validator

from feltpost_gateway.config_types import Table
from feltpost_gateway.errors import CredentialError

CREDENTIAL_STORE = Path("/etc/credstore")
_DIRECTORY = "%d/"


def _resolve(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_DIRECTORY):
        directory = Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIAL_STORE))
        return directory / value.removeprefix(_DIRECTORY)
    return value


CredentialPath = Annotated[Path, BeforeValidator(_resolve)]


class WithPassword(Table):
    """A table with a password, in the file itself or in one that it names."""

    password: SecretStr | None = None
    password_file: CredentialPath | None = None

    def read_password(self) -> str | None:
        """Return the password, None where there is none; raise `CredentialError`."""
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is None:
            return None
        try:
            # Editors end the last line, and so does echo.
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CredentialError(
                f"the password file {self.password_file} can't be read: {reason}. Check that it"
                " exists and that this user may read it; a credential is given to the service"
                " when it is restarted"
            ) from None

    @property
    def has_password(self) -> bool:
        """Whether there is a password, be it readable or not."""
        return self.password is not None or self.password_file is not None

    @model_validator(mode="after")
    def _check_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file don't go together")
        return self
