"""A progress bar on the standard error, if that is a terminal."""
import sys
import time

from ..program import diagnostic

_WIDTH = 30


class Progress:
    """`total` units of work; `advance` says what was done."""

    def __init__(self, total: int) -> None:
        self._total, self._done = max(total, 1), 0
        self._shown = sys.stderr is not None and sys.stderr.isatty()
        self._last = 0.0

    def advance(self, units: int, what: str) -> None:
        self._done += units
        now = time.monotonic()
        if self._shown and (now - self._last > 0.1 or self._done >= self._total):
            self._last = now
            full = self._done * _WIDTH // self._total
            percent = self._done * 100 // self._total
            diagnostic(f"\r\x1b[K[{'#' * full}{' ' * (_WIDTH - full)}] {percent:3d} % {what}", end="")

    def close(self) -> None:
        if self._shown:
            diagnostic("\r\x1b[K", end="")
