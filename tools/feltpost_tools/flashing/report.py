"""What came of each board, as a line when it is done and as a table in the end."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from feltpost_tools.flashing.job import Report
from feltpost_tools.flashing.words import step_text
from feltpost_tools.language import _


def summary(report: Report) -> str:
    """Return one line for a board."""
    failed = report.result.failed
    who = f"{report.result.port} {report.node or report.mac}".strip()
    if failed is None:
        return f"{who}: {report.outcome or _('done')}"
    return _("{board}: failed at {step}: {why}").format(
        board=who, step=step_text(failed.step), why=failed.why
    )


def table(reports: Sequence[Report]) -> Table:
    """Return which boards are nodes now, and of the others why not and what to do."""
    made = Table(
        _("Port"),
        _("Chip"),
        _("MAC"),
        _("Node"),
        "Feltpost",
        _("Result"),
        _("What to do"),
        box=None,
    )
    for report in sorted(reports, key=lambda report: report.result.port):
        failed = report.result.failed
        cells = [report.result.port, report.chip, report.mac, report.node, report.firmware]
        if failed:
            cells += [f"{step_text(failed.step)}: {failed.why}", failed.advice]
        else:
            cells += [report.outcome or _("done"), ""]
        # Plain texts: what a board said may look like rich's markup.
        made.add_row(*(Text(cell, overflow="fold") for cell in cells))
    return made
