"""Progress while trainings run: a live board on a terminal, a line every few seconds elsewhere.

Takes the updates of `producer.runs.follow` and shows them on standard error; knows nothing of Redis.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from likewise.producer import display
from likewise.producer.display import printable, sparkline
from likewise.producer.output import loudness
from likewise.producer.runs.follow import Changed, Noticed, Progressed, Update
from likewise.producer.runs.results import Diverged
from likewise.shared.ledger.records import ProgressEvent, RunRecord

KEPT_LOSSES = 400
"""The most losses kept for a lane; above it every second one is dropped, since the sparkline shows fewer."""
LINE_EVERY_S = 10.0
"""The least time between two lines about the progress of one side."""
VERBOSE_EVERY_S = 2.0
"""The same where every change is wanted."""

SPEED_OF_S = 15.0
"""The time over which a speed is reckoned: what was slower before, such as beside another side, is over."""
_MARKS = 2

_COLOURS = {"done": "green", "diverged": "red", "failed": "red", "cancelled": "yellow", "waiting": "yellow"}


class Board(Protocol):
    """A board is whatever shows progress."""

    def apply(self, update: Update) -> None:
        """Take in an update."""


@dataclass
class Lane:
    """It tells how far one side is: its run, or its runs where its seeds are spread over workers."""

    side: str
    records: dict[str, RunRecord] = field(default_factory=dict)
    event: ProgressEvent | None = None
    """The latest event of any of the runs."""
    shares: dict[str, float] = field(default_factory=dict)
    """How much of each run is done, from 0 to 1, by run id."""
    diverged: dict[str, Diverged] = field(default_factory=dict)
    """The runs that failed only because trainings diverged, by run id."""
    members: dict[str, int] = field(default_factory=dict)
    """How many trainings each run has, by run id, as far as it is known."""
    notice: str | None = None
    losses: list[float] = field(default_factory=list)
    marks: deque[tuple[int, float]] = field(default_factory=deque)
    """The stream's times of the latest events that tell a rate, and how much was done by each, from 0 to 1.

    The first lies as far back as the speed is reckoned from.
    """

    def apply(self, update: Update) -> None:
        """Take in an update of this lane's run."""
        if isinstance(update, Noticed):
            self.notice = update.text
        elif isinstance(update, Changed):
            held = self.records.get(update.record.run_id)
            if held is not None and update.record.attempt > held.attempt > 0:
                self._start_again(held.run_id)
            self.records[update.record.run_id] = update.record
            if update.diverged is not None:
                self.diverged[update.record.run_id] = update.diverged
                self.members[update.record.run_id] = update.diverged.trained
            self.notice = None
        else:
            self._progress(update)

    @property
    def state(self) -> str:
        """What the runs are doing, in a word."""
        records = self.records.values()
        states = {record.state for record in records}
        if records and all(record.final for record in records):
            return self._end(states)
        if any(record.cancel_requested for record in records):
            return "stopping"
        if self.notice:  # it is queued, or its worker has gone silent
            return "waiting"
        if not states - {"queued"}:
            return "queued"
        if self.event is None:
            return "training" if self.runs_done else "starting"
        return "compiling" if self.event.compiling else "training"

    @property
    def runs_done(self) -> str | None:
        """`12 of 400 runs done`, where there are several and they do not end together."""
        done = sum(record.final for record in self.records.values())
        return f"{done:,} of {len(self.records):,} runs done" if 0 < done < len(self.records) else None

    @property
    def some_diverged(self) -> str | None:
        """`2 of 6 diverged`, where the others ended well; `2 diverged` where their number is not known."""
        number = sum(one.diverged for one in self.diverged.values())
        if not number or self.state != "done":
            return None
        known = self.members.keys() >= self.records.keys()
        return f"{number:,} of {sum(self.members.values()):,} diverged" if known else f"{number:,} diverged"

    @property
    def share(self) -> float:
        """How much of all epochs of all seeds is done, from 0 to 1."""
        if not self.records:
            return sum(self.shares.values())
        done = (
            1.0 if record.state == "succeeded" or run_id in self.diverged else self.shares.get(run_id, 0.0)
            for run_id, record in self.records.items()
        )
        return sum(done) / len(self.records)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the latest speed, measured by the stream's times of the events."""
        if not self.marks or self.state != "training":
            return None
        (began_ms, before), (latest_ms, _) = self.marks[0], self.marks[-1]
        elapsed, done = (latest_ms - began_ms) / 1000, self.share - before
        return elapsed * (1 - self.share) / done if elapsed > 0 and done > 0 else None

    def _end(self, states: AbstractSet[str]) -> str:
        failed = {run_id for run_id, record in self.records.items() if record.state == "failed"}
        if failed - self.diverged.keys():
            return "failed"
        if "cancelled" in states:
            return "cancelled"
        none_ended_well = all(one.diverged == one.trained for one in self.diverged.values())
        return "diverged" if failed == self.records.keys() and none_ended_well else "done"

    def _progress(self, update: Progressed) -> None:
        event, at_ms = update.event, _milliseconds(update.position)
        self.members[event.run_id] = event.seeds
        if event.share < self.shares.get(event.run_id, 0.0):
            self._start_again(event.run_id)
        self.shares[event.run_id] = event.share
        if event.samples_per_s is None and len(self.records) <= 1:
            self.marks.clear()  # what came before was compiling, or the first updates
        else:
            self.marks.append((at_ms, self.share))
            while len(self.marks) > _MARKS and self.marks[1][0] <= at_ms - SPEED_OF_S * 1000:
                self.marks.popleft()
        if self.event is not None and event.position != self.event.position:
            self.losses.clear()
        self.event, self.notice = event, None
        if event.loss is not None:
            self.losses.append(event.loss)
            if len(self.losses) > KEPT_LOSSES:
                del self.losses[1::2]

    def _start_again(self, run_id: str) -> None:
        self.event = None
        self.marks.clear()
        self.shares.pop(run_id, None)
        self.losses.clear()


class Silent:
    """It is a board that shows nothing."""

    def apply(self, update: Update) -> None:
        """Take in an update and show nothing of it."""


Detail = Literal["ends", "problems", "everything"]
"""What lines tell at once: how a side ends and what it waits for or compiles; only what goes wrong; or each
change. How far a side is they tell every few seconds."""


class Lines:
    """It prints plain lines, for a log: few where all goes well."""

    def __init__(
        self, sides: Sequence[str], console: Console, *, runs: int = 0, detail: Detail = "ends"
    ) -> None:
        self._lanes = {name: Lane(name) for name in sides}
        self._console = console
        self._runs = runs
        self._detail = detail
        self._every_s = VERBOSE_EVERY_S if detail == "everything" else LINE_EVERY_S
        self._all_known = False
        self._printed = dict.fromkeys(sides, "")
        self._printed_s = dict.fromkeys(sides, time.monotonic())

    def apply(self, update: Update) -> None:
        """Take in an update and print a line where there is something to say."""
        lane = self._lanes[side_of(update)]
        lane.apply(update)
        if sum(len(one.records) for one in self._lanes.values()) < self._runs:
            return  # the first updates are one a run: until all are known, none can be said to be done
        if not self._all_known:
            self._all_known = True
            for other in self._lanes.values():
                if other is not lane:
                    self._say(other, update)
        self._say(lane, update)

    def _say(self, lane: Lane, update: Update) -> None:
        state = f"{lane.state}: {lane.notice}" if lane.notice else lane.state
        if some := lane.some_diverged:
            state += f", {some}"
        due = time.monotonic() - self._printed_s[lane.side] >= self._every_s
        changed = state != self._printed[lane.side]
        if (changed and self._at_once(lane)) or (due and (changed or isinstance(update, Progressed))):
            self._printed[lane.side], self._printed_s[lane.side] = state, time.monotonic()
            beside = _another_trains(lane, self._lanes.values())
            parts = [state, *_figures(lane, beside=beside)] if lane.state == "training" else [state]
            self._console.print(f"{lane.side}: {printable(', '.join(parts))}")

    def _at_once(self, lane: Lane) -> bool:
        if self._detail == "everything" or lane.state in ("failed", "diverged", "cancelled", "waiting"):
            return True
        return self._detail == "ends" and lane.state in ("done", "compiling")


class Screen:
    """It draws all lanes one below the other, anew as they change."""

    def __init__(self, sides: Sequence[str]) -> None:
        self._lanes = {name: Lane(name) for name in sides}

    def apply(self, update: Update) -> None:
        """Take in an update; `Live` redraws by itself."""
        self._lanes[side_of(update)].apply(update)

    def __rich__(self) -> RenderableType:
        lanes = self._lanes.values()
        return Group(*(part for one in lanes for part in _lane_rows(one, _another_trains(one, lanes))))


@contextmanager
def board(
    sides: Sequence[str], console: Console, *, runs: int = 0, quiet: bool = False, follows_up: bool = False
) -> Iterator[Board]:
    """Yield the board that fits the console, for so many runs; `quiet` silences all but a terminal.

    Of a follow-up, which is announced in a line, lines tell only what takes long or goes wrong.
    """
    wanted = loudness.get()
    if wanted == "quiet":
        yield Silent()
    elif console.is_terminal and wanted != "verbose":
        screen = Screen(sides)
        with Live(screen, console=console, refresh_per_second=8, transient=True):
            yield screen
    else:
        detail: Detail = "everything" if wanted == "verbose" else "problems" if follows_up else "ends"
        silent = quiet and wanted != "verbose"
        yield Silent() if silent else Lines(sides, console, runs=runs, detail=detail)


def side_of(update: Update) -> str:
    """Return the side that an update is about."""
    if isinstance(update, Changed):
        return update.record.side
    return update.event.side if isinstance(update, Progressed) else update.side


def _another_trains(lane: Lane, lanes: Collection[Lane]) -> bool:
    """Return whether another side trains at the same time: once it ends, this one may go faster."""
    return any(one is not lane and one.state in ("compiling", "training") for one in lanes)


def _lane_rows(lane: Lane, beside: bool) -> Iterator[RenderableType]:
    colour = _COLOURS.get(lane.state, "cyan")
    top = Table.grid(padding=(0, 2), expand=False)
    top.add_column(width=12, no_wrap=True)
    top.add_column(width=12, no_wrap=True)
    top.add_column(width=20)
    top.add_column(no_wrap=True)
    bar: RenderableType = Text("")
    if lane.event is not None or lane.state == "done":
        bar = ProgressBar(total=1.0, completed=lane.share, width=20)
    top.add_row(
        Text(lane.side, style="bold"),
        Text(lane.state, style=colour),
        bar,
        f"{_epochs(lane)}{_seeds(lane)}",
    )
    yield top
    parts = [lane.some_diverged, *_figures(lane, beside=beside, epochs=False)]
    below = lane.notice or "  ".join(part for part in parts if part)
    yield Text(f"  {printable(below)}", style="yellow" if lane.notice else "dim", overflow="fold")


def _epochs(lane: Lane) -> str:
    if lane.event is None:
        return ""
    return f"epoch {lane.event.epoch:,}/{lane.event.epochs:,}"


def _seeds(lane: Lane) -> str:
    event = lane.event
    if event is None or event.seeds == 1:
        return ""
    last = event.position + event.together - 1
    which = f"seed {event.position:,}" if event.together == 1 else f"seeds {event.position:,}-{last:,}"
    runs = f", {len(lane.records)} runs" if len(lane.records) > 1 else ""
    return f", {which}/{event.seeds:,}{runs}"


def _figures(lane: Lane, *, beside: bool, epochs: bool = True) -> list[str]:
    event = lane.event
    parts = [lane.runs_done] if lane.runs_done else []
    if event is None:
        return parts
    parts += [_epochs(lane)] if epochs else []
    if event.loss is not None:
        parts.append(f"loss {event.loss:.4g}")
    if event.validation_loss is not None:
        parts.append(f"validation {event.validation_loss:.4g}")
    if not epochs:
        parts.append(sparkline(lane.losses, 20))
    if event.samples_per_s and lane.state == "training":
        parts.append(f"{event.samples_per_s:,.0f} samples/s")
    if lane.left_s is not None:
        parts.append(f"{'up to ' * beside}{display.seconds(lane.left_s)} left")
    if epochs:
        parts.append(_seeds(lane).removeprefix(", "))
    return [part for part in parts if part]


def _milliseconds(position: str) -> int:
    """Return the time in a stream id, `<milliseconds>-<number>`; 0 for the stream's start."""
    digits = position.partition("-")[0]
    return int(digits) if digits.isdigit() else 0
