"""What operators can ask of enrolment, as it crosses the control socket (see `commands`).

Codes are those of the running service; without one they are good for nothing and refused.
"""

from dataclasses import asdict
from typing import Any

from feltpost_gateway.commands import Command
from feltpost_gateway.enrol_access import Codes
from feltpost_gateway.enrolling import Enroller
from feltpost_gateway.enrolment import decode, decode_question, encode_outcome
from feltpost_gateway.logs import EventLog
from feltpost_gateway.nodes import OperatorError
from feltpost_gateway.texts import text

Json = Any


class EnrolCommands:
    """Carries commands out; `codes` is None where no gateway runs."""

    def __init__(self, enroller: Enroller, codes: Codes | None) -> None:
        self._enroller = enroller
        self._codes = codes
        self._log = EventLog("enrolment")

    @property
    def by_name(self) -> dict[str, Command]:
        """The commands by their names."""
        return {
            "enrol": self.enrol,
            "knows-node": self.knows_node,
            "make-code": self.make_code,
            "list-codes": self.list_codes,
            "withdraw-code": self.withdraw_code,
        }

    async def enrol(self, enrolments: list[str], by: str, dry_run: bool = False) -> Json:
        """Enrol nodes, each in hexadecimal; return each one's outcome in the same form."""
        decoded = [decode(bytes.fromhex(enrolment)) for enrolment in enrolments]
        outcomes = await self._enroller.enrol(decoded, by, dry_run=dry_run)
        return [encode_outcome(outcome).hex() for outcome in outcomes]

    async def knows_node(self, question: str) -> Json:
        """Tell whether the registry has a node with a key."""
        return self._enroller.knows(decode_question(bytes.fromhex(question)))

    async def make_code(self, nodes: int, minutes: int, replaces: bool) -> Json:
        """Make an enrolment code; only this answer ever has it."""
        written, code = self._running.make(nodes, minutes, replaces)
        self._log.info(
            "code-made", number=code.number, nodes=nodes, minutes=minutes, replaces=replaces
        )
        return {"code": written, "number": code.number}

    async def list_codes(self) -> Json:
        """Return the valid codes, without what is secret."""
        return [asdict(state) for state in self._running.states()]

    async def withdraw_code(self, number: int) -> Json:
        """End a code at once."""
        if not self._running.withdraw(number):
            raise OperatorError(text("there is no valid code {number}", number=number))
        self._log.info("code-withdrawn", number=number)
        return number

    @property
    def _running(self) -> Codes:
        if self._codes is None:
            raise OperatorError(
                text("no gateway runs here. Codes are valid in a running one only. Start it first")
            )
        return self._codes
