"""Makes a node a board again: no key, no passwords, no readings, no configuration."""

from feltpost_tools.device.mpremote import Mpremote
from feltpost_tools.errors import NotVerified
from feltpost_tools.flashing import script
from feltpost_tools.language import _

_SCRIPTS = ("wipe",)
# The erasing of the journal alone: 45 ms a block, 256 blocks in 1 MiB.
_TIMEOUT_S = 120.0


async def factory_reset(board: Mpremote, application: bool = False) -> None:
    """Wipe a board, and look whether all is gone; application: wipe that, too.

    Readings that no gateway has are lost. Two counters stay, so that no number comes twice should
    the board be enrolled again. Raises a DeviceError, NotVerified naming what is still there.
    """
    await _wipe(board, script.call("wipe", application))


async def erase_journal(board: Mpremote) -> None:
    """Remove the readings that a board keeps, and look whether they are gone.

    Readings that no gateway has are lost; the next one begins a new journal. Raises as above.
    """
    await _wipe(board, script.call("erase_journal"))


async def _wipe(board: Mpremote, call: str) -> None:
    told = await script.run(board, _SCRIPTS, call, timeout_s=_TIMEOUT_S, soft_reset=True)
    left = [values[0] for what, *values in told if what == "left"]
    if left:
        raise NotVerified(
            board.port,
            _("Still there after the reset: {what}.").format(what=", ".join(left)),
            _("Try again; where it stays, erase the whole flash with esptool."),
        )
