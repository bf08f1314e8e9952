"""Where things stand, as documents: the experiments, an unfinished one, the workers, every link's health.

Longer than 400 lines: a run that waits, trains or has lost its worker is called the same in each of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as TextTable
from rich.text import Text

from likewise.producer import display
from likewise.producer.display import count, printable
from likewise.producer.report.document import Document, Table, Value, fitting, text_table
from likewise.shared.ledger.records import ANSWER_KINDS, KeptRecord, RunRecord, WorkerPresence

if TYPE_CHECKING:
    from likewise.producer.doctor import Finding

_VERDICT_COLOURS = {"agree": "green", "differ": "red", "inconclusive": "yellow"}
SHOWN_OF_AN_ID = 8
"""A list shows so many letters of an id: its beginning is enough to name it."""
TABLE_COLUMNS = 60
"""A table of workers on a narrower terminal would break each word of its cells."""
CONTAINER = 8
"""An engine draws a name for each container; this many of its characters tell it from others."""
_NARROW = 60
"""A terminal of fewer columns has no room for three beside each other."""
_HEALTH_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


State = Literal["queued", "training", "finished", "cancelled", "unfinished"]
FOUND_LATER = ("explanation", "bench", *ANSWER_KINDS)
"""The kinds that are not there with the experiment's own runs: what is trained further finds them, or all
that is kept is an answer.
"""


WAITS_FOR_ANOTHER = "waiting for another worker"
"""What is said of a run whose worker is gone."""


@dataclass(frozen=True, kw_only=True)
class ListedExperiment:
    """This is one experiment of the list; it has no verdict while it runs, of a sweep, or without results."""

    record: KeptRecord
    state: State
    verdict: str | None
    before: int | None = None
    """How many runs come before its first, where all of its wait."""
    took_s: float | None = None
    """How long it took from its submission to the end of its last run."""
    lost: bool = False
    """Whether every run of it that a worker had has lost that worker."""

    @property
    def standing(self) -> str:
        """Return its state, and while it waits how many runs come before."""
        if self.lost:
            return WAITS_FOR_ANOTHER
        return self.state if self.before is None else f"{self.state}, {_before(self.before)}"

    @property
    def word(self) -> str:
        """Return what stands for the verdict in the list."""
        return self.verdict or display.MISSING


def _before(runs: int) -> str:
    return f"{runs:,} before it" if runs else "next"


def state_of(record: KeptRecord, runs: Sequence[RunRecord]) -> State:
    """Return where an experiment stands by its own runs.

    What is found only after them, such as a bench, is `unfinished` until it is there, or `cancelled` with the
    experiment.
    """
    if all(run.final for run in runs):
        if any(run.state == "cancelled" for run in runs):
            return "cancelled"
        if record.kind in FOUND_LATER and record.findings.get(record.kind) != "complete":
            return "cancelled" if record.cancelled else "unfinished"
        return "finished"
    return "queued" if all(run.state == "queued" for run in runs) else "training"


@dataclass(frozen=True, kw_only=True)
class ListDocument(Document):
    """The document lists the recent experiments, the newest first."""

    entries: Sequence[ListedExperiment]
    now_s: float
    chosen: bool = False
    """Whether only some experiments were asked for."""

    @property
    def title(self) -> str:
        """Return how many there are."""
        return count(len(self.entries), "experiment")

    @property
    def sentences(self) -> Sequence[str]:
        """Return what to do where there is none."""
        if self.entries:
            return ()
        if self.chosen:
            return ("no experiment is as you ask; likewise list shows those there are",)
        return ("no experiments yet; start one: likewise compare article",)

    def tables(self) -> Iterator[Table]:
        """Yield a row for each experiment, with its tags and its note where any has some."""
        records = [one.record for one in self.entries]
        tagged, noted = any(one.tags for one in records), any(one.note for one in records)
        columns = ("id", "name", "kind", "when", "state", "verdict")
        yield Table(
            title="Experiments",
            columns=(*columns, *(["tags"] if tagged else []), *(["note"] if noted else [])),
            rows=[
                (
                    one.record.experiment_id[:SHOWN_OF_AN_ID],
                    one.record.name,
                    one.record.kind,
                    self._age(one),
                    one.standing,
                    one.word,
                    *([", ".join(one.record.tags)] if tagged else []),
                    *([one.record.note] if noted else []),
                )
                for one in self.entries
            ],
        )

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield the table with its verdicts in colours."""
        yield from self.sentences
        yield from (fitting(table, console, _VERDICT_COLOURS) for table in self.tables() if table.rows)

    def _age(self, one: ListedExperiment) -> str:
        return f"{display.seconds(float(max(round(self.now_s - one.record.submitted_s), 0)))} ago"

    def values(self) -> Iterator[Value]:
        """Yield what is known of each experiment, by its id."""
        for one in self.to_json():
            for name, value in one.items():
                if name != "experiment_id":
                    yield Value(table=name, row=one["experiment_id"], value=value)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the public list."""
        return [
            {
                "experiment_id": one.record.experiment_id,
                "name": one.record.name,
                "kind": one.record.kind,
                "submitted_s": one.record.submitted_s,
                "submitted": datetime.fromtimestamp(one.record.submitted_s, tz=UTC).isoformat(),
                "frameworks": list(one.record.frameworks),
                "state": one.state,
                "runs_before": one.before,
                "priority": one.record.priority,
                "verdict": one.verdict,
                "took_s": one.took_s,
                "tags": list(one.record.tags),
                "note": one.record.note,
            }
            for one in self.entries
        ]


@dataclass(frozen=True, kw_only=True)
class UnfinishedDocument(Document):
    """The document says where each run of an unfinished experiment stands."""

    record: KeptRecord
    runs: Sequence[RunRecord]
    now_s: float
    live: Collection[str] | None = None
    """The ids of the live workers; null where nobody has looked."""
    before: Mapping[str, int] = field(default_factory=dict)
    """How many runs come before each that is queued, by its id."""

    @property
    def title(self) -> str:
        """Return which experiment it is."""
        return f"{self.record.experiment_id}  {self.record.name}, not finished"

    @property
    def notes(self) -> Sequence[str]:
        """Return how to go on."""
        return (f"follow it: likewise watch {self.record.experiment_id}",)

    def tables(self) -> Iterator[Table]:
        """Yield each run's state, worker and age."""
        yield Table(
            title="Runs",
            columns=("side", "state", "for", "attempt", "worker"),
            rows=[
                (
                    run.side,
                    self._state(run),
                    display.seconds(
                        max(self.now_s - (run.finished_s or run.claimed_s or run.submitted_s), 0.0)
                    ),
                    str(run.attempt),
                    run.worker or display.MISSING,
                )
                for run in self.runs
            ],
        )

    def _state(self, run: RunRecord) -> str:
        if run.state == "queued" and run.run_id in self.before:
            return f"queued, {_before(self.before[run.run_id])}"
        if run.state != "leased":
            return run.state
        lost = self.live is not None and run.worker not in self.live
        return WAITS_FOR_ANOTHER if lost else "training"

    def parts(self, console: Console) -> Iterator[RenderableType]:  # noqa: ARG002
        """Yield the experiment, its runs, and how to go on."""
        yield Text(printable(self.title), style="bold")
        yield from map(text_table, self.tables())
        yield from (Text(note, style="dim") for note in self.notes)

    def values(self) -> Iterator[Value]:
        """Yield each run's record, by its id."""
        for run in self.runs:
            for name, value in run.model_dump(mode="json").items():
                yield Value(table=name, row=run.run_id, side=run.side, value=value)

    def to_json(self) -> dict[str, Any]:
        """Return the public document; a finished experiment's has a verdict."""
        return {
            "experiment_id": self.record.experiment_id,
            "name": self.record.name,
            "submitted_s": self.record.submitted_s,
            "verdict": None,
            "runs": {run.side: run.model_dump(mode="json") for run in self.runs},
        }


@dataclass(frozen=True, kw_only=True)
class WorkersDocument(Document):
    """The document lists the live workers."""

    workers: Sequence[WorkerPresence]
    now_s: float
    experiments: Mapping[str, str] = field(default_factory=dict)
    """The experiment of each run that one of them trains, by the run's id."""

    @property
    def title(self) -> str:
        """Return how many there are."""
        return count(len(self.workers), "live worker")

    @property
    def notes(self) -> Sequence[str]:
        """Return why workers take no runs, though they should."""
        return [
            f"{self._trains_with(one)} on {self._where(one)[0]} takes no runs: {one.trouble}"
            for one in self.workers
            if one.trouble is not None
        ]

    def tables(self) -> Iterator[Table]:
        """Yield what they train with, what they do, and where they are."""
        yield Table(
            title="Workers",
            columns=("worker", "device", "doing", "host", "container"),
            rows=[
                (
                    self._trains_with(one),
                    one.place,
                    self._doing(one),
                    *self._where(one),
                )
                for one in self.workers
            ],
        )

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield the table, or on a narrow terminal some lines a worker."""
        if console.width >= TABLE_COLUMNS or not self.workers:
            yield from map(text_table, self.tables())
            yield from (Text(printable(note), style="yellow") for note in self.notes)
            return
        for one in self.workers:
            host, container = self._where(one)
            yield Text(printable(f"{self._trains_with(one)} on {one.place}"), style="bold")
            yield Text(printable(f"  {self._doing(one)}"))
            inside = "" if container == display.MISSING else f", container {container}"
            yield Text(printable(f"  {host}{inside}"))
        yield from (Text(printable(note), style="yellow") for note in self.notes)

    def _trains_with(self, one: WorkerPresence) -> str:
        """Return the framework with its version, without what a build adds to it, and further packages."""
        version = (one.version or "").partition("+")[0]
        return " ".join([one.framework, version, *one.requirements]).rstrip()

    def _where(self, one: WorkerPresence) -> tuple[str, str]:
        """Return the host, and as much of the container's name as its engine needs to find it."""
        if not one.image:
            return _short(one.hostname or one.host), display.MISSING
        drawn = re.fullmatch(r"[0-9a-f]{12,}", one.hostname) is not None
        return _short(one.host), one.hostname[:CONTAINER] if drawn else one.hostname

    def _doing(self, one: WorkerPresence) -> str:
        """Return the experiment that it trains, or how it is."""
        return self.experiments.get(one.run_id or "", one.run_id or one.state)

    def _seen_s_ago(self, one: WorkerPresence) -> float:
        return max(0.0, self.now_s - one.seen_s)

    def values(self) -> Iterator[Value]:
        """Yield what each worker says of itself, by its id."""
        for one in self.to_json()["workers"]:
            for name, value in one.items():
                if name != "worker_id":
                    yield Value(table=name, row=one["worker_id"], value=value)

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        told = {
            "worker_id", "framework", "device", "gpu", "queues", "state", "trouble", "run_id", "versions",
            "threads", "image", "code", "host", "hostname", "pid", "started_s",
        }  # fmt: skip
        return {
            "workers": [
                one.model_dump(mode="json", include=told)
                | {
                    "experiment_id": self.experiments.get(one.run_id or ""),
                    "seen_s_ago": round(self._seen_s_ago(one), 3),
                }
                for one in self.workers
            ]
        }


def _short(host: str) -> str:
    """Return a host's name without its domain; an address stays whole."""
    return host if re.fullmatch(r"[\d.:]+", host) else host.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class HealthDocument(Document):
    """The document shows what `likewise doctor` found of each link."""

    findings: Sequence[Finding]

    @property
    def healthy(self) -> bool:
        """Return whether nothing is wrong."""
        return all(one.state != "wrong" for one in self.findings)

    @property
    def title(self) -> str:
        """Return whether all is well."""
        wrong = sum(one.state == "wrong" for one in self.findings)
        return f"{count(wrong, 'link is', 'links are')} wrong" if wrong else "every link is well"

    def tables(self) -> Iterator[Table]:
        """Yield the links in the order in which they depend on each other."""
        yield Table(
            title="Links",
            columns=("link", "state", "found", "how to mend it"),
            rows=[(one.link, one.state, one.found, one.mend or "") for one in self.findings],
        )

    def values(self) -> Iterator[Value]:
        """Yield each link's state, what was found and how to mend it."""
        for one in self.findings:
            for name in ("state", "found", "mend"):
                yield Value(table=name, row=one.link, value=getattr(one, name))

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        checks = [one.model_dump(mode="json") for one in self.findings]
        return {"healthy": self.healthy, "checks": checks}

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield a line for each link, and below it how to mend it; on a narrow terminal each on its own."""
        if console.width < _NARROW:
            for one in self.findings:
                line = Text(one.state, style=_HEALTH_COLOURS[one.state])
                yield line.append(f"  {printable(one.link)}", style="bold")
                mend = [f"→ {printable(one.mend)}"] if one.mend else []
                yield from (
                    Padding(Text(text, overflow="fold"), (0, 0, 0, 4))
                    for text in [printable(one.found), *mend]
                )
            return
        table = TextTable.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in self.findings:
            state = Text(one.state, style=_HEALTH_COLOURS[one.state])
            table.add_row(state, printable(one.link), Text(printable(one.found)))
            if one.mend:
                table.add_row("", "", Text(f"→ {printable(one.mend)}"))
        yield table
