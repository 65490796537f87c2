"""From boards as they come out of the bag to readings at the broker, with `feltpost flash`."""

import asyncio
import csv
import re
import signal

import pytest
from tests.support.workshop import KIT, until_printed

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.sim.chipflash import BOOTLOADER, micropython
from feltpost_tools.sim.flash import Torn
from feltpost_tools.sim.rig import OWNER

FILL = """
try:
    for number in range(99):
        with open("filling%d" % number, "wb") as file:
            for _ in range(64):
                file.write(bytes(4096))
except OSError:
    pass
"""
CLEAR = """
import os
for name in os.listdir("/"):
    if name.startswith("filling"):
        os.remove("/" + name)
"""


@pytest.mark.timeout(900)
def test_ten_boards_side_by_side_and_what_befalls_them(workshop, tmp_path):
    """Offline, in one run: one unplugged in the middle, one with a full flash, one in a boot loop,
    one running its old application, one with a torn write. A second run finishes the five that are
    left; their readings arrive at the broker."""
    image = tmp_path / "micropython.bin"
    image.write_bytes(micropython("1.26.1"))

    async def script(shop):
        boards = [shop.board(number) for number in range(1, 11)]
        running, unplugged, full, looping, torn = boards[:5]
        running.install({"links": [{"kind": "serial"}], "sensors": []})
        running.enrol(b"\x11\x22\x33\x44", bytes(range(16)))
        looping.chip.put(BOOTLOADER, b"\0" * 4096)
        for board in boards:
            await board.power_on()
        await until_printed(running, b": journal ")
        await Mpremote(str(full.line.path)).run(FILL, timeout_s=60)

        code, printed = await shop.feltpost(
            "enrol-key", shop.folder / "key", "--config", shop.gateway_configuration,
            program="feltpost-gateway",
        )  # fmt: skip
        assert code == 0, printed
        order = [
            "flash", "--batch", shop.list(boards), "--site-file", shop.site({"kind": "serial"}),
            "--enrol-file", shop.folder / "enrolments", "--gateway-key", shop.folder / "key",
            "--micropython", image,
        ]  # fmt: skip
        for board in boards:
            order += ["--port", board.line.path]

        flash = asyncio.create_task(shop.feltpost(*order))
        await until_printed(unplugged, b"raw REPL", 3)
        unplugged.line.unplug()
        torn.chip.files.cut_at(40, Torn.PREFIX)
        code, printed = await flash
        assert code == 1, printed
        for board in boards[5:]:
            assert f"{board.line.path} {board.name}: written to the enrolment file" in printed
        for board in (unplugged, full, looping, torn):
            assert f"{board.line.path}" in printed
        assert printed.count(": failed at") == 4, printed
        assert "The board's file system is full" in printed
        assert "Hold the button BOOT" in printed

        unplugged.line.plug()
        await Mpremote(str(full.line.path)).run(CLEAR, timeout_s=60)
        looping.press_reset(boot_held=True)
        await until_printed(looping, b"waiting for download")
        await torn.power_on()
        code, printed = await shop.feltpost(*order)
        assert code == 0, printed
        assert printed.count(": done before, the list says") == 6

        with (shop.folder / "nodes.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["result"] for row in rows] == ["ok"] * 10
        assert {row["firmware"] for row in rows} == {"0.1.0"}

        code, printed = await shop.feltpost(
            "enrol-import", shop.folder / "enrolments", "--yes", "--config",
            shop.gateway_configuration, program="feltpost-gateway",
        )  # fmt: skip
        assert code == 0, printed
        await shop.gateway_with(boards)
        outcome = await shop.drained(10 * 4)
        assert outcome.missing == outcome.wrong == 0, outcome
        assert set(shop.rig.ledger.nodes) == {board.name for board in boards}

    workshop(script)


@pytest.mark.timeout(400)
def test_one_board_with_a_code_interrupted_and_flashed_again(workshop):
    """Over the network, in Danish; Ctrl-C while the application is copied, then once more. Later it
    keeps its key and its readings, and without a name gets the application only."""

    async def script(shop):
        board = shop.board(1)
        port = board.join(("127.0.0.1", shop.rig.udp_port))
        await board.power_on()
        code, printed = await shop.feltpost(
            "enrol-code", "--config", shop.gateway_configuration, program="feltpost-gateway"
        )
        assert code == 0, printed
        (secret,) = re.findall(r"\b\w+(?:-\w+){3,}\b", printed)
        site = shop.site({"kind": "udp", "host": "127.0.0.1", "port": port, "ssid": "simulated"})
        order = ["flash", "--port", board.line.path, "--site-file", site]
        order += ["--gateway", f"127.0.0.1:{shop.rig.udp_port}"]
        named = [*order, "--name", board.name, "--kit", KIT, "--board", "esp32-devkitc"]

        flash = await shop.begin(*named, FELTPOST_CODE=secret, LANG="da_DK.UTF-8")
        assert flash.stdout
        printed = ""
        async for line in flash.stdout:
            printed += line.decode()
            if b"kopierer" in line:
                flash.send_signal(signal.SIGINT)
        assert await flash.wait() == 1, printed
        assert "afbrudt" in printed, printed

        code, printed = await shop.feltpost(*named, FELTPOST_CODE=secret)
        assert code == 0, printed
        assert f"enrolled as {OWNER}/{shop.rig.site}/{board.name}" in printed
        key = board.nvs.get("feltpost/key")
        await shop.sampled(4)

        code, printed = await shop.feltpost(*order, FELTPOST_CODE=secret)
        assert code == 0, printed
        assert "enrolled already" in printed
        assert board.nvs.get("feltpost/key") == key
        for text in (printed, (shop.folder / "state" / "feltpost" / "audit.jsonl").read_text()):
            assert key.hex() not in text
            assert secret not in text
        code, printed = await shop.feltpost("log", "--verify")
        assert code == 0, printed
        outcome = await shop.drained(12)
        assert outcome.missing == outcome.wrong == 0, outcome

    workshop(script)
