"""What systemd itself finds wrong with the service, and how much an intruder could do in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

UNIT = "feltpost-gateway.service"


@pytest.fixture(scope="module")
def analyze(package: Path, debian: Path, tmp_path_factory: pytest.TempPathFactory):
    """Return a function that runs a command on the root file system with the package unpacked."""
    folder = tmp_path_factory.mktemp("unit")
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    subprocess.run(["dpkg-deb", "--extract", package, folder / "upper"], check=True)
    script = (
        f"mount -t overlay overlay -o lowerdir={debian},upperdir={folder}/upper,"
        f'workdir={folder}/work {folder}/root; exec unshare --root={folder}/root --wd=/ "$@"'
    )

    def run(*command: str) -> str:
        line = ["unshare", "--mount", "sh", "-e", "-c", script, "sh", *command]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    return run


def test_systemd_finds_nothing_wrong(analyze) -> None:
    analyze("systemd-sysusers")
    assert analyze("systemd-analyze", "verify", "--man=no", UNIT) == ""


def test_exposure(analyze) -> None:
    said = analyze("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level and float(level[1]) <= 1.3


def test_udev_rules(analyze) -> None:
    analyze("udevadm", "verify", "/usr/lib/udev/rules.d/60-feltpost.rules")
