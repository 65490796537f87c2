"""Where the commands for technicians write their tables."""

from rich.console import Console

_FILE_CHARACTERS = 200


def console() -> Console:
    """Return the standard output; in a file or a pipe no table is folded at 80 characters."""
    found = Console()
    return found if found.is_terminal else Console(width=_FILE_CHARACTERS)
