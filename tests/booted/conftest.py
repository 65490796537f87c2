"""The package as it is shipped, installed on a Debian 13 that systemd-nspawn boots.

What needs setting up is what `./run package` sets up too, and a root file system with the packages
that ours depends on. Where a machine can't do that, the tests are skipped and say why.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.booted.machine import BootError
from tests.booted.rig import BootedRig, Packages

from feltpost_tools.sim.rig import Plan, shared_recording
from feltpost_tools.sim.trace import Trace

_ROOT = Path(__file__).resolve().parents[2]
_SETUP = _ROOT / "tools" / "setup"
# A kit's slowest sensor has a value every five seconds.
_INTERVAL_S = 5
# What build.sh ends with where it could not begin.
_CANT = 77


def set_up(*command: str | Path) -> None:
    """Run a script of ours; skip the tests where it can't do its work."""
    done = subprocess.run(command, text=True, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        pytest.skip(f"{Path(command[0]).name}: {done.stderr.strip() or 'failed'}")


@pytest.fixture(scope="session")
def package() -> Path:
    """Return the package, built from this checkout."""
    if os.geteuid() != 0:
        pytest.skip("only root can make and boot a root file system")
    build = _ROOT / "tools" / "package" / "build.sh"
    done = subprocess.run([build], text=True, stderr=subprocess.PIPE, check=False)
    if done.returncode == _CANT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    version = re.search(r'^version = "(.*)"', (_ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    return _ROOT / "dist" / f"feltpost-gateway_{version[1]}_all.deb"


@pytest.fixture(scope="session")
def debian(package: Path) -> Path:
    """Return a root file system with systemd and what the package depends on, and not with it."""
    asked = ["dpkg-deb", "--field", package, "Depends"]
    depends = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    # Of alternatives, the first.
    names = re.findall(r"(?:^|, )([a-z0-9.+-]+)", depends)
    set_up(_SETUP / "debian13.sh", "booted", "systemd-sysv", "udev", "dbus", *names)
    return _ROOT / ".cache" / "debian13" / "booted"


@pytest.fixture(scope="module")
def booted(
    package: Path, debian: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BootedRig]:
    """A machine with the package, two simulated boards, a broker and a subscriber outside it."""
    set_up(_SETUP / "packages.sh", "systemd-container", "e2fsprogs")
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is missing")
    plan = Plan(Trace.load(shared_recording()), ["serial", "udp"], 1, _INTERVAL_S)
    folder = tmp_path_factory.mktemp("booted")
    with asyncio.Runner() as runner:
        rig = BootedRig(plan, folder, Packages(package), debian, runner)
        try:
            runner.run(rig.__aenter__())
        except BootError as error:
            pytest.skip(f"this machine can't boot a container: {error}")
        try:
            yield rig
        finally:
            runner.run(rig.__aexit__())


@pytest.fixture(autouse=True)
def _journal_of_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed and "booted" in request.fixturenames:
        booted: BootedRig = request.getfixturevalue("booted")
        print(booted.do(booted.journal()))
