"""What `feltpost flash` does to a node only when it is told to."""

import asyncio
import json

import pytest
from tests.support.boards import files_of
from tests.support.workshop import KIT, console, until_printed

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.sim.chipflash import micropython

SERIAL = {"kind": "serial"}
OTHERS_FILE = "with open('thesis.txt', 'w') as file: file.write('three years of work')"
GREETING = b"waiting for download"


async def into_loader(board):
    """Press the buttons; return once the loader in its ROM has greeted."""
    greetings = console(board).count(GREETING)
    board.press_reset(boot_held=True)
    await until_printed(board, GREETING, greetings + 1)


@pytest.mark.timeout(400)
def test_a_node_gets_a_new_key_another_place_and_an_empty_journal(workshop):
    async def script(shop):
        board = shop.board(1)
        await board.power_on()
        site = shop.site(SERIAL)

        async def flash(*options):
            # On a technician's table it is not on the gateway's line.
            await shop.gateway_with([])
            code, printed = await shop.feltpost(
                "flash", "--port", board.line.path, "--site-file", site, "--name", board.name,
                "--kit", KIT, "--board", "esp32-devkitc", "--here", shop.gateway_configuration,
                *options,
            )  # fmt: skip
            assert code == 0, printed
            return printed

        async def room():
            code, printed = await shop.feltpost(
                "nodes", "list", "--json", "--config", shop.gateway_configuration,
                program="feltpost-gateway",
            )  # fmt: skip
            assert code == 0, printed
            (node,) = json.loads(printed)
            return node["columns"]["room"]

        assert "enrolled as" in await flash("--room", "12")
        await shop.gateway_with([board])
        await shop.sampled(4)
        first_key = board.nvs.get("feltpost/key")
        assert await room() == "12"

        # What it is known as changes only with --update, its key only with --new-identity.
        assert "enrolled already" in await flash("--room", "14")
        assert await room() == "12"
        await flash("--room", "14", "--update")
        assert await room() == "14"
        assert board.nvs.get("feltpost/key") == first_key
        await flash("--new-identity")
        assert board.nvs.get("feltpost/key") != first_key
        await shop.gateway_with([board])
        await shop.sampled(shop.rig.ledger.outcome().sampled + 4)
        async with asyncio.timeout(60):
            while shop.rig.ledger.missing:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)

        # Readings that no gateway has go with the journal, and with nothing else.
        await shop.gateway_with([])
        # Nobody listens on the line, so there is no answer to wait for.
        listening, shop.rig.world.listening = shop.rig.world.listening, lambda: False
        await shop.sampled(shop.rig.ledger.outcome().sampled + 8)
        shop.rig.world.listening = listening
        kept = len(shop.rig.ledger.missing)
        assert kept >= 8
        await flash("--erase-journal")
        thrown_away = len(shop.rig.ledger.missing)
        await shop.gateway_with([board])
        await shop.sampled(shop.rig.ledger.outcome().sampled + 8)
        shop.rig.ledger.close(shop.rig.clock.now_us())
        async with asyncio.timeout(60):
            while len(shop.rig.ledger.missing) > thrown_away:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)
        outcome = shop.rig.ledger.outcome()
        assert outcome.missing >= kept
        assert outcome.wrong == outcome.duplicates == 0

    workshop(script)


@pytest.mark.timeout(400)
def test_files_of_others_go_only_with_leave(workshop, tmp_path):
    """A board that has no room for the journal: its file system must be made anew."""
    image = tmp_path / "micropython.bin"
    image.write_bytes(micropython("1.26.1"))

    async def script(shop):
        board = shop.board(1, journal_blocks=0)
        await board.power_on()
        await Mpremote(str(board.line.path)).run(OTHERS_FILE, timeout_s=60)
        order = [
            "flash", "--port", board.line.path, "--site-file", shop.site(SERIAL), "--name",
            board.name, "--kit", KIT, "--board", "esp32-devkitc", "--no-enrol",
            "--micropython", image,
        ]  # fmt: skip

        await into_loader(board)
        code, printed = await shop.feltpost(*order)
        assert code == 1, printed
        assert "--erase-files" in printed, printed
        await board.power_off()
        assert files_of(board)["thesis.txt"] == b"three years of work"

        await board.power_on()
        await into_loader(board)
        code, printed = await shop.feltpost(*order, "--erase-files")
        assert code == 0, printed
        await until_printed(board, b": journal ")
        await board.power_off()
        assert "thesis.txt" not in files_of(board)
        assert board.chip.journal is not None

    workshop(script)
