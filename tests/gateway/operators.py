"""The command line as an operator uses it, with a gateway running or without."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from feltpost_gateway.cli import app

KEY = bytes(range(64, 80))
OTHER_KEY = bytes(range(80, 96))


def write_config(directory: Path, nodes: str = "") -> Path:
    """A configuration file for the store that `conftest.make_config` has."""
    path = directory / "gateway.toml"
    path.write_text(f'[store]\npath = "{directory / "feltpost.db"}"\n{nodes}')
    path.chmod(0o600)
    return path


def operate(directory: Path, *arguments: str, status: int = 0) -> Result:
    """Run `feltpost-gateway` with the configuration in `directory`."""
    config = directory / "gateway.toml"
    if not config.exists():
        write_config(directory)
    group = 2 if arguments[0] in ("nodes", "owners", "publication") else 1
    line = [*arguments[:group], "--config", str(config), *arguments[group:]]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == status, f"{result.output}\n{result.exception!r}"
    return result


async def operate_beside(directory: Path, *arguments: str, status: int = 0) -> Result:
    """The same while a gateway runs on this event loop."""
    return await asyncio.to_thread(operate, directory, *arguments, status=status)


def write_key(directory: Path, key_id: bytes, key: bytes) -> str:
    """A key file; its path."""
    path = directory / f"{key_id.hex()}-{key[:1].hex()}.json"
    path.write_text(json.dumps({"key_id": key_id.hex(), "key": key.hex()}))
    path.chmod(0o600)
    return str(path)


def add_node(directory: Path, number: int, **columns: str) -> None:
    """Add a node with the address 02:00:00:00:00:`number`, without a key."""
    values = {
        "mac": f"02:00:00:00:00:{number:02x}",
        "name": f"node-{number:02x}",
        "owner": "favrskov",
        "site": "skole",
    } | columns
    settings = [part for item in values.items() for part in ("--set", "=".join(item))]
    operate(directory, "nodes", "add", *settings)


def listed(directory: Path) -> list[dict[str, Any]]:
    """What `nodes list --json` says."""
    found: list[dict[str, Any]] = json.loads(operate(directory, "nodes", "list", "--json").output)
    return found
