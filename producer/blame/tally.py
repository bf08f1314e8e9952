"""Progress of many trainings as one count: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from producer.display import printable
from producer.live import LINE_EVERY_S, Board, Silent
from producer.queue.follow import Changed, Noticed, Update
from shared.ledger.records import RunRecord


class Tally:
    """How many of the runs are done, and how many are training."""

    def __init__(self, label: str, runs: int) -> None:
        self._label = label
        self._runs = runs
        self._records: dict[str, RunRecord] = {}
        self._notice: str | None = None

    def apply(self, update: Update) -> None:
        """Take in an update."""
        if isinstance(update, Changed):
            self._records[update.record.run_id] = update.record
            self._notice = None
        elif isinstance(update, Noticed):
            self._notice = update.text

    @property
    def done(self) -> int:
        """Runs that are final."""
        return sum(record.final for record in self._records.values())

    def __str__(self) -> str:
        training = sum(record.state == "leased" for record in self._records.values())
        told = f"{self._label}: {self.done} of {self._runs} done, {training} training"
        return f"{told}; {printable(self._notice)}" if self._notice else told

    def __rich__(self) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        row.add_row(ProgressBar(total=self._runs, completed=self.done, width=20), Text(str(self)))
        return row


class TallyLines:
    """The count as lines, not more often than every few seconds, and at the end."""

    def __init__(self, tally: Tally, runs: int, console: Console) -> None:
        self._tally = tally
        self._runs = runs
        self._console = console
        self._told = ""
        self._told_s = 0.0

    def apply(self, update: Update) -> None:
        """Take in an update and print a line where it is time."""
        self._tally.apply(update)
        due = time.monotonic() - self._told_s >= LINE_EVERY_S or self._tally.done == self._runs
        if due and str(self._tally) != self._told:
            self._told, self._told_s = str(self._tally), time.monotonic()
            self._console.print(self._told)


@contextmanager
def tally(label: str, runs: int, console: Console, *, quiet: bool) -> Iterator[Board]:
    """The count that fits the console; `quiet` silences all but a terminal."""
    count = Tally(label, runs)
    if console.is_terminal:
        with Live(count, console=console, refresh_per_second=8, transient=True):
            yield count
    else:
        yield Silent() if quiet else TallyLines(count, runs, console)
