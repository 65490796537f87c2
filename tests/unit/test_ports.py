"""Which port is meant, why one can't be opened, and where MicroPython's images are found."""

import hashlib
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest

from feltpost_tools.device import image_cache, ports, rights
from feltpost_tools.device.ports import Port
from feltpost_tools.errors import MissingTool, PortsUnclear, UnusableImage
from feltpost_tools.sim.chipflash import micropython


@pytest.fixture
def plugged(monkeypatch, tmp_path):
    """Return a function that has devices on USB: path, vendor, serial number."""

    def make(*devices):
        infos = []
        for name, vid, number in devices:
            (tmp_path / name).touch()
            infos.append(
                SimpleNamespace(
                    device=str(tmp_path / name), vid=vid, serial_number=number, manufacturer=None
                )
            )
        monkeypatch.setattr(ports.list_ports, "comports", lambda: infos)

    return make


@pytest.fixture
def terminal(tmp_path):
    """A pseudo-terminal under a name of its own, as a simulated board has."""
    master, slave = os.openpty()
    path = tmp_path / "tty"
    path.symlink_to(os.ttyname(slave))
    yield path
    os.close(master)
    os.close(slave)


def test_ports_of_boards_are_found_and_others_left_out(plugged, tmp_path):
    plugged(
        ("ttyUSB1", 0x10C4, "0001"), ("ttyACM0", 0x303A, "AA:BB"), ("ttyS0", None, None),
        ("ttyACM9", 0x2341, "modem"),
    )  # fmt: skip
    found = ports.plugged_in()
    assert [(port.path, port.serial, port.native) for port in found] == [
        (str(tmp_path / "ttyACM0"), "AA:BB", True),
        (str(tmp_path / "ttyUSB1"), "0001", False),
    ]


def test_the_only_board_is_taken(plugged, tmp_path):
    plugged(("ttyUSB0", 0x1A86, None))
    assert ports.only().path == str(tmp_path / "ttyUSB0")


def test_between_two_it_never_guesses(plugged):
    plugged(("ttyUSB0", 0x1A86, None), ("ttyUSB1", 0x10C4, "0001"))
    with pytest.raises(PortsUnclear) as caught:
        ports.only()
    assert "ttyUSB0 (WCH CH34x/CH910x)" in str(caught.value)
    assert "ttyUSB1 (Silicon Labs CP210x 0001)" in str(caught.value)


def test_no_board_says_what_to_look_for(plugged):
    plugged()
    with pytest.raises(PortsUnclear, match="cable that carries data"):
        ports.only()


def test_a_port_is_named_by_path_or_serial_number(plugged, terminal, tmp_path):
    plugged(("ttyUSB0", 0x1A86, "0001"))
    named = ports.named(["0001", str(terminal), str(tmp_path / "ttyUSB0")])
    assert [port.path for port in named] == [str(tmp_path / "ttyUSB0"), str(terminal)]
    assert named[1] == Port(str(terminal))
    with pytest.raises(PortsUnclear, match="no port ttyX"):
        ports.named(["ttyX"])


def test_who_holds_a_port_is_named(terminal):
    hold = "import sys; port = open(sys.argv[1], 'rb', 0); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(terminal)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as holder:
        holder.stdout.readline()
        error = rights.unavailable(str(terminal))
        holder.stdin.close()
    assert f"(process {holder.pid})" in error.happened and "python" in error.happened


def test_a_port_that_is_not_there_is_told(tmp_path):
    assert "no such port" in str(rights.unavailable(str(tmp_path / "tty")))


def test_missing_rights_name_the_group(monkeypatch, tmp_path):
    port = tmp_path / "tty"
    port.touch()
    port.chmod(0o660)
    # As root everything may be opened.
    monkeypatch.setattr(rights.os, "access", lambda *_: False)
    monkeypatch.setattr(rights.Path, "group", lambda self: "dialout")
    error = rights.unavailable(str(port))
    assert "no right" in error.happened and "usermod -aG dialout" in error.advice
    port.chmod(stat.S_IRUSR)
    assert "administrator" in rights.unavailable(str(port)).advice


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The folder with images; a function puts one there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "feltpost" / "micropython"
    folder.mkdir(parents=True)

    def put(version, chip="ESP32", digest=None):
        path = folder / f"{chip}-{version}.bin"
        path.write_bytes(micropython(version))
        right = hashlib.sha256(path.read_bytes()).hexdigest()
        path.with_name(path.name + ".sha256").write_text(f"{digest or right}  {path.name}\n")
        return path

    return put


def test_the_newest_image_is_taken(cache):
    cache("1.9.4")
    cache("1.25.0")
    path = cache("1.26.1")
    assert image_cache.find("ESP32").path == path


def test_a_missing_image_says_where_to_get_it(cache):
    cache("1.26.1")
    with pytest.raises(MissingTool, match=r"ESP32_GENERIC_C3 1\.25.*--micropython FILE"):
        image_cache.find("ESP32-C3")
    with pytest.raises(MissingTool, match="does not run on this chip"):
        image_cache.find("ESP8266")


def test_an_image_that_does_not_fit_is_refused(cache, tmp_path):
    with pytest.raises(UnusableImage, match="is for ESP32, the board has ESP32-C3"):
        image_cache.find("ESP32-C3", cache("1.26.1"))
    with pytest.raises(UnusableImage, match=r"is MicroPython 1\.24\.1; 1\.25 or later"):
        image_cache.find("ESP32", cache("1.24.1"))
    with pytest.raises(UnusableImage, match="can't be read"):
        image_cache.find("ESP32", tmp_path / "nothing.bin")


def test_an_image_of_the_folder_must_have_its_digest(cache):
    path = cache("1.26.1", digest="0" * 64)
    with pytest.raises(UnusableImage, match="fetch it again"):
        image_cache.find("ESP32")
    path.with_name(path.name + ".sha256").unlink()
    with pytest.raises(UnusableImage, match="not beside it"):
        image_cache.find("ESP32")
