"""The inventory of a bench: what it says of boards, and where it says that a mistake is."""

import re
from pathlib import Path

import pytest

from feltpost_tools.errors import DefinitionError, UsageError
from feltpost_tools.hil import inventory
from feltpost_tools.hil.inventory import PowerSwitch
from feltpost_tools.hil.lock import BoardBusy, BoardLock

GUIDE = Path(__file__).parents[2] / "docs" / "hardware-in-the-loop.md"
WHOLE = """
[boards.bench-1]
port = "/dev/serial/by-id/usb-1"
board = "esp32-devkitc"
kit = "indoor-climate"
power = { hub = "1-1.4", port = 2 }
labels = ["desk"]

[boards.bench-2]
port = "/dev/serial/by-id/usb-2"
chip = "ESP32-C3"
site = "site.toml"
[boards.bench-2.wiring]
sensors = [{ driver = "ds18b20", pin = 4, channels = { temperature = "temperature" } }]
"""
SITE = """
[[links]]
kind = "udp"
host = "192.0.2.1"
ssid = "bench"

[journal]
readings = 500
"""


@pytest.fixture
def write(tmp_path):
    (tmp_path / "site.toml").write_text(SITE)

    def write(text):
        path = tmp_path / "boards.toml"
        path.write_text(text)
        return path

    return write


def test_what_it_says(write):
    path = write(WHOLE)
    first, second = inventory.find(["bench-1", "/dev/serial/by-id/usb-2"], path)
    assert (first.name, first.chip, first.link) == ("bench-1", "ESP32", "serial")
    assert first.sensors == ["scd41", "sht4x", "bh1750"]
    assert first.power == PowerSwitch("1-1.4", 2)
    for need in ("scd41", "sensor", "power", "serial", "esp32", "desk"):
        assert first.lacks(need) is None
    assert (second.name, second.link) == ("bench-2", "wifi")
    assert second.lacks("esp32-c3") is None
    assert second.lacks("scd41") == (
        "board 'bench-2' has no scd41; wired: ds18b20; else: esp32-c3, wifi"
    )
    assert "bench-2' has no power" in second.lacks("power")


def test_the_configuration_of_its_node(write):
    _, entry = inventory.read(write(WHOLE)).values()
    made = entry.configuration(entry.site.links, interval_s=5)
    assert made["links"] == [{"kind": "udp", "host": "192.0.2.1", "ssid": "bench"}]
    assert made["journal"] == {"readings": 500}
    (sensor,) = made["sensors"]
    assert (sensor["pin"], sensor["interval_s"]) == (4, 5)


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('port = "/dev/serial/by-id/usb-2"', "", "boards.bench-2.port: is missing"),
        ("usb-2", "usb-1", "boards.bench-2.port: is that of bench-1, too"),
        ("esp32-devkitc", "arduino", "boards.bench-1.board: there is no board 'arduino'"),
        ("indoor-climate", "outdoors", "boards.bench-1.kit: there is no kit 'outdoors'"),
        ('board = "esp32-devkitc"', "", "boards.bench-1.kit: needs the key board as well"),
        ("port = 2", "port = 0", "boards.bench-1.power.port: is 0, must be 1 to 64"),
        ("labels", "lables", "boards.bench-1.lables: no such setting"),
        ('"temperature" } }]', "3 } }]", "boards.bench-2.wiring: "),
        ("ds18b20", "ds18b21", "there is no driver 'ds18b21'"),
        ("sensors = [", "sensor = [", "boards.bench-2.wiring: has the sections"),
        ("sensors = [{", 'sensors = ["x", {', "boards.bench-2.wiring: each section is a list"),
        ("site.toml", "none.toml", "boards.bench-2.site: "),
        ("boards.bench-1", "boards.sim", "boards.sim: is the name of a simulated board"),
    ],
)
def test_a_mistake_is_told_where_it_is(write, was, becomes, said):
    assert was in WHOLE
    with pytest.raises(DefinitionError) as raised:
        inventory.read(write(WHOLE.replace(was, becomes)))
    assert said in str(raised.value)
    assert "boards.toml" in str(raised.value)


def test_nodes_that_sleep_are_refused(write, tmp_path):
    (tmp_path / "site.toml").write_text(SITE + '[power]\nmode = "battery"\n')
    with pytest.raises(DefinitionError, match="site.toml lets nodes sleep"):
        inventory.read(write(WHOLE))


def test_boards_are_found_by_name_and_port(write):
    path = write(WHOLE)
    found = inventory.find(["sim", "bench-1", "/dev/ttyUSB7", "bench-1", "sim-wifi"], path)
    assert [entry.name for entry in found] == ["sim", "bench-1", "ttyUSB7", "sim-wifi"]
    assert [entry.simulated for entry in found] == [True, False, False, True]
    assert [entry.listed for entry in found] == [True, True, False, True]
    with pytest.raises(UsageError, match="known are sim, sim-wifi, bench-1, bench-2"):
        inventory.find(["bench-3"], path)
    with pytest.raises(UsageError, match="would be called tty, as /one/tty is"):
        inventory.find(["/one/tty", "/two/tty"], path)
    with pytest.raises(UsageError, match="no inventory"):
        inventory.find(["bench-3"], None)


def test_two_runs_do_not_get_the_same_board(tmp_path):
    port = tmp_path / "tty"
    port.touch()
    (tmp_path / "by-id").symlink_to(port)
    first, second = (BoardLock(str(path), tmp_path) for path in (port, tmp_path / "by-id"))
    first.take("anna, process 7", wait_s=0)
    with pytest.raises(BoardBusy, match=r"in use by anna, process 7\. Wait .* --board-wait"):
        second.take("bo, process 8", wait_s=0)
    first.release()
    second.take("bo, process 8", wait_s=0)
    second.release()


def test_the_guides_inventory_is_one(write, tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "bench-site.toml").write_text(SITE)
    first, second = inventory.read(write(text)).values()
    assert first.abilities >= {"scd41", "power", "serial", "esp32", "desk"}
    assert second.abilities >= {"bme280", "wifi", "esp32-c3"}
