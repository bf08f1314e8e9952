"""Showing how far environments are: bars on a terminal, a line a step elsewhere. Always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from producer.local.installation import Installation

BAR_WIDTH = 16
MEGABYTE = 1e6


@contextmanager
def shown(
    installations: Sequence[Installation], *, say: Callable[[str], None]
) -> Iterator[Callable[[Installation], None]]:
    """Gives the function to call whenever an installation has moved on."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(say)
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(BAR_WIDTH),
        # Rich's own column stops for good at the first full bar, and every step has a bar.
        TextColumn("{task.fields[elapsed]}"),
        TextColumn("{task.fields[step]}"),
    )
    # Refreshed by the caller's loop: a refreshing thread does not go with forking children.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        tasks = {
            i.name: progress.add_task(i.name, total=None, step="waiting", elapsed="") for i in installations
        }
        began = time.monotonic()

        def show(installation: Installation) -> None:
            finished = installation.process is not None and installation.process.returncode == 0
            progress.update(
                tasks[installation.name],
                total=1 if finished else installation.total,
                completed=1 if finished else installation.done or 0,
                step="ready" if finished else _step(installation),
                elapsed=_clock(time.monotonic() - began),
            )
            progress.refresh()

        yield show


class _Lines:
    """One line for each step begun."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: set[str] = set()

    def __call__(self, installation: Installation) -> None:
        finished = installation.process is not None and installation.process.returncode == 0
        state = "ready" if finished else f"{_count(installation)}, {installation.step.title}"
        line = f"{installation.name}: {state}"
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _step(installation: Installation) -> str:
    return f"{_count(installation)}: {installation.detail}{_amount(installation)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _count(installation: Installation) -> str:
    return f"step {installation.position} of {len(installation.steps())}"


def _amount(installation: Installation) -> str:
    if installation.done is None or installation.total is None:
        return ""
    if installation.detail == "installing":
        weight = f", {installation.on_disk / MEGABYTE:,.0f} MB" if installation.on_disk else ""
        return f" {installation.done:.0f} of {installation.total:.0f} packages{weight}"
    return f", {installation.done / MEGABYTE:.0f} of {installation.total / MEGABYTE:.0f} MB"
