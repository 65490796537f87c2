"""Inputs that are kept: corpus/<target>/, one file each, named for what it is there for."""

from __future__ import annotations

import hashlib
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
_HEX = ".hex"
_WIDTH = 64


def read(path: Path) -> bytes:
    """Return the input in a file. A .hex file may have comments, from # to the line's end."""
    content = path.read_bytes()
    if path.suffix != _HEX:
        return content
    lines = (line.partition("#")[0] for line in content.decode().splitlines())
    return bytes.fromhex(" ".join(lines))


def load(target: str, folder: Path = CORPUS) -> dict[str, bytes]:
    """Return a target's inputs by the names of their files."""
    return {path.name: read(path) for path in sorted((folder / target).glob("*"))}


def save(target: str, suffix: str, data: bytes, why: str, folder: Path = CORPUS) -> Path:
    """Keep an input that showed a fault; return its file."""
    path = folder / target / f"crash-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix != _HEX:
        path.write_bytes(data)
        return path
    text = data.hex()
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    path.write_text("\n".join([f"# {why.splitlines()[0]}", *lines, ""]))
    return path
