"""Watches a destination's TLS files: takes up new ones, warns before certificates end."""

import asyncio
from collections.abc import Callable

from feltpost_gateway.clock import Clock
from feltpost_gateway.errors import TlsFilesError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.tls import Expiry, TlsFiles

_LOOK_S = 30.0
_DAY_MS = 86_400_000
_WARN_DAYS = 30


class TlsWatch:
    """Calls `renew` when the files of `destination` have changed and can be used."""

    def __init__(
        self, destination: str, files: TlsFiles, clock: Clock, renew: Callable[[], None]
    ) -> None:
        self._destination = destination
        self._files = files
        self._clock = clock
        self._renew = renew
        self._log = EventLog("forwarder")
        self._stamps = files.stamps()
        self._warned_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Look at the files now and then until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Look at the files now."""
        self.warn(self._file_expiries())
        stamps = self._files.stamps()
        if stamps == self._stamps:
            return
        try:
            self._files.context()
        except TlsFilesError as error:
            # They may be in the middle of being replaced; what is in use goes on being used.
            self._log.limited((), "tls-files", destination=self._destination, reason=error)
            return
        self._stamps = stamps
        self._warned_ms.clear()
        self._log.info("tls-files-changed", destination=self._destination)
        self._renew()

    def warn(self, expiries: list[Expiry]) -> None:
        """Warn once a day of each certificate that ends within 30 days."""
        if not self._clock.is_set():
            return
        now_ms = self._clock.now_ms()
        for expiry in expiries:
            days = (expiry.end_ms - now_ms) // _DAY_MS
            warned_ms = self._warned_ms.get(expiry.what)
            if days >= _WARN_DAYS or warned_ms is not None and now_ms - warned_ms < _DAY_MS:
                continue
            self._warned_ms[expiry.what] = now_ms
            log = self._log.warning if days >= 0 else self._log.error
            log(
                "certificate-ends" if days >= 0 else "certificate-ended",
                destination=self._destination,
                certificate=expiry.what,
                days=days,
            )

    def _file_expiries(self) -> list[Expiry]:
        try:
            return self._files.expiries()
        except (OSError, ValueError) as error:
            self._log.limited((), "tls-files", destination=self._destination, reason=error)
            return []
