"""The traces of an experiment's replays, gathered, and what they show. Pure.

Which seed and which updates are replayed is the plan of `producer.replay`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from likewise.producer.verdict.divergence_map import DivergenceMap, divergence_map
from likewise.producer.verdict.first_divergence import Replays, traced
from likewise.producer.verdict.gathered_updates import update_ends
from likewise.producer.verdict.models import ReplayFindings
from likewise.producer.verdict.parting import CHANGE, Parting, Replayed, first_parting, moved_by_rounding
from likewise.producer.verdict.rounding import tolerance_for
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import Trace

if TYPE_CHECKING:
    from likewise.shared.job import Experiment
    from likewise.shared.results.run_result import RunResult
    from likewise.shared.run import Run


@dataclass(kw_only=True)
class Traces:
    """It gathers the traces that an experiment's replays returned so far."""

    reference: str
    arrays: Load
    steps: dict[str, Trace] = field(default_factory=dict)
    """The traces with fingerprints of many updates, by side."""
    kept: dict[tuple[str, int], Trace] = field(default_factory=dict)
    """The traces with whole tensors of an update, by side and update."""
    runs: dict[str, Run] = field(default_factory=dict)
    """The replays' runs, by side."""

    def add(self, trained: Iterable[tuple[Run, RunResult]]) -> None:
        """Take in finished replays; those without a trace failed and are left out."""
        for run, result in trained:
            trace = result.trace
            if trace is not None and run.trace is not None:
                if not run.trace.keep:
                    self.steps[run.side] = trace
                elif trace.steps:
                    self.kept[run.side, trace.steps[-1]] = trace
                self.runs.setdefault(run.side, run)

    @property
    def others(self) -> list[str]:
        """The sides that can be held against the reference; none where its own replay failed."""
        return [side for side in self.steps if side != self.reference] if self.reference in self.steps else []

    def partings(self, *, by: float | None = None) -> dict[str, Parting]:
        """Return where each other side first parts from the reference, by that part or at all, if it does."""
        found = {
            other: first_parting(
                *self._replayed(other),
                arrays=self.arrays,
                tolerance=self.tolerance if by is None else by,
                change=CHANGE if by is None else by,
            )
            for other in self.others
        }
        return {other: parting for other, parting in found.items() if parting is not None}

    def moved_by_rounding(self) -> list[str]:
        """Return the weights that rounding alone has moved apart where some side parts, by name."""
        found = [
            moved_by_rounding(self.steps[self.reference], self.steps[other], parting, arrays=self.arrays)
            for other, parting in self.partings().items()
        ]
        return list(dict.fromkeys(name for names in found for name in names))

    def pair(self, other: str, parting: Parting | None) -> Replays:
        """Return the replays of the reference and another side."""
        sides = (self.reference, other)
        at = {} if parting is None else dict(zip(sides, self.observed(other, parting), strict=True))
        return Replays(
            seed=self.runs[self.reference].seeds[0],
            pair=self._replayed(other),
            kept={side: self.kept[side, step] for side, step in at.items() if (side, step) in self.kept},
            precision=self.runs[self.reference].job.precision,
            one_of_several=len(self.others) > 1,
        )

    def observed(self, other: str, parting: Parting) -> tuple[int, int]:
        """Return the step of the reference and of another side whose whole tensors show where they part.

        That is the update's own; the first where they part before it, and the last of the batches that an
        update gathers.
        """
        mine, theirs = (one.batches_of(max(1, parting.step))[-1] for one in self._replayed(other))
        return mine, theirs

    def batch_by_batch(self, other: str) -> bool:
        """Return whether the reference's batches can be held against another side's one by one."""
        return all(one.ends is None for one in self._replayed(other))

    def _replayed(self, other: str) -> tuple[Replayed, Replayed]:
        """Return what the replays of the reference and of another side show, in what can be compared."""
        sides = (self.reference, other)
        mine, theirs = (self.runs[side] for side in sides)
        ends = None
        if mine.dataset.train == theirs.dataset.train:
            batches = max((self.steps[side].steps[-1] for side in sides if self.steps[side].steps), default=0)
            samples = mine.dataset.train.x.shape[0]
            ends = update_ends(mine.job, theirs.job, samples=samples, batches=batches)
        one, two = (
            Replayed(side=side, trace=self.steps[side], ends=by)
            for side, by in zip(sides, ends or (None, None), strict=True)
        )
        return one, two

    @property
    def may_part_later(self) -> bool:
        """Whether later updates may show what these do not: a side agrees in all but perhaps its start."""
        partings = self.partings()
        return any(
            (other not in partings or (partings[other].step == 0 and self.steps[other].given_start))
            and not (self.steps[other].finished and self.steps[self.reference].finished)
            for other in self.others
        )

    @property
    def tolerance(self) -> float:
        """The tolerance of fingerprints.

        Replays are in float64, except where the sides were declared in different precisions; what differs
        between precisions is wanted then, so that float64's tolerance serves there, too.
        """
        precisions = {run.job.precision for run in self.runs.values()}
        return tolerance_for(["float64"] if len(precisions) > 1 else precisions).relative


def maps_of(
    experiment: Experiment, trained: Iterable[tuple[Run, RunResult]], arrays: Load
) -> list[DivergenceMap]:
    """Return how each other side's replay is apart from the reference's, tensor by tensor."""
    traces = Traces(reference=experiment.labels[0], arrays=arrays)
    traces.add(trained)
    found = [
        divergence_map(
            (traces.reference, other),
            (traces.steps[traces.reference], traces.steps[other]),
            seed=traces.runs[other].seeds[0],
            tolerance=traces.tolerance,
            arrays=arrays,
        )
        for other in traces.others
        if traces.batch_by_batch(other)
    ]
    return [one for one in found if one is not None]


def traced_of(
    experiment: Experiment, trained: Iterable[tuple[Run, RunResult]], arrays: Load
) -> ReplayFindings | None:
    """Return what the replays of an experiment show; None where there were none, or one of them failed."""
    traces = Traces(reference=experiment.labels[0], arrays=arrays)
    traces.add(trained)
    if not traces.others:
        return None
    partings = traces.partings()
    programs = {side: run.program for side, run in traces.runs.items()}
    alike = tolerance_for({run.job.precision for run in traces.runs.values()}).relative
    found = [
        traced(
            traces.pair(other, partings.get(other)),
            programs=programs,
            arrays=arrays,
            tolerance=traces.tolerance,
            alike=alike,
        )
        for other in experiment.labels[1:]
        if other in traces.others
    ]
    return ReplayFindings(
        divergences=tuple(one for pair in found for one in pair.divergences),
        notes=tuple(note for pair in found for note in pair.notes),
    )
