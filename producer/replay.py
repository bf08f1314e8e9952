"""The traced replay: which seed and which updates are observed tensor by tensor, and the runs that do it.

The replays are a plan, as `producer.follow_ups` declares them. First every side keeps fingerprints of the
updates in which the sides may part. Then the reference returns the whole tensors of the update in which
another side parts from it, and that side computes the update twice: from its own tensors and from the
reference's. These are two extra runs for each side; the reference has one more for each further update in
which one of several others parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from likewise.producer.follow_ups import FollowUpPlan, Judged
from likewise.producer.runs.submit import FollowUp
from likewise.producer.verdict.first_divergence import Replays, traced
from likewise.producer.verdict.models import Comparison, ReplayFindings
from likewise.producer.verdict.parting import Parting, first_parting
from likewise.producer.verdict.rounding import tolerance_for
from likewise.shared.job import Job
from likewise.shared.job.shape import ShapeError
from likewise.shared.job.training import BatchPlan
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import Refeed, Trace, TraceRequest
from likewise.shared.store.arrays import ArrayRef

if TYPE_CHECKING:
    from likewise.shared.job import Experiment
    from likewise.shared.results.run_result import RunResult
    from likewise.shared.run import Run

RELATIONS = ("fingerprints", "fingerprints of the others", "tensors", "tensors of the other")
"""The relations of a trace's experiments to the one that is traced, in the order they are trained."""

MOST_STEPS = 2_000
"""The most updates that are observed."""
MOST_S = 20.0
"""The most seconds for that. To observe an update takes a few milliseconds more than to train it."""
BUDGET_S = 120.0
"""A replay that would have to train for longer than this to reach the updates in question begins at the first
update instead."""
OTHER_START_S = 6.0
"""MOST_S where the sides do not start alike, since the losses then do not show when they part."""
_SHOWS = 0.01
"""Losses that differ by more than this part of the tolerance show that something has parted, well before it
matters."""


def tells_more(comparison: Comparison) -> bool:
    """Return whether a replay can add to what is known: the numbers differ, and each side trained a seed."""
    return (
        comparison.verdict == "differ"
        and bool(_untraced(comparison))
        and bool(comparison.seed_gaps or _broken(comparison))
    )


def _untraced(comparison: Comparison) -> list[str]:
    """Return the other sides of which it is not known where they part."""
    known = {one.other for one in comparison.first_divergences}
    return [side for side in comparison.sides[1:] if side not in known]


def parting_seed(comparison: Comparison, twin: Comparison | None) -> int | None:
    """Return the first seed whose gap is above the tolerance, in the float64 twin or else in the comparison.

    Without any, the first seed with different bits: a declared difference may be as small as rounding.
    """
    for one in (twin, comparison):
        if one is None:
            continue
        apart = {gaps.seed for gaps in one.seed_gaps if not gaps.within_tolerance} | _broken(one)
        if apart:
            return next(seed for seed in one.experiment.seed_list if seed in apart)
    return next((gaps.seed for gaps in comparison.seed_gaps if not gaps.identical), None)


def _broken(comparison: Comparison) -> set[int]:
    """Return the seeds that diverged in one side and trained to the end in another."""
    found = set()
    for same_seed in zip(*(run.seeds for run in comparison.runs), strict=True):
        failures = [seed.failure.reason for seed in same_seed if seed.failure]
        trained = any(seed.status == "succeeded" for seed in same_seed)
        if trained and failures and set(failures) == {"diverged"}:
            found.add(same_seed[0].seed)
    return found


def same_start(comparison: Comparison, seed: int) -> bool:
    """Return whether every side whose parting is not known yet started this seed from the same weights."""
    known = {one.other for one in comparison.first_divergences}
    same = [
        one.same_initial_weights
        for one in comparison.seed_gaps
        if one.seed == seed and one.other not in known
    ]
    if same and None not in same:
        return False not in same
    runs = [run for run in comparison.runs if run.side not in known]
    hashes = [one.hashes for run in runs for one in run.seeds if one.seed == seed]
    return len({one.initial_weights for one in hashes if one is not None}) <= 1


def traced_job(job: Job, jobs: Mapping[str, Job]) -> Job:
    """Return the job to replay, in float64 where all are declared in float32: rounding then plays no part."""
    if {one.precision for one in jobs.values()} == {"float32"}:
        return job.model_copy(update={"precision": "float64"})
    return job


def updates_to_observe(comparison: Comparison, runs: Sequence[Run], seed: int) -> tuple[int, int]:
    """Return how many updates to train normally first, and how many to observe after them.

    The losses say which. The last epoch observed is the one in which the last side parts by the tolerance;
    the first is one epoch before any shows a difference, since what an update changes shows in the next
    loss. `comparison` is the twin's where there is one. Without float64 losses only MOST_STEPS bounds the
    end.
    """
    losses = [one.losses for run in comparison.runs for one in run.seeds if one.seed == seed]
    each = {BatchPlan.of(run.job.training, run.dataset.train.x.shape[0]).steps_per_epoch for run in runs}
    epochs = min((len(one) for one in losses), default=0)
    alike = len(losses) == len(comparison.runs) and len(each) == 1 and same_start(comparison, seed)
    if not epochs or not alike:
        return 0, MOST_STEPS
    table = np.array([one[:epochs] for one in losses])
    scale = abs(table[0, 0]) or float(np.max(np.abs(table))) or 1.0
    apart = np.abs(table[1:] - table[0]) / scale
    tolerance = comparison.tolerance.relative
    shown = min(_first_above(one, _SHOWS * tolerance) for one in apart)
    parted = [_first_above(one, tolerance) for one in apart]
    last = max((epoch for epoch in parted if epoch < epochs), default=epochs - 1)
    trained_s = max((run.total_train_s or 0.0) / max(1, len(run.seeds)) for run in comparison.runs)
    skipped = max(0, shown - 1) if trained_s * shown / epochs <= BUDGET_S else 0
    steps = each.pop()
    in_float64 = {job.precision for job in comparison.jobs.values()} == {"float64"}
    most = (last + 1 - skipped) * steps + 1 if in_float64 else MOST_STEPS
    return skipped * steps, min(most, MOST_STEPS)


def _first_above(values: NDArray[np.float64], bound: float) -> int:
    """Return the first place with a value above the bound, or the number of values where there is none."""
    above = values > bound
    return int(np.argmax(above)) if above.any() else len(values)


def fits(weights: Mapping[str, ArrayRef], run: Run) -> bool:
    """Return whether another side's weights are those of this run's model, by name and shape."""
    try:
        own = run.program.weight_shapes
    except ShapeError:
        return False
    return own == {name: ref.shape for name, ref in weights.items()}


def refeed(reference: Trace, runs: tuple[Run, Run]) -> Refeed:
    """Return the reference's update for the other side to compute.

    It has the stages that both programs have under the same path, with the same inputs and shapes.
    """
    mine, theirs = (run.program for run in runs)
    there = {stage.path: stage for stage in theirs.stages}
    outputs = reference.kept.get("forward", {})
    values: list[ArrayRef | None] = [reference.kept.get("data", {}).get("x")]
    values += [outputs.get(stage.path) for stage in mine.stages]
    inputs = {}
    for stage in mine.stages:
        other = there.get(stage.path)
        if other is None or stage.sources != other.sources or stage.inputs[0] != other.inputs[0]:
            continue
        own, others = ([(weight.own_name, weight.shape) for weight in one.weights] for one in (stage, other))
        if own != others:
            continue
        fed = tuple(ref for place in stage.sources if (ref := values[place]) is not None)
        if len(fed) == len(stage.sources):
            inputs[stage.path] = fed
    return Refeed(weights=reference.start_weights, inputs=inputs)


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

    def partings(self) -> dict[str, Parting]:
        """Return where each other side parts from the reference, if it does."""
        found = {
            other: first_parting(
                self.steps[self.reference],
                self.steps[other],
                names=(self.reference, other),
                arrays=self.arrays,
                tolerance=self.tolerance,
            )
            for other in self.others
        }
        return {other: parting for other, parting in found.items() if parting is not None}

    def pair(self, other: str, parting: Parting | None) -> Replays:
        """Return the replays of the reference and another side."""
        sides = (self.reference, other)
        step = 0 if parting is None else _observed(parting)
        return Replays(
            seed=self.runs[self.reference].seeds[0],
            reference=self.reference,
            other=other,
            steps={side: self.steps[side] for side in sides},
            kept={side: self.kept[side, step] for side in sides if (side, step) in self.kept},
            precision=self.runs[self.reference].job.precision,
            one_of_several=len(self.others) > 1,
        )

    @property
    def tolerance(self) -> float:
        """The tolerance of fingerprints.

        Replays are in float64, except where the sides were declared in different precisions; what differs
        between precisions is wanted then, so that float64's tolerance serves there, too.
        """
        precisions = {run.job.precision for run in self.runs.values()}
        return tolerance_for(["float64"] if len(precisions) > 1 else precisions).relative


def replays(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the replays of the first seed that parts, where they can add to what is known.

    Ends early where a replay fails: the comparison stands without it. What a worker cannot do is told.
    """
    comparison, runs = outcome.comparison, outcome.runs
    twin = outcome.twin.comparison if outcome.twin else None
    seed = parting_seed(comparison, twin) if tells_more(comparison) else None
    if seed is None:
        return
    ask = partial(_replay, outcome.record, runs, seed)
    reference, others = outcome.record.experiment.labels[0], _untraced(comparison)
    traces = Traces(reference=reference, arrays=outcome.arrays)
    skip, steps = updates_to_observe(twin or comparison, runs, seed)
    asked = TraceRequest(skip=skip, steps=steps, seconds=MOST_S)
    starts: dict[str, dict[str, ArrayRef]] = {}
    if same_start(comparison, seed):
        everyone = [(side, asked) for side in (reference, *others)]
        _take((yield ask(RELATIONS[0], everyone))[RELATIONS[0]].runs, traces, tell)
    else:
        asked = asked.model_copy(update={"keep_start": True, "seconds": OTHER_START_S})
        _take((yield ask(RELATIONS[0], [(reference, asked)]))[RELATIONS[0]].runs, traces, tell)
        if reference not in traces.steps:
            return
        weights = traces.steps[reference].start_weights
        starts = {run.side: weights for run in runs if fits(weights, run)}
        given = [(other, asked.model_copy(update={"start": starts.get(other)})) for other in others]
        _take((yield ask(RELATIONS[1], given))[RELATIONS[1]].runs, traces, tell)
    # where two tensors cannot be compared, whole ones would say no more
    partings = {
        other: one for other, one in traces.partings().items() if one.problem is None or one.step == 0
    }
    whole = {
        step: TraceRequest(skip=step - 1, steps=1, seconds=MOST_S, keep=True)
        for step in sorted(set(map(_observed, partings.values())))
    }
    if not whole:
        return
    traces.add((yield ask(RELATIONS[2], [(reference, one) for one in whole.values()]))[RELATIONS[2]].runs)
    again = []
    for other, parting in partings.items():
        step = _observed(parting)
        if (reference, step) in traces.kept:
            fed = refeed(traces.kept[reference, step], (traces.runs[reference], traces.runs[other]))
            changes = {"refeed": fed, "start": starts.get(other)}
            again.append((other, whole[step].model_copy(update=changes)))
    if again:
        yield ask(RELATIONS[3], again)


def _take(trained: Sequence[tuple[Run, RunResult]], traces: Traces, tell: Callable[[str], None]) -> None:
    """Take in finished replays, and tell which side could not be replayed, and why."""
    traces.add(trained)
    for run, result in trained:
        if result.failure is not None and result.failure.reason == "unsupported":
            tell(f"{run.side} is not replayed: {result.failure.message}")


def _observed(parting: Parting) -> int:
    """Return the update whose whole tensors show a parting: the first where that is before it."""
    return max(1, parting.step)


def _replay(
    record: ExperimentRecord,
    runs: Sequence[Run],
    seed: int,
    relation: str,
    requests: Sequence[tuple[str, TraceRequest]],
) -> list[FollowUp]:
    """Return a replay of one seed for each side and request; a side may have had several runs."""
    jobs = {run.side: run.job for run in runs}
    replayed = [
        run.model_copy(update={"job": traced_job(run.job, jobs), "seeds": (seed,), "trace": request})
        for side, request in requests
        for run in runs
        if run.side == side and seed in run.seeds
    ]
    experiment = record.experiment.with_sides([run.side for run in replayed], seeds=(seed,))
    begins = relation == RELATIONS[0]
    said = "replaying step by step, to find where they part" if begins else None
    return [FollowUp(relation=relation, experiment=experiment, runs=replayed, announcement=said)]


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
