"""Boards that are plugged in one after another, and what the list on them says."""

import asyncio

import pytest

from feltpost_tools.batch import Batch
from feltpost_tools.device.ports import Port
from feltpost_tools.errors import AlreadyDone, NoNode
from feltpost_tools.flashing import side_by_side
from feltpost_tools.flashing.compile import Application
from feltpost_tools.flashing.nodes import Listed
from feltpost_tools.flashing.order import Order
from feltpost_tools.flashing.result import BoardResult, StepResult, no_progress
from feltpost_tools.flashing.side_by_side import Bench
from feltpost_tools.flashing.view import Lines

LIST = "name,owner,site,kit,board\n" + "".join(
    f"lokale-{number},aarhus,skole-x,indoor-climate,esp32-devkitc\n" for number in (1, 2, 3)
)
WAIT_S = 20


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "nodes.csv"
    path.write_text(LIST)
    return Listed(Batch.load(path))


@pytest.fixture
def order(tmp_path):
    return Order(Application("name", tmp_path, {}, "", "1.0"))


class Usb:
    """Stands for what is plugged in, which no test can do.

    Each step is after how many boards that are done it begins, and which ports are there then.
    """

    def __init__(self, *steps):
        self.steps = list(steps)
        self.done = []

    def plugged_in(self):
        if len(self.steps) > 1 and len(self.done) >= self.steps[1][0]:
            self.steps.pop(0)
        return [Port(f"/dev/ttyUSB{number}") for number in self.steps[0][1]]


def fake_job(macs, failing=()):
    """Stands for a board's whole way, of which system tests have the real one.

    failing: the ports at which the first try fails.
    """

    class Job:
        made = []

        def __init__(self, port, order, nodes, progress):
            self.port, self.nodes = port, nodes
            self.made.append(port)

        async def run(self):
            tries = self.made.count(self.port)
            mac = macs[self.port, tries]
            row = await self.nodes.take(mac)
            ok = tries > 1 or self.port not in failing
            await self.nodes.record(mac, None if ok else "broken", "1.0")
            return row["name"], BoardResult(self.port, (StepResult("start", ok),))

    return Job


def flash(mocker, order, listed, usb, job):
    mocker.patch.object(side_by_side, "ports", usb)
    mocker.patch.object(side_by_side, "Job", job)
    mocker.patch.object(side_by_side, "_LOOK_S", 0.001)
    mocker.patch.object(side_by_side, "_SETTLE_S", 0.0)
    done = usb.done

    async def run():
        view = mocker.Mock(spec=Lines)
        view.board = lambda port: mocker.MagicMock(__enter__=lambda _: no_progress)
        bench = Bench(order, listed, view, done.append)
        async with asyncio.timeout(WAIT_S):
            await bench.flash_as_they_come(listed)
        return bench.reports

    reports = asyncio.run(run())
    assert reports == done
    return [(name, result.port) for name, result in reports]


def test_boards_are_taken_as_they_come_until_the_list_is_done(mocker, order, listed):
    """The same port is another board after it was unplugged, and the same one while it is not."""
    macs = {
        ("/dev/ttyUSB0", 1): "02:00:00:00:00:01",
        ("/dev/ttyUSB1", 1): "02:00:00:00:00:02",
        ("/dev/ttyUSB0", 2): "02:00:00:00:00:03",
    }
    usb = Usb((0, []), (0, [0]), (0, [0, 1]), (2, [1]), (2, [0, 1]))
    taken = flash(mocker, order, listed, usb, fake_job(macs))
    assert sorted(name for name, _ in taken) == ["lokale-1", "lokale-2", "lokale-3"]
    assert sorted(port for _, port in taken) == ["/dev/ttyUSB0", "/dev/ttyUSB0", "/dev/ttyUSB1"]
    assert not listed.left


def test_one_that_failed_is_taken_again_when_it_comes_again(mocker, order, listed):
    macs = {(f"/dev/ttyUSB{n}", 1): f"02:00:00:00:00:0{n}" for n in (1, 2, 3)}
    macs["/dev/ttyUSB2", 2] = "02:00:00:00:00:02"
    usb = Usb((0, []), (0, [1, 2, 3]), (3, [1, 3]), (3, [1, 2, 3]))
    taken = flash(mocker, order, listed, usb, fake_job(macs, failing={"/dev/ttyUSB2"}))
    assert [port for _, port in taken].count("/dev/ttyUSB2") == 2
    assert len({name for name, _ in taken}) == 3
    assert not listed.left


def test_a_row_that_is_done_and_a_board_without_a_row(listed):
    async def run():
        for number in (1, 2, 3):
            await listed.take(f"02:00:00:00:00:0{number}")
            await listed.record(f"02:00:00:00:00:0{number}", None, "1.0")
        with pytest.raises(AlreadyDone, match="--again"):
            await listed.take("02:00:00:00:00:02")
        with pytest.raises(NoNode, match="02:00:00:00:00:04"):
            await listed.take("02:00:00:00:00:04")

    asyncio.run(run())
    assert not listed.left
