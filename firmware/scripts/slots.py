"""The application's slots on a board: what they hold, and which of them is in use."""

import hashlib
import os

from scripts.base import FOLDER, content, exists, listed, put, remove, tell

SLOTS = "/slots"
CURRENT = "/current"
MAIN = "/main.py"
# Where the application was before there were slots.
FORMER = "/feltpost"

_CONFIGURATION = "/feltpost.json"
_COMPLETE = "complete"
_CHUNK_BYTES = 512


def survey(names):
    """Tell what is on the file system; of the slots with those names, every file's SHA-256 too."""
    tell("current", _text(CURRENT))
    tell("main", _digest(MAIN))
    tell("configuration", content(_CONFIGURATION))
    for name in listed(SLOTS):
        slot = SLOTS + "/" + name
        tell("slot", name, _is_complete(name))
        if name in names:
            for path in _files(slot):
                tell("file", name, path[len(slot) + 1 :], _digest(path))


def make_room(slot, expected):
    """Make a slot ready to be filled: none but the expected files are in it.

    Where a slot is in use, all others go. A slot that is complete is not touched.
    """
    if _is_complete(slot):
        return
    current = _text(CURRENT)
    if _is_complete(current):
        _remove_slots((current, slot))
    folder = SLOTS + "/" + slot
    for path in _files(folder):
        if path[len(folder) + 1 :] not in expected:
            os.remove(path)


def use(slot, main):
    """Put a slot in use whose files have been compared. main: the text of main.py."""
    put("{}/{}/{}".format(SLOTS, slot, _COMPLETE), b"")
    put(CURRENT, slot.encode())
    put(MAIN, main.encode())


def clear(slot):
    """Remove what the slot in use has replaced."""
    _remove_slots((slot,))
    remove(FORMER)


def _is_complete(slot):
    # A name that is damaged may lead anywhere.
    return slot in listed(SLOTS) and exists("{}/{}/{}".format(SLOTS, slot, _COMPLETE))


def _remove_slots(kept):
    for name in listed(SLOTS):
        if name not in kept:
            slot = SLOTS + "/" + name
            # First of all: a slot of which a part is missing must not be taken for a whole one.
            remove(slot + "/" + _COMPLETE)
            remove(slot)


def _files(folder):
    # Return the paths of all files below a folder, but for its mark.
    found = []
    for name in listed(folder):
        path = folder + "/" + name
        if os.stat(path)[0] & FOLDER:
            found += _files(path)
        elif name != _COMPLETE:
            found.append(path)
    return found


def _text(path):
    # Return the text of a file, "" where it has none.
    try:
        return content(path).decode()
    except ValueError:
        return ""


def _digest(path):
    # Return a file's SHA-256 as it is read back from flash; nothing where there is no file.
    if not exists(path):
        return b""
    digest = hashlib.sha256()
    chunk = bytearray(_CHUNK_BYTES)
    view = memoryview(chunk)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(chunk)
            if not count:
                return digest.digest()
            digest.update(view[:count])
