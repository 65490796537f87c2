"""Enrolment by a file for one gateway, which its operator imports there later."""

import asyncio
import time
from pathlib import Path

from feltpost_gateway.enrol_files import read_recipient, seal
from feltpost_gateway.enrolment import Enrolment, Outcome, Status
from feltpost_gateway.nodes import OperatorError
from feltpost_tools import whole_file
from feltpost_tools.errors import EnrolmentError
from feltpost_tools.language import _


class FileEnroller:
    """An enrolment file, for the gateway whose public key file that is; made where it is not there.

    It can be added to and not read: what is in it is for the gateway only.
    """

    def __init__(self, file: Path, gateway_key: Path) -> None:
        """Read the gateway's key; raises `EnrolmentError`."""
        self._file = file
        try:
            self._recipient = read_recipient(gateway_key)
        except OperatorError:
            raise EnrolmentError(
                _(
                    "{file} is not a gateway's key file. Its operator makes one with:"
                    " feltpost-gateway enrol-key"
                ).format(file=gateway_key)
            ) from None
        except OSError as error:
            raise _failed(gateway_key, error) from None

    @property
    def gateway(self) -> str:
        """The name of the gateway that the file is for."""
        return self._recipient.name

    async def known(self, mac: str, check: bytes) -> bool | None:
        """Return None: the gateway can't be asked."""
        return None

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """Add a node to the file, see `Enroller`; it may be in there already.

        After a power cut the file is as before or has all of the node.
        """
        line = seal(self._recipient, enrolment, int(time.time() * 1000))
        try:
            await asyncio.to_thread(_append, self._file, line)
        except OSError as error:
            raise _failed(self._file, error) from None
        node = "/".join(enrolment.columns.get(name, "") for name in ("owner", "site", "name"))
        return Outcome(Status.WRITTEN, node)


def _append(file: Path, line: str) -> None:
    with whole_file.locked(file.parent):
        content = file.read_bytes() if file.exists() else b""
        whole_file.replace(file, content + line.encode() + b"\n")


def _failed(file: Path, error: OSError) -> EnrolmentError:
    return EnrolmentError(f"{file}: {error.strerror}")
