"""aiocoap's own OSCORE contexts, which keep their state in a folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiocoap import oscore


@contextmanager
def security_context(
    folder: Path, key: bytes, *, sender_id: bytes, recipient_id: bytes
) -> Iterator[oscore.FilesystemSecurityContext]:
    """Give a fresh context; it writes its state and lets go of the folder at the end."""
    folder.mkdir(exist_ok=True)
    settings = {
        "sender-id_hex": sender_id.hex(),
        "recipient-id_hex": recipient_id.hex(),
        "secret_hex": key.hex(),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    context = oscore.FilesystemSecurityContext(str(folder))
    try:
        yield context
    finally:
        # It would do so when it is collected, at a time when the folder is gone.
        context._destroy()
