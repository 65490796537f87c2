"""What every script shares: telling the host, files, and names in NVS.

The scripts of this folder are sent to a board through mpremote by the tools, what they import from
here in front of them, and are never kept on it. So they can rely on nothing but MicroPython, and
work on a board without an application or with an old one. What is done in several steps can be cut
short after any of them and done again from its beginning.
"""

import binascii
import json
import os

FOLDER = 0x4000

# In NVS, as identity.py and others of the application have it.
NAMESPACE = "feltpost"

_NEW = ".new"


def tell(*values):
    """Print one thing that was found, for the host; bytes in hexadecimal."""
    plain = [binascii.hexlify(v).decode() if isinstance(v, bytes) else v for v in values]
    print("feltpost:" + json.dumps(plain))


def put(path, data):
    """Let a file have that content, at once or not at all."""
    if exists(path) and content(path) == data:
        return
    with open(path + _NEW, "wb") as file:
        file.write(data)
    os.rename(path + _NEW, path)


def remove(path):
    """Remove a file, or a folder with what is in it, if it is there."""
    try:
        if os.stat(path)[0] & FOLDER:
            for name in os.listdir(path):
                remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        if exists(path):
            raise


def exists(path):
    """Tell whether there is a file or folder."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def listed(folder):
    """Return the names in a folder; none where there is no folder."""
    return os.listdir(folder) if exists(folder) else []


def content(path):
    """Return what is in a small file; nothing where there is none."""
    if not exists(path):
        return b""
    with open(path, "rb") as file:
        return file.read()


def blob(nvs, name, most_bytes):
    """Return the bytes of that name in NVS; nothing where there are none."""
    buf = bytearray(most_bytes)
    try:
        return bytes(buf[: nvs.get_blob(name, buf)])
    except OSError:
        return b""


def erase(nvs, name):
    """Remove a name from NVS if it is there."""
    try:
        nvs.erase_key(name)
    except OSError:
        # There was none.
        pass
