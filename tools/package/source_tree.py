"""Lays out the gateway as the source of a Debian package: its own project in a directory.

usage: source_tree.py DIRECTORY VERSION. What the package is called, depends on and installs is
what `pyproject.toml` says of the extra `gateway`.
"""

import json
import shutil
import subprocess
import sys
import time
import tomllib
from email.utils import formatdate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = "feltpost-gateway"
DOCUMENTS = (
    *("README.md", "CHANGELOG.md", "SECURITY.md"),
    *("docs/operat*.md", "docs/destinations.md", "docs/registry.md", "docs/security.md"),
)


def lay_out(directory: Path, version: str) -> None:
    """Write the tree into `directory`, which must not be there yet."""
    gateway = ROOT / "gateway"
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(gateway / "feltpost_gateway", directory / "feltpost_gateway", ignore=skip)
    shutil.copytree(gateway / "systemd", directory / "systemd")
    shutil.copytree(gateway / "debian", directory / "debian")
    shutil.copy(ROOT / "LICENSE", directory)
    documents = sorted(path for pattern in DOCUMENTS for path in ROOT.glob(pattern))
    for path in documents:
        shutil.copy(path, directory)
    names = "".join(f"{path.name}\n" for path in documents if path.name != "CHANGELOG.md")
    (directory / "debian" / f"{NAME}.docs").write_text(names)
    (directory / "pyproject.toml").write_text(_project(version))
    (directory / "debian" / "changelog").write_text(_changelog(version))


def _project(version: str) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # JSON's strings and arrays of strings are TOML's too.
    return f"""[build-system]
requires = ["hatchling>=1.21"]
build-backend = "hatchling.build"

[project]
name = "{NAME}"
version = {json.dumps(version)}
description = {json.dumps(project["description"])}
requires-python = {json.dumps(project["requires-python"])}
dependencies = {json.dumps(project["optional-dependencies"]["gateway"])}

[project.scripts]
{NAME} = {json.dumps(project["scripts"][NAME])}

[tool.hatch.build.targets.wheel]
packages = ["feltpost_gateway"]
"""


def _changelog(version: str) -> str:
    """Return Debian's own changelog; what has changed for people is in CHANGELOG.md."""
    return f"""{NAME} ({version}) trixie; urgency=medium

  * What is new is in CHANGELOG.md, which is installed beside this file.

 -- Feltpost maintainers <maintainers@feltpost.invalid>  {formatdate(_last_change_s())}
"""


def _last_change_s() -> float:
    """Return when the source last changed, so that the same source gives the same package."""
    asked = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return float(answer.stdout) if answer.returncode == 0 else time.time()


if __name__ == "__main__":
    lay_out(Path(sys.argv[1]), sys.argv[2])
