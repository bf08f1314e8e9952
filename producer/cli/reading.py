"""Says on standard error how far the reading of a large file is."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TextIO

from likewise.producer.output import loudness

_PATIENCE_S = 1.0
"""What takes no longer is read without a word."""
_LEAST_BYTES = 2**20
"""A file of which less is read is read without a word, however slow the machine is."""
_EVERY_S = {True: 0.2, False: 3.0}
"""The least time between two words about a file, on a terminal and elsewhere."""


@dataclass
class ReadingLine:
    """It is one line on a terminal that goes away at the end; elsewhere a line now and then."""

    stream: TextIO | None = None
    """Where it is said; None is standard error."""
    _began_s: float = 0.0
    _said_s: float = 0.0
    _reading: bool = False
    _shown: bool = False

    def __call__(self, place: str, count: int | None) -> None:
        """Take how many bytes of a file are read; None at its end."""
        if count is None:
            if self._shown and self._out.isatty():
                self._say("\r\x1b[K")
            self._reading = self._shown = False
            return
        if loudness.get() == "quiet" or count < _LEAST_BYTES:
            return
        now = time.monotonic()
        if not self._reading:
            self._reading, self._began_s = True, now
        if now - self._began_s < _PATIENCE_S or now - self._said_s < _EVERY_S[self._out.isatty()]:
            return
        self._said_s, self._shown = now, True
        text = f"reading {place}: {count / 2**20:,.0f} MiB"
        self._say(f"\r{text}\x1b[K" if self._out.isatty() else f"likewise: {text}\n")

    @property
    def _out(self) -> TextIO:
        return self.stream or sys.stderr

    def _say(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
