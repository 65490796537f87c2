"""Assembly: from the configuration to samplers, and what is wrong stops nothing else."""

import sys


class Machine:
    # The machine module of a board that has two I2C controllers and 40 pins.
    def __init__(self):
        self.opened = []
        self.levels = {}
        self.wrote = []
        # How many clock pulses the data line, pin 21, is held low for.
        self.held = 0

    def I2C(self, number, scl, sda, freq):
        self.opened.append((number, scl.number, sda.number, freq))
        return Controller()

    @property
    def Pin(self):
        machine = self

        class Pin:
            OPEN_DRAIN = 7

            def __init__(self, number, mode=-1, value=None):
                if number >= 40:
                    raise ValueError("invalid pin")
                self.number = number
                if value is not None:
                    self.value(value)

            def value(self, level=None):
                if level is None:
                    return 0 if self.number == 21 and machine.held else 1
                machine.wrote.append((self.number, level))
                if self.number == 22 and level == 1 and machine.levels.get(22) == 0:
                    machine.held = max(0, machine.held - 1)
                machine.levels[self.number] = level
                return None

        return Pin


class Controller:
    def writeto(self, address, data):
        raise OSError(19)

    readfrom_into = writeto


machine = Machine()
sys.modules["machine"] = machine


class Nvs:
    def __init__(self, namespace):
        self.values = {}

    def get_blob(self, key, buf):
        raise OSError(-0x1102)

    def set_blob(self, key, value):
        pass

    def commit(self):
        pass


class Esp32:
    NVS = Nvs


sys.modules["esp32"] = Esp32()

import check  # noqa: E402
from feltpost import i2c_bus  # noqa: E402
from feltpost.assembly import Assembly  # noqa: E402
from feltpost.channel_table import ChannelTable  # noqa: E402
from feltpost.clock import Clock  # noqa: E402
from feltpost.config import Config  # noqa: E402

I2C = [{"id": 0, "scl": 22, "sda": 21}]
SCD41 = {"driver": "scd41", "interval_s": 60, "channels": {"co2": "co2"}}


def assembled(sensors, i2c=I2C, power="mains"):
    """Return how many samplers there are, what is wrong, and the names of channels."""
    value = {"links": [{"kind": "serial"}], "i2c": i2c, "sensors": sensors}
    value["power"] = {"mode": power}
    settings = Config("x.json", value)
    table = ChannelTable()
    samplers = Assembly(settings, table, None, Clock(), None).samplers()
    return len(samplers), settings.problems, [entry[0] for entry in table.entries]


def but(**settings):
    changed = dict(SCD41)
    changed.update(settings)
    return changed


def test_a_sensor_gets_its_channels_and_one_for_its_faults():
    check.equal(assembled([SCD41]), (1, [], ["co2", "sensorFault.scd41"]))


def test_a_bus_is_opened_once():
    machine.opened.clear()
    assembled([SCD41, but(driver="sht4x", channels={"temperature": "temperature"})])
    check.equal(machine.opened, [(0, 22, 21, 100_000)])


def test_what_is_wrong_stops_nothing_else():
    wrong = [
        (but(bus=1), ".bus: there is no bus 1 in i2c"),
        (but(address="x"), ".address: must be a whole number"),
        (but(speed=1), ".speed: no such setting"),
        (but(driver="scd42"), ": there is no driver 'scd42' (no module named "),
        (but(channels={"light": "light"}), ".channels.light: scd41 measures co2, temperature, "),
        (but(name="room", channels={"co2": {"name": "co2", "calibration": [[1, 1], [1, 2]]}}),
         ".channels.co2: calibration: its raw values must differ"),
    ]  # fmt: skip
    for settings, text in wrong:
        count, problems, _ = assembled([settings, but(name="other")])
        check.equal(count, 1, text)
        check.equal(len(problems), 1, text)
        check.equal(problems[0][: len(text) + 17], "x.json.sensors[0]" + text)


def test_a_pin_that_the_board_lacks_is_told():
    count, problems, _ = assembled([SCD41], [{"id": 0, "scl": 50, "sda": 21}])
    check.equal((count, problems), (0, ["x.json.sensors[0]: invalid pin"]))


def test_what_counts_all_the_time_has_no_place_on_a_battery():
    door = but(driver="contact", pin=26, channels={"contact": "contact"})
    count, problems, _ = assembled([door, SCD41], power="battery")
    check.equal(count, 1)
    text = "x.json.sensors[0].driver: contact counts all the time; a node on a battery sleeps"
    check.equal(problems, [text])


def test_two_of_a_kind_need_names():
    count, problems, _ = assembled([SCD41, SCD41])
    check.equal(count, 1)
    check.equal(problems, ["x.json.sensors[1].name: 'scd41' is taken; give one"])
    count, problems, names = assembled([SCD41, but(name="loft", channels={"co2": "co2.loft"})])
    check.equal((count, problems), (2, []))
    check.equal(names, ["co2", "sensorFault.scd41", "co2.loft", "sensorFault.loft"])


def test_a_bus_that_is_held_low_is_clocked_free():
    bus = i2c_bus.I2cBus(
        Config("x", {"links": [{"kind": "serial"}], "i2c": I2C, "sensors": []}).buses[0]
    )
    for held in (0, 1, 9):
        machine.held = held
        machine.wrote.clear()
        machine.opened.clear()
        bus.recover()
        check.equal(machine.held, 0)
        pulses = len([entry for entry in machine.wrote if entry == (22, 0)])
        check.equal(pulses, held, "no clock without need")
        check.equal(machine.wrote[-2:], [(21, 0), (21, 1)], "a stop ends it")
        check.equal(len(machine.opened), 1, "the controller gets its pins back")


if __name__ == "__main__":
    check.main(globals())
