"""The traced replay: which seed and which updates are observed tensor by tensor, and the runs that do it.

The replays are a plan, as `producer.follow_ups` declares them. First every side keeps fingerprints of the
updates in which the sides may part: of a few, and only where these show nothing of all. Then the reference
returns the whole tensors of the update in which another side parts from it, and that side computes the update
twice: from its own tensors and from the reference's. These are two or three extra runs for each side; the
reference has one more for each further update in which one of several others parts, and each side one more
where rounding has moved a weight that has no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from likewise.producer.follow_ups import FollowUpPlan, Judged
from likewise.producer.runs.submit import FollowUp
from likewise.producer.traces import Traces
from likewise.producer.verdict.models import Comparison
from likewise.shared.job import Job
from likewise.shared.job.shape import ShapeError
from likewise.shared.job.training import BatchPlan
from likewise.shared.results.step_trace import Refeed, Trace, TraceRequest
from likewise.shared.store.arrays import ArrayRef

if TYPE_CHECKING:
    from likewise.shared.run import Run

FINGERPRINTS, FINGERPRINTS_OF_OTHERS = "fingerprints", "fingerprints of the others"
FURTHER_FINGERPRINTS = "further fingerprints"
FINGERPRINTS_AT_REST = "fingerprints without what rounding moves"
TENSORS, TENSORS_OF_OTHERS = "tensors", "tensors of the other"
RELATIONS = (
    FINGERPRINTS,
    FINGERPRINTS_OF_OTHERS,
    FURTHER_FINGERPRINTS,
    FINGERPRINTS_AT_REST,
    TENSORS,
    TENSORS_OF_OTHERS,
)
"""The relations of a trace's experiments to the one that is traced, in the order they are trained."""

FIRST_STEPS = 4
"""A replay observes so many updates before it observes all: nearly every setting shows in the first two."""
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


def started_alike(comparison: Comparison, seed: int) -> bool:
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
    loss; so do the validation losses, where the training itself is equal. `comparison` is the twin's where
    there is one. Without float64 losses only MOST_STEPS bounds the end.
    """
    seeds = [one for run in comparison.runs for one in run.seeds if one.seed == seed]
    losses = [one.losses for one in seeds]
    each = {BatchPlan.of(run.job.training, run.dataset.train.x.shape[0]).steps_per_epoch for run in runs}
    epochs = min((len(one) for one in losses), default=0)
    alike = len(losses) == len(comparison.runs) and len(each) == 1 and started_alike(comparison, seed)
    if not epochs or not alike:
        return 0, MOST_STEPS
    apart = _apart([one[:epochs] for one in losses])
    tolerance = comparison.tolerance.relative
    measured = [*apart]
    if all(len(one.validation_losses) >= epochs for one in seeds):
        measured += [*_apart([one.validation_losses[:epochs] for one in seeds])]
    shown = min(_first_above(one, _SHOWS * tolerance) for one in measured)
    parted = [_first_above(one, tolerance) for one in apart]
    last = max((epoch for epoch in parted if epoch < epochs), default=epochs - 1)
    trained_s = max((run.total_train_s or 0.0) / max(1, len(run.seeds)) for run in comparison.runs)
    skipped = max(0, shown - 1) if trained_s * shown / epochs <= BUDGET_S else 0
    steps = each.pop()
    in_float64 = {job.precision for job in comparison.jobs.values()} == {"float64"}
    most = (last + 1 - skipped) * steps + 1 if in_float64 else MOST_STEPS
    return skipped * steps, min(most, MOST_STEPS)


def _apart(losses: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return how far each other side's losses are from the reference's, as part of its first."""
    table = np.array(losses)
    scale = abs(table[0, 0]) or float(np.max(np.abs(table))) or 1.0
    apart: NDArray[np.float64] = np.abs(table[1:] - table[0]) / scale
    return apart


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
        fed = tuple(ref for place in other.reads if (ref := values[place]) is not None)
        if len(fed) == len(other.reads):
            inputs[stage.path] = fed
    return Refeed(weights=reference.start_weights, inputs=inputs)


def replays(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the replays of the first seed that parts, where they can add to what is known.

    Ends early where a replay fails: the comparison stands without it. What a worker cannot do is told.
    """
    if outcome.finished.keys() & set(RELATIONS):  # it was replayed before, and shows what that showed
        return
    comparison, runs = outcome.comparison, outcome.basis.in_one_wording(outcome.runs)
    twin = outcome.twin.comparison if outcome.twin else None
    seed = parting_seed(comparison, twin) if tells_more(comparison) else None
    if seed is None or not runs:
        return
    replaying = _Replaying(outcome, runs, seed=seed, tell=tell)
    skip, steps = updates_to_observe(twin or comparison, runs, seed)
    every = TraceRequest(skip=skip, steps=steps, seconds=MOST_S)
    if not started_alike(comparison, seed) and (runs == outcome.runs or not _share_a_start(runs)):
        every = every.model_copy(update={"keep_start": True, "seconds": OTHER_START_S})
    few = every if skip else every.model_copy(update={"steps": min(steps, FIRST_STEPS)})
    yield from replaying.fingerprints(few)
    if few != every and replaying.traces.may_part_later:
        few = every
        yield from replaying.further_fingerprints(every)
    yield from replaying.fingerprints_at_rest(few)
    yield from replaying.tensors()


def _share_a_start(runs: Sequence[Run]) -> bool:
    """Return whether all draw the same initial weights, by what they declare."""
    starts = {run.job.initial_weights.model_dump_json() for run in runs}
    return len(starts) == 1 and runs[0].job.initial_weights.type in ("shared", "initializers")


def _whole(step: int) -> TraceRequest:
    """Return the request for one step's whole tensors."""
    return TraceRequest(skip=step - 1, steps=1, seconds=MOST_S, keep=True)


class _Replaying:
    """It asks for the replays of one seed and gathers their traces."""

    def __init__(
        self, outcome: Judged, runs: Sequence[Run], *, seed: int, tell: Callable[[str], None]
    ) -> None:
        self._record, self._runs, self._seed, self._tell = outcome.record, runs, seed, tell
        self._reference = outcome.record.experiment.labels[0]
        self._others = _untraced(outcome.comparison)
        self._starts: dict[str, dict[str, ArrayRef]] = {}
        """The reference's initial weights for each side that they fit, where the sides do not start alike."""
        self._at_rest: tuple[str, ...] = ()
        """The weights whose gradients are taken for zero."""
        self.traces = Traces(reference=self._reference, arrays=outcome.arrays)

    def fingerprints(self, asked: TraceRequest) -> FollowUpPlan[None]:
        """Replay every side; with `keep_start` first the reference, whose start the others are given."""
        if not asked.keep_start:
            yield from self._replay(FINGERPRINTS, [self._reference, *self._others], asked)
            return
        yield from self._replay(FINGERPRINTS, [self._reference], asked)
        if self._reference in self.traces.steps:
            weights = self.traces.steps[self._reference].start_weights
            self._starts = {run.side: weights for run in self._runs if fits(weights, run)}
            yield from self._replay(FINGERPRINTS_OF_OTHERS, self._others, asked)

    def further_fingerprints(self, asked: TraceRequest) -> FollowUpPlan[None]:
        """Replay once more, for longer, the sides that could be replayed."""
        yield from self._replay(FURTHER_FINGERPRINTS, list(self.traces.steps), asked)

    def fingerprints_at_rest(self, asked: TraceRequest) -> FollowUpPlan[None]:
        """Replay once more with the weights at rest that rounding alone has moved apart, where there are any.

        Such a weight has no gradient, as a bias before a batch normalization has none, but for rounding,
        which optimizers like Adam divide by its own size. Every layer that reads it parts with it.
        """
        self._at_rest = tuple(self.traces.moved_by_rounding())
        if self._at_rest:
            yield from self._replay(FINGERPRINTS_AT_REST, list(self.traces.steps), asked)

    def tensors(self) -> FollowUpPlan[None]:
        """Replay the updates in which the others part, with whole tensors."""
        # where two tensors cannot be compared, whole ones would say no more
        partings = {
            other: parting
            for other, parting in self.traces.partings().items()
            if parting.problem is None or parting.step == 0
        }
        at = {other: self.traces.observed(other, parting) for other, parting in partings.items()}
        if not at:
            return
        mine = sorted({step for step, _ in at.values()})
        yield from self._ask(
            TENSORS, [(self._reference, self._from_start(self._reference, _whole(step))) for step in mine]
        )
        again = []
        for other, (step, others) in at.items():
            if (self._reference, step) in self.traces.kept:
                runs = self.traces.runs[self._reference], self.traces.runs[other]
                fed = refeed(self.traces.kept[self._reference, step], runs)
                again.append((other, self._from_start(other, _whole(others), refeed=fed)))
        if again:
            yield from self._ask(TENSORS_OF_OTHERS, again)

    def _replay(self, relation: str, sides: Sequence[str], asked: TraceRequest) -> FollowUpPlan[None]:
        yield from self._ask(relation, [(side, self._from_start(side, asked)) for side in sides])

    def _from_start(self, side: str, asked: TraceRequest, **changes: object) -> TraceRequest:
        """Return a request from the weights that a side is to start from."""
        start = None if side == self._reference else self._starts.get(side)
        return asked.model_copy(update={"start": start, "zero_gradients": self._at_rest, **changes})

    def _ask(self, relation: str, requests: Sequence[tuple[str, TraceRequest]]) -> FollowUpPlan[None]:
        """Have sides replayed, take in their traces, and tell which could not be replayed, and why.

        A side may have had several runs; the one that trained the seed is replayed.
        """
        jobs = {run.side: run.job for run in self._runs}
        replayed = [
            run.model_copy(
                update={"job": traced_job(run.job, jobs), "seeds": (self._seed,), "trace": request}
            )
            for side, request in requests
            for run in self._runs
            if run.side == side and self._seed in run.seeds
        ]
        experiment = self._record.experiment.with_sides([run.side for run in replayed], seeds=(self._seed,))
        said = "replaying step by step, to find where they part" if relation == FINGERPRINTS else None
        follow_up = FollowUp(relation=relation, experiment=experiment, runs=replayed, announcement=said)
        finished = (yield [follow_up])[relation]
        self.traces.add(finished.runs)
        for run, result in finished.runs:
            if result.failure is not None and result.failure.reason == "unsupported":
                self._tell(f"{run.side} is not replayed: {result.failure.message}")
