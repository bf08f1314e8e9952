"""Several experiments as a document: a row for each, what was changed between them, and how it went on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType

from likewise.producer import display
from likewise.producer.display import count, number, printable, setting, sparkline
from likewise.producer.report.document import Document, Table, Value, titled_parts
from likewise.producer.report.plot import plotted
from likewise.shared.ledger.records import ANSWER_KINDS, KeptRecord

if TYPE_CHECKING:
    from likewise.producer.report.layout import Page

SCHEMA_VERSION = 1
_MOST_NAMED = 6
"""A sentence names so many changed settings; more are left to the table."""
_BARS = 24


@dataclass(frozen=True, kw_only=True)
class Past:
    """It holds what came of one experiment."""

    record: KeptRecord
    verdict: str | None
    """The verdict; None of an explanation, which asks another question."""
    numbers: Mapping[str, Mapping[str, float]]
    """Each side's numbers by the side's label, then by what they are of."""
    warm_run_s: Mapping[str, float] = field(default_factory=dict)
    """The median of a whole warm run by what was timed, of a bench."""

    @property
    def key(self) -> str:
        """Return the beginning of its id, which names it."""
        return self.record.experiment_id[:8]


@dataclass(frozen=True, kw_only=True)
class ChangedSetting:
    """It is a setting of a side that is not the same in all experiments."""

    side: str
    """The side's label; empty for the seeds, which all sides have in common."""
    path: str
    values: Mapping[str, Any]
    """The setting's value, by the experiment's id."""


@dataclass(frozen=True, kw_only=True)
class History:
    """It has several experiments, the oldest first."""

    name: str
    past: Sequence[Past]
    changed: Sequence[ChangedSetting]
    left_out: Sequence[str]
    """A sentence for each that is not there."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Return every side that any of them has."""
        return tuple(dict.fromkeys(side for one in self.past for side in one.numbers))


@dataclass(frozen=True, kw_only=True)
class HistoryDocument(Document):
    """The document shows several experiments beside each other, the oldest first."""

    history: History

    @property
    def title(self) -> str:
        """Return what they are, and how many."""
        return f"{self.history.name}: {count(len(self.history.past), 'experiment')}"

    @property
    def sentences(self) -> Sequence[str]:
        """Return when the verdict changed, and what was changed in that experiment."""
        past = [one for one in self.history.past if one.verdict is not None]
        told = [
            f"The verdict was {before.verdict} in {before.key} and is {after.verdict} in {after.key}"
            f"{self._with(before, after)}."
            for alike in self._alike(past)
            for before, after in pairwise(alike)
            if before.verdict != after.verdict
        ]
        if told or len({one.verdict for one in past}) != 1:
            return told
        return (f"The verdict is {past[-1].verdict} in {'each' if len(past) > 1 else past[0].key}.",)

    def _alike(self, past: Sequence[Past]) -> Sequence[Sequence[Past]]:
        """Return those whose verdicts answer one question: of declared jobs, or of answers of one kind."""
        found: dict[str, list[Past]] = {}
        for one in past:
            question = one.record.kind if one.record.kind in ANSWER_KINDS else "job"
            found.setdefault(question, []).append(one)
        return [*found.values()]

    def _with(self, before: Past, after: Past) -> str:
        ids = before.record.experiment_id, after.record.experiment_id
        changed = dict.fromkeys(
            f"{one.path} {setting(one.values.get(ids[1]))} instead of {setting(one.values.get(ids[0]))}"
            for one in self.history.changed
            if one.values.get(ids[0]) != one.values.get(ids[1])
        )
        if len(changed) > _MOST_NAMED:
            return f", with {len(changed)} settings changed, which stand below"
        return f", with {display.both(list(changed))}" if changed else ""

    @property
    def notes(self) -> Sequence[str]:
        """Return what is left out."""
        return tuple(f"{one}." for one in self.history.left_out)

    def tables(self) -> Iterator[Table]:
        """Yield the experiments, each side's numbers, what was changed, and the course of each number."""
        past = self.history.past
        tagged = any(one.record.tags or one.record.note for one in past)
        yield Table(
            title="Experiments",
            columns=("id", "name", "kind", "submitted", "verdict", *(["tags and note"] if tagged else [])),
            rows=[
                (
                    one.key,
                    one.record.name,
                    one.record.kind,
                    _when(one),
                    one.verdict or display.MISSING,
                    *(
                        [printable(" · ".join([*one.record.tags, one.record.note]).strip(" ·"))]
                        if tagged
                        else []
                    ),
                )
                for one in past
            ],
        )
        yield Table(
            title="Settings that changed",
            columns=("setting", "side", *(one.key for one in past)),
            rows=[
                (
                    one.path,
                    one.side,
                    *(_setting(one.values, each.record.experiment_id) for each in past),
                )
                for one in self.history.changed
            ],
        )
        yield Table(
            title="What each side ended with",
            columns=("", "side", *(one.key for one in past), *(["course"] if len(past) > 2 else [])),
            rows=[
                (name, side, *map(_shown, values), *([_course(values)] if len(past) > 2 else []))
                for name, side, values in self._numbers()
            ],
        )

    def _numbers(self) -> Iterator[tuple[str, str, list[float | None]]]:
        """Yield each number of each side, as it was in every experiment."""
        for side in self.history.sides:
            of_side = [one.numbers.get(side, {}) for one in self.history.past]
            for name in dict.fromkeys(name for numbers in of_side for name in numbers):
                yield name, side, [numbers.get(name) for numbers in of_side]
        for timed in dict.fromkeys(name for one in self.history.past for name in one.warm_run_s):
            yield "warm run, s", timed, [one.warm_run_s.get(timed) for one in self.history.past]

    def parts(self, console: Console) -> Iterator[RenderableType]:
        """Yield what a terminal shows, part by part: the final losses are drawn where somebody looks."""
        yield from titled_parts(self, console)
        names = [one.key for one in self.history.past]
        losses = self._course().get("final loss", {})
        if console.is_terminal:
            yield from plotted("final loss", names, losses, columns=console.width)

    def page(self) -> Page:
        """Return the page with the course of each number."""
        from likewise.producer.report.history_page import Told, page_of

        told = Told(
            name=self.history.name,
            keys=[one.key for one in self.history.past],
            sentences=self.sentences,
            tables=[*self.tables()],
            notes=self.notes,
        )
        return page_of(told, self._course())

    def _course(self) -> dict[str, dict[str, list[float | None]]]:
        """Return each number of each side in every experiment, by its name, then by the side."""
        found: dict[str, dict[str, list[float | None]]] = {}
        for name, side, values in self._numbers():
            found.setdefault(name, {})[side] = values
        return found

    def values(self) -> Iterator[Value]:
        """Yield the verdicts, the settings that changed and every number, each under an experiment's id."""
        ids = [one.record.experiment_id for one in self.history.past]
        for one in self.history.past:
            yield Value(table="verdict", row=one.record.experiment_id, value=one.verdict)
        for changed in self.history.changed:
            for name, value in changed.values.items():
                yield Value(table=f"settings.{changed.path}", row=name, side=changed.side, value=value)
        for name, side, values in self._numbers():
            for row, number_ in zip(ids, values, strict=True):
                yield Value(table=name, row=row, side=side, value=number_)

    def to_json(self) -> dict[str, Any]:
        """Return the public document."""
        return {
            "schema_version": SCHEMA_VERSION,
            "name": self.history.name,
            "experiments": [
                {
                    "experiment_id": one.record.experiment_id,
                    "name": one.record.name,
                    "kind": one.record.kind,
                    "submitted_s": one.record.submitted_s,
                    "verdict": one.verdict,
                    "tags": list(one.record.tags),
                    "note": one.record.note,
                    "sides": {side: dict(numbers) for side, numbers in one.numbers.items()},
                    "warm_run_s": dict(one.warm_run_s),
                }
                for one in self.history.past
            ],
            "setting_differences": [
                {"path": one.path, "side": one.side, "values": dict(one.values)}
                for one in self.history.changed
            ],
            "left_out": list(self.history.left_out),
        }


def _when(past: Past) -> str:
    return datetime.fromtimestamp(past.record.submitted_s, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _setting(values: Mapping[str, Any], experiment_id: str) -> str:
    return setting(values[experiment_id]) if experiment_id in values else display.MISSING


def _shown(value: float | None) -> str:
    return display.MISSING if value is None else number(value)


def _course(values: Sequence[float | None]) -> str:
    return sparkline([value for value in values if value is not None], _BARS)
