"""Watches a destination's TLS files: takes up new ones, warns before certificates end."""

import asyncio
from collections.abc import Callable, Sequence

from feltpost_gateway.clock import Clock
from feltpost_gateway.errors import TlsFilesError
from feltpost_gateway.logs import EventLog
from feltpost_gateway.tls import Expiry, TlsFiles

_LOOK_S = 30.0
_DAY_MS = 86_400_000
_WARN_DAYS = 30


class TlsWatch:
    """Calls `renew` when files of `destination` have changed and can be used."""

    def __init__(
        self,
        destination: str,
        files: Sequence[TlsFiles],
        clock: Clock,
        renew: Callable[[], None],
    ) -> None:
        self._destination = destination
        self._clock = clock
        self._renew = renew
        self._log = EventLog("forwarder")
        self._stamps = {each: each.stamps() for each in files}
        self._warned_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Look at the files now and then until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def look(self) -> None:
        """Look at the files now."""
        self.warn(self._file_expiries())
        changed = [self._has_changed(files) for files in self._stamps]
        if not any(changed):
            return
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

    def _has_changed(self, files: TlsFiles) -> bool:
        """Tell whether files that can be used are others than when they were last looked at."""
        stamps = files.stamps()
        if stamps == self._stamps[files]:
            return False
        try:
            files.context()
        except TlsFilesError as error:
            # They may be in the middle of being replaced; what is in use goes on being used.
            self._log_unusable(files, error)
            return False
        self._stamps[files] = stamps
        return True

    def _file_expiries(self) -> list[Expiry]:
        expiries = []
        for files in self._stamps:
            try:
                expiries += files.expiries()
            except (OSError, ValueError) as error:
                self._log_unusable(files, error)
        return expiries

    def _log_unusable(self, files: TlsFiles, error: Exception) -> None:
        self._log.limited((files,), "tls-files", destination=self._destination, reason=error)
