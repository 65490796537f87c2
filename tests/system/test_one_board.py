"""The commands for one board that is a node already: selftest, config, factory-reset."""

import json
import re

import pytest
from tests.support.workshop import KIT, until_printed

from feltpost_tools import boards, kits

BOARD = "esp32-devkitc"
SERIAL = {"kind": "serial"}


@pytest.mark.timeout(300)
def test_a_node_is_tested_configured_and_wiped(workshop):
    async def script(shop):
        board = shop.board(1)
        board.install(kits.expand(kits.load(KIT), boards.load(BOARD), [SERIAL]))
        board.enrol(b"\x01\x02\x03\x04", bytes(range(16)))
        await board.power_on()
        await until_printed(board, b": journal ")

        async def feltpost(*arguments):
            return await shop.feltpost(*arguments, "--port", board.line.path)

        code, printed = await feltpost("selftest")
        assert code == 0, printed
        assert re.search(r"sensor scd41 +in order +.*co2 \d+", printed), printed
        await until_printed(board, b": journal ", 2)  # the application runs again

        code, printed = await feltpost("config", "get", "sensors[0].interval_s")
        assert (code, json.loads(printed)) == (0, 300), printed
        code, printed = await feltpost("config", "set", "sensors[0].interval_s", "nonsense")
        assert code == 2 and "interval_s" in printed, printed
        code, printed = await feltpost("config", "set", "sensors[0].interval_s", "60")
        assert code == 0, printed
        site = shop.site(SERIAL)
        options = ["--kit", KIT, "--board", BOARD, "--site-file", site]
        code, printed = await feltpost("config", "diff", *options)
        assert (code, printed.strip()) == (1, "sensors[0].interval_s: 60 -> 300")
        await until_printed(board, b": journal ", 6)

        code, printed = await feltpost("factory-reset", "--yes")
        assert code == 0, printed
        assert board.nvs.get("feltpost/key") is None
        code, printed = await feltpost("config", "get")
        assert code == 2 and "no usable configuration" in printed, printed
        code, printed = await shop.feltpost("log", "--json")
        actions = [json.loads(line)["action"] for line in printed.splitlines()]
        assert actions == ["config set sensors[0].interval_s", "factory-reset"]

        board.line.unplug()
        code, printed = await feltpost("selftest")
        assert code == 2 and "There is no port" in printed, printed

    workshop(script)


def test_a_board_that_may_be_asleep_is_not_reset(workshop):
    async def script(shop):
        board = shop.board(1)  # without power, it is as silent as one in deep sleep
        flash = ["flash", "--no-enrol", "--port", board.line.path]
        code, printed = await shop.feltpost(*flash)
        assert code == 1 and "It may be asleep" in printed, printed
        code, printed = await shop.feltpost(*flash, "--reset")
        assert code == 1 and "Hold the button BOOT" in printed, printed

    workshop(script)


def test_nothing_is_guessed(workshop):
    async def script(shop):
        site = shop.site(SERIAL)
        for arguments, said in (
            (["flash", "--name", "a", "--kit", KIT, "--site-file", site], "Say how to enrol"),
            (["flash", "--name", "a", "--no-enrol"], "owner, site, kit"),
            (["flash", "--no-enrol", "--port", shop.folder / "none"], "There is no port"),
            (["flash", "--no-enrol", "--here", site], "one way to enrol"),
            (["flash", "--enrol-file", "f"], "--gateway-key"),
            (["flash", "--no-enrol", "--site-file", shop.folder / "none"], "can't be read"),
            (["flash", "--no-enrol", "--batch", shop.folder / "none"], "can't be read"),
            (["flash", "--name", "a", "--kit", "x", "--site-file", site, "--no-enrol"], "no kit"),
        ):
            code, printed = await shop.feltpost(*arguments)
            assert code == 2 and said in printed, (arguments, printed)
            assert "Traceback" not in printed

    workshop(script)


def test_passwords_are_nobody_elses(workshop):
    async def script(shop):
        site = shop.folder / "site.toml"
        site.write_text('[passwords]\nskole = "secret-of-wifi"\n')
        site.chmod(0o644)
        code, printed = await shop.feltpost("flash", "--no-enrol", "--site-file", site)
        assert code == 2 and "chmod 600" in printed and "secret" not in printed

    workshop(script)
