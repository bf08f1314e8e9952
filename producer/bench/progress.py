"""What a bench says while it runs: one line that changes on a terminal, a line a step elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status

from producer.bench.models import Variant
from producer.display import plus_minus

LINE_EVERY_S = 15.0
"""Elsewhere than on a terminal: within a round, which may take long."""


class Told:
    """Tells which variant is timed, and how narrow the intervals are by now."""

    def __init__(self, console: Console, *, status: Status | None, quiet: bool) -> None:
        self._console = console
        self._status = status
        self._quiet = quiet
        self._so_far = "warming up"
        self._said_s = time.monotonic()

    def warming(self, variant: Variant) -> None:
        """The first run of a variant begins, the one that compiles."""
        self._line(f"warming up {variant.label}")

    def timing(self, variant: Variant) -> None:
        """A run is submitted; it begins when its host is free."""
        self._step(f"{self._so_far}: waiting for the host, to time {variant.label}")

    def training(self, variant: Variant) -> None:
        """A run has its host to itself, and goes on."""
        self._step(f"{self._so_far}: timing {variant.label}")

    def round(self, done: int, width: float) -> None:
        """A round is done; `width` is half the widest interval by its median."""
        known = "" if math.isinf(width) else f", medians known to {plus_minus(width)}"
        self._so_far = f"{done} round{'s' * (done > 1)} done{known}"
        self._line(self._so_far)

    def notice(self, text: str) -> None:
        """A word on a wait."""
        self._console.print(text)

    def _step(self, text: str) -> None:
        if self._status is None and time.monotonic() - self._said_s > LINE_EVERY_S:
            self._line(text)
        else:
            self._show(text)

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)

    def _line(self, text: str) -> None:
        self._said_s = time.monotonic()
        self._show(text)
        if self._status is None and not self._quiet:
            self._console.print(text)


@contextmanager
def telling(console: Console, *, quiet: bool) -> Iterator[Told]:
    """Open while a bench runs. Off a terminal, `quiet` leaves only notices."""
    if not console.is_terminal:
        yield Told(console, status=None, quiet=quiet)
        return
    with console.status("warming up") as status:
        yield Told(console, status=status, quiet=quiet)
