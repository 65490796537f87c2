"""Enrolment on the gateway itself, through the control socket of the running service."""

import asyncio
from pathlib import Path
from typing import Any

from feltpost_gateway import config, control
from feltpost_gateway.enrolment import (
    Enrolment,
    Outcome,
    Question,
    decode_outcome,
    encode,
    encode_question,
)
from feltpost_gateway.errors import ConfigError, ControlError, StoreUnavailableError
from feltpost_gateway.nodes import OperatorError, parse_mac
from feltpost_tools.enrolment.base import accept
from feltpost_tools.errors import EnrolmentError, GatewayUnavailable
from feltpost_tools.language import _

_BY = "flash"


class HereEnroller:
    """The gateway of a configuration file on this computer; its user, or root, may use it."""

    def __init__(self, file: Path) -> None:
        """Read the configuration; raises `EnrolmentError`."""
        self._file = file
        try:
            self._socket = control.socket_path(config.load(file).store.path)
        except ConfigError as error:
            raise EnrolmentError(str(error)) from None

    async def known(self, mac: str, check: bytes) -> bool | None:
        """Tell whether the gateway has that node with that key, see `Enroller`."""
        question = encode_question(Question(parse_mac(mac), check))
        return bool(await self._ask("knows-node", question=question.hex()))

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """Make a node known, see `Enroller`."""
        (answer,) = await self._ask("enrol", enrolments=[encode(enrolment).hex()], by=_BY)
        return accept(enrolment, decode_outcome(bytes.fromhex(answer)))

    async def _ask(self, command: str, **arguments: Any) -> Any:
        try:
            return await asyncio.to_thread(control.ask, self._socket, command, arguments)
        except (ConnectionError, FileNotFoundError):
            raise GatewayUnavailable(
                _("No gateway runs with {file}. Start it, then run again.").format(file=self._file)
            ) from None
        except StoreUnavailableError as error:
            raise GatewayUnavailable(
                _("The gateway can't store anything at the moment: {reason}").format(reason=error)
            ) from None
        except (ControlError, OperatorError) as error:
            raise EnrolmentError(str(error)) from None
