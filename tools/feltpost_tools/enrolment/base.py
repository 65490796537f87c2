"""What the ways to enrol a node have in common, and what technicians are told of the outcome."""

from typing import Protocol

from feltpost_gateway.enrolment import Enrolment, Outcome, Status
from feltpost_tools.errors import EnrolmentRefused
from feltpost_tools.language import _


class Enroller(Protocol):
    """One way to one gateway. Calls may overlap, one for each board."""

    async def known(self, mac: str, check: bytes) -> bool | None:
        """Tell whether the gateway has that node with the key of that check value.

        None where it can't be asked. Raises `EnrolmentError`.
        """
        ...

    async def enrol(self, enrolment: Enrolment) -> Outcome:
        """Make a node known; to be called again without harm where the answer was lost.

        Raises `EnrolmentRefused` where the gateway does not take it, and another `EnrolmentError`
        where it could not be asked.
        """
        ...


def describe(outcome: Outcome) -> str:
    """Return what came of an enrolment that was not refused, as a technician reads it."""
    said = {
        Status.ENROLLED: _("enrolled as {node}"),
        Status.ALREADY: _("enrolled already, as {node}"),
        Status.UPDATED: _("enrolled already, with a new description, as {node}"),
        Status.REPLACED: _("has a new key as {node}; the old one ends when this one is used"),
        Status.WRITTEN: _("written to the enrolment file for {node}; import it at the gateway"),
    }[outcome.status].format(node=outcome.node)
    if outcome.different and outcome.status is not Status.UPDATED:
        said += _("; the gateway keeps its own {columns}").format(
            columns=", ".join(outcome.different)
        )
    return said


def accept(enrolment: Enrolment, outcome: Outcome) -> Outcome:
    """Return an outcome, or raise `EnrolmentRefused` where it is a refusal."""
    if not outcome.status.refused:
        return outcome
    names = ("mac", "owner", "site", "name")
    values = {name: enrolment.columns.get(name, "?") for name in names}
    faults = "; ".join(f"{fault.column} {fault.text}".strip() for fault in outcome.faults)
    raise EnrolmentRefused(_refusal(outcome.status).format(**values, faults=faults))


def _refusal(status: Status) -> str:
    match status:
        case Status.OTHER_KEY:
            return _(
                "{mac} is enrolled with another key. Is it the right board? To give it a new key on"
                " purpose, run again with --new-identity."
            )
        case Status.KEY_ID_TAKEN:
            return _("The key id of {mac} is another node's. Run again with --new-identity.")
        case Status.KEY_REVOKED:
            return _(
                "The gateway has taken the key of {mac} away. To let the node in again, run again"
                " with --new-identity."
            )
        case Status.NAME_TAKEN:
            return _("{owner}/{site} has another node {name}. Give {mac} another name.")
        case Status.CODE_USED_UP:
            return _("The enrolment code is used up. Ask the gateway's operator for another one.")
        case Status.CODE_FOR_NEW_NODES:
            return _(
                "{mac} is enrolled with another key, and the enrolment code is for new nodes only."
                " Ask the gateway's operator for one made with --replace."
            )
        case _other:
            return _("The gateway does not take the description of {mac}: {faults}")
