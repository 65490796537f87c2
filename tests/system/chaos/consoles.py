"""What boards print, looked through for the prompt."""

from pathlib import Path

_PROMPT = b">>> "


class Console:
    """A board's log. at_prompt: whether the prompt is the last that it shows."""

    def __init__(self, path: Path):
        self._path = path
        self._read = 0
        self.at_prompt = False

    def has_come_to_prompt(self) -> bool:
        """Tell whether a prompt was shown since this was asked last."""
        with self._path.open("rb") as file:
            # One that was cut in two is looked at again.
            file.seek(max(0, self._read - len(_PROMPT) + 1))
            text = file.read()
            grown = file.tell() > self._read
            self._read = file.tell()
        if grown:
            self.at_prompt = text.endswith(_PROMPT)
        return grown and _PROMPT in text
