"""A board as it was before it became a node: whatever is somebody's is gone."""

import esp32
import machine
from scripts.base import NAMESPACE, blob, erase, exists, remove, tell

_COUNTERS_LAST_PIN = 63
_SECRET_MOST_BYTES = 1024
_CHUNK_BYTES = 512
_BLOCK_BYTES = 4096

# In the order in which they go.
_PERSONAL = ("/feltpost.json", "/feltpost.json.new", "/crash.txt")
_APPLICATION = ("/main.py", "/main.py.new", "/current", "/current.new", "/slots", "/feltpost")


def wipe(application):
    """Remove key, networks, readings and configuration; application: that, too.

    What counts journals and boots stays: should the board be enrolled again, no number may come
    twice. The key goes first, since its sequence numbers must not begin anew while it is there.
    """
    nvs = esp32.NVS(NAMESPACE)
    for name in ("key", "new_key"):
        erase(nvs, name)
    nvs.commit()
    names = ["key_id", "networks", "wifi", "ssn", "channels"]
    names += ["count{}".format(pin) for pin in range(_COUNTERS_LAST_PIN + 1)]
    for name in names:
        erase(nvs, name)
    nvs.commit()
    erase_journal()
    paths = _PERSONAL + _APPLICATION if application else _PERSONAL
    for path in paths:
        remove(path)
        if exists(path):
            tell("left", path)
    for name in ("key", "new_key", "key_id", "networks"):
        if blob(nvs, name, _SECRET_MOST_BYTES):
            tell("left", "NVS " + name)


def erase_journal():
    """Remove all readings that the board keeps, and tell where some are left."""
    nvs = esp32.NVS(NAMESPACE)
    for name in ("reading", "reading_of"):
        erase(nvs, name)
    nvs.commit()
    machine.RTC().memory(b"")
    if machine.RTC().memory():
        tell("left", "RTC memory")
    for device in _journals():
        for block in range(device.ioctl(4, 0)):
            if not _is_blank(device, block):
                device.ioctl(6, block)
            if not _is_blank(device, block):
                tell("left", "journal, block {}".format(block))


def _journals():
    return esp32.Partition.find(esp32.Partition.TYPE_DATA, label="journal")


def _is_blank(device, block):
    chunk = bytearray(_CHUNK_BYTES)
    blank = b"\xff" * _CHUNK_BYTES
    for start in range(0, _BLOCK_BYTES, _CHUNK_BYTES):
        device.readblocks(block, chunk, start)
        if chunk != blank:
            return False
    return True
