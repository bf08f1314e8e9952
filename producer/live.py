"""Progress while trainings run: a live board on a terminal, a line every few seconds elsewhere.

Takes the updates of `producer.follow` and shows them on standard error; knows nothing of Redis.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from producer.display import printable
from producer.follow import Changed, Noticed, Progressed, Update
from producer.report.sparkline import sparkline
from producer.verdict import numbers
from shared.progress import ProgressEvent
from shared.records import RunRecord

KEPT_LOSSES = 400
"""A lane's losses are thinned out above this: the line of bars shows fewer anyway."""
LINE_EVERY_S = 3.0

_COLOURS = {"done": "green", "failed": "red", "cancelled": "yellow", "waiting": "yellow"}
_FINAL = {"succeeded": "done", "failed": "failed", "cancelled": "cancelled"}


class Board(Protocol):
    """Whatever shows progress."""

    def apply(self, update: Update) -> None:
        """Take in an update."""


@dataclass
class Lane:
    """Where one framework's run stands."""

    framework: str
    record: RunRecord | None = None
    event: ProgressEvent | None = None
    notice: str | None = None
    losses: list[float] = field(default_factory=list)
    began_ms: int | None = None
    """Stream time of the first event of this attempt, and what was done by then."""
    began_at: float = 0.0
    latest_ms: int = 0

    def apply(self, update: Update) -> None:
        """Take in an update of this lane's run."""
        if isinstance(update, Noticed):
            self.notice = update.text
        elif isinstance(update, Changed):
            if self.record is not None and update.record.attempt != self.record.attempt:
                self._start_again()
            self.record, self.notice = update.record, None
        else:
            self._progress(update)

    @property
    def state(self) -> str:
        """One or two words."""
        if self.record is not None and self.record.final:
            return _FINAL[self.record.state]
        if self.record is not None and self.record.cancel_requested:
            return "stopping"
        if self.record is None or self.record.state == "queued":
            return "waiting" if self.notice else "queued"
        return "starting" if self.event is None else "training"

    @property
    def share(self) -> float:
        """Of all epochs of all seeds, from 0 to 1."""
        if self.record is not None and self.record.state == "succeeded":
            return 1.0
        return _share(self.event) if self.event else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the speed so far, by the times of the events themselves."""
        if self.began_ms is None or self.state != "training" or self.share <= self.began_at:
            return None
        elapsed = (self.latest_ms - self.began_ms) / 1000
        return elapsed * (1 - self.share) / (self.share - self.began_at) if elapsed > 0 else None

    def _progress(self, update: Progressed) -> None:
        event, at_ms = update.event, _milliseconds(update.position)
        if self.event is not None and _share(event) < _share(self.event):
            self._start_again()
        if self.began_ms is None:
            self.began_ms, self.began_at = at_ms, _share(event)
        if self.event is not None and event.position != self.event.position:
            self.losses.clear()
        self.event, self.latest_ms, self.notice = event, at_ms, None
        if event.loss is not None:
            self.losses.append(event.loss)
            if len(self.losses) > KEPT_LOSSES:
                del self.losses[1::2]

    def _start_again(self) -> None:
        self.event, self.began_ms = None, None
        self.losses.clear()


class Silent:
    """Shows nothing."""

    def apply(self, update: Update) -> None:
        """Nothing."""


class Lines:
    """Plain lines: each change of state at once, progress every few seconds."""

    def __init__(self, frameworks: Sequence[str], console: Console) -> None:
        self._lanes = {name: Lane(name) for name in frameworks}
        self._console = console
        self._told = dict.fromkeys(frameworks, "")
        self._told_s = dict.fromkeys(frameworks, 0.0)

    def apply(self, update: Update) -> None:
        """Take in an update and print a line where there is something to say."""
        lane = self._lanes[framework_of(update)]
        lane.apply(update)
        state = f"{lane.state}: {lane.notice}" if lane.notice else lane.state
        due = time.monotonic() - self._told_s[lane.framework] >= LINE_EVERY_S
        if state != self._told[lane.framework] or (due and isinstance(update, Progressed)):
            self._told[lane.framework], self._told_s[lane.framework] = state, time.monotonic()
            parts = [state, *_told(lane)] if lane.state == "training" else [state]
            self._console.print(f"{lane.framework}: {printable(', '.join(parts))}")


class Screen:
    """All lanes side by side, redrawn as they change."""

    def __init__(self, frameworks: Sequence[str]) -> None:
        self._lanes = {name: Lane(name) for name in frameworks}

    def apply(self, update: Update) -> None:
        """Take in an update; `Live` redraws by itself."""
        self._lanes[framework_of(update)].apply(update)

    def __rich__(self) -> RenderableType:
        return Group(*(part for lane in self._lanes.values() for part in _lane_rows(lane)))


@contextmanager
def board(frameworks: Sequence[str], console: Console, *, quiet: bool = False) -> Iterator[Board]:
    """The board that fits the console; `quiet` silences all but a terminal."""
    if console.is_terminal:
        screen = Screen(frameworks)
        with Live(screen, console=console, refresh_per_second=8, transient=True):
            yield screen
    else:
        yield Silent() if quiet else Lines(frameworks, console)


def framework_of(update: Update) -> str:
    """Whose update it is."""
    if isinstance(update, Changed):
        return update.record.framework
    return update.event.framework if isinstance(update, Progressed) else update.framework


def _lane_rows(lane: Lane) -> Iterator[RenderableType]:
    colour = _COLOURS.get(lane.state, "cyan")
    top = Table.grid(padding=(0, 2), expand=False)
    top.add_column(width=12, no_wrap=True)
    top.add_column(width=12, no_wrap=True)
    top.add_column(width=20)
    top.add_column(no_wrap=True)
    bar: RenderableType = Text("")
    if lane.event is not None or lane.state == "done":
        bar = ProgressBar(total=1.0, completed=lane.share, width=20)
    top.add_row(Text(lane.framework, style="bold"), Text(lane.state, style=colour), bar, _place(lane))
    yield top
    below = lane.notice or "  ".join(_told(lane, epochs=False))
    yield Text(f"  {printable(below)}", style="yellow" if lane.notice else "dim", overflow="fold")


def _epochs(lane: Lane) -> str:
    if lane.event is None:
        return ""
    return f"epoch {lane.event.epoch:,}/{lane.event.epochs:,}"


def _place(lane: Lane) -> str:
    event = lane.event
    seed = f", seed {event.position}/{event.seeds}" if event is not None and event.seeds > 1 else ""
    return f"{_epochs(lane)}{seed}"


def _told(lane: Lane, *, epochs: bool = True) -> list[str]:
    event = lane.event
    if event is None:
        return []
    told = [_epochs(lane)] if epochs else []
    if event.loss is not None:
        told.append(f"loss {event.loss:.4g}")
    if event.validation_loss is not None:
        told.append(f"validation {event.validation_loss:.4g}")
    if not epochs:
        told.append(sparkline(lane.losses, 20))
    if event.samples_per_s and lane.state == "training":
        told.append(f"{event.samples_per_s:,.0f} samples/s")
    if lane.left_s is not None:
        told.append(f"{numbers.seconds(lane.left_s)} left")
    if epochs and event.seeds > 1:
        told.append(f"seed {event.position} of {event.seeds}")
    return [part for part in told if part]


def _share(event: ProgressEvent) -> float:
    return (event.position - 1 + event.epoch / event.epochs) / event.seeds


def _milliseconds(position: str) -> int:
    """The time in a stream id, `<milliseconds>-<number>`; 0 for the stream's start."""
    digits = position.partition("-")[0]
    return int(digits) if digits.isdigit() else 0
