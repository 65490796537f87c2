"""Where the command ``feltpost`` begins: chooses the language, then hands over to ``cli``."""

import sys

from feltpost_tools import language


def main() -> None:
    """Run the command line of this process."""
    language.use(language.from_arguments(sys.argv[1:]))
    # Commands take their help texts when they are imported, so the language comes first.
    from feltpost_tools.cli import app

    app()
