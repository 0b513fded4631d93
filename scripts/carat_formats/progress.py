"""A progress bar on the standard error, if that is a terminal."""
import sys
import time
from typing import TextIO

_WIDTH = 30


class Progress:
    """`total` units of work; `advance` says what was done."""

    def __init__(self, total: int, stream: TextIO = sys.stderr) -> None:
        self._total, self._done, self._stream = max(total, 1), 0, stream
        self._shown = stream.isatty()
        self._last = 0.0

    def advance(self, units: int, what: str) -> None:
        self._done += units
        now = time.monotonic()
        if self._shown and (now - self._last > 0.1 or self._done >= self._total):
            self._last = now
            full = self._done * _WIDTH // self._total
            self._stream.write(f"\r\x1b[K[{'#' * full}{' ' * (_WIDTH - full)}] {self._done * 100 // self._total:3d} % {what}")
            self._stream.flush()

    def close(self) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
