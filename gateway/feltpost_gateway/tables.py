"""The console for tables: as wide as the terminal, or plain, one line a row, for programs."""

from rich.console import Console

# Wide enough for every row, so that another program finds each on a line of its own.
_PLAIN_CHARS = 10_000


def console() -> Console:
    """Return the standard output; what looks like markup is shown as it is."""
    terminal = Console(markup=False, highlight=False)
    if terminal.is_terminal:
        return terminal
    return Console(markup=False, highlight=False, soft_wrap=True, width=_PLAIN_CHARS)
