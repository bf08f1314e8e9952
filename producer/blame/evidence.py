"""How far apart pairs of trainings are in each measure, and what that leaves of a plan's gap. Pure.

    divergence     1 where one of the two diverged and the other did not, else 0
    predictions    root mean square of the differences between the outputs for the rows of `predict`
    outputs        the same of the outputs on the held-out samples, or on the training samples
    loss           difference between the reference's loss, averaged, of either training's outputs: one
                   formula for both, where what they minimise may be a sum here and a mean there
    <part> <name>  difference between the metrics of that part of the data

The main measure is the first of these that the job gives. Predictions stand before outputs because a job that
asks for predictions says what it is for. Gaps are float64 (seeds,), with NaN for a seed whose gap cannot be
measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.blame.factors import Factor, start
from likewise.producer.blame.plan import Plan, PlannedPair, identity
from likewise.producer.blame.shares import Estimate, Mixture, Parts, parts, share
from likewise.producer.wording.form import AS_IT_IS, Translation
from likewise.shared.job import Loss
from likewise.shared.job.loss import ClassCrossentropy, Crossentropy, Dice, Tversky, takes_logits
from likewise.shared.losses import total_losses
from likewise.shared.program import ProgramSpec
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import Float64, Load, SeedTable
from likewise.shared.run import Run, Samples

DIVERGENCE, PREDICTIONS, OUTPUTS, LOSS = "divergence", "predictions", "outputs", "loss"


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedRun:
    """It holds a run and what came of its seeds."""

    run: Run
    table: SeedTable

    @classmethod
    def of(cls, run: Run, result: RunResult, arrays: Load) -> TrainedRun:
        """Return it from a result."""
        return cls(run=run, table=SeedTable.of(result, run.seeds, arrays=arrays))

    def read_as(self, reading: Translation) -> TrainedRun:
        """Return it with its numbers read in another wording."""
        return self if reading == AS_IT_IS else replace(self, table=self.table.read_as(reading))

    @cached_property
    def outputs(self) -> NDArray[Any] | None:
        """The outputs of the samples compared (seeds, n, outputs), loaded once."""
        return self.table.outputs()

    @cached_property
    def diverged(self) -> Float64:
        """1 for a seed that diverged, 0 for one that succeeded, NaN for one that failed otherwise."""
        ends = np.where(self.table.succeeded, 0.0, np.nan)
        for row in np.flatnonzero(~self.table.succeeded):
            failure = self.table.why_failed(int(row))
            if failure is not None and failure.reason == "diverged":
                ends[row] = 1.0
        return ends

    def samples(self, part: str) -> Samples | None:
        """Return one part of its data."""
        found: Samples | None = getattr(self.run.dataset, part)
        return found


Pair = tuple[TrainedRun, TrainedRun]
"""The reference's training and another's, of the same seeds."""


class PairMeasure:
    """Measures pairs of trainings by one side's loss."""

    def __init__(self, losses: Mapping[str, Loss], program: ProgramSpec, arrays: Load) -> None:
        """Take the loss of each output, which is averaged here, and what gives the targets."""
        averaged = {"reduction": "mean"}
        self._own = {name: loss.model_copy(update=averaged) for name, loss in losses.items()}
        self._program = program
        self._arrays = arrays
        self._losses: dict[str, Float64] = {}

    def measures(self, pair: Pair) -> list[str]:
        """Return the measures that some seed has in both trainings, the main one first."""
        mine, theirs = (one.table.metrics.get(pair[0].table.outputs_of or "train", {}) for one in pair)
        metrics = [f"{pair[0].table.outputs_of or 'train'} {name}" for name in mine if name in theirs]
        found = [PREDICTIONS, OUTPUTS, LOSS, *metrics]
        return [name for name in found if np.isfinite(self.gap(name, pair)).any()]

    def gap(self, measure: str, pair: Pair) -> Float64:
        """Return how far apart the two are in a measure."""
        mine, theirs = pair
        if measure == DIVERGENCE:
            return np.abs(theirs.diverged - mine.diverged)
        both = mine.table.succeeded & theirs.table.succeeded
        if not both.any():
            return np.full(len(both), np.nan)
        return np.where(both, self._apart(measure, pair), np.nan)

    def scale(self, measure: str, reference: TrainedRun) -> Float64 | None:
        """Return the largest absolute value of what the reference gives; None for measures without one."""
        array = _array(measure, reference)
        return None if array is None else np.abs(array).reshape(len(array), -1).max(axis=1, initial=0.0)

    def _apart(self, measure: str, pair: Pair) -> Float64:
        mine, theirs = pair
        if measure in (PREDICTIONS, OUTPUTS):
            comparable = self._same_rows(measure, pair)
            arrays = [_array(measure, one) if comparable else None for one in pair]
            return _root_mean_square(*arrays, seeds=len(mine.table.seeds))
        if measure == LOSS:
            return np.abs(self._loss_of(theirs) - self._loss_of(mine))
        part, _, name = measure.partition(" ")
        values = [one.table.metrics.get(part, {}).get(name) for one in pair]
        ends = [np.full(len(mine.table.seeds), np.nan) if one is None else one for one in values]
        return np.abs(ends[1] - ends[0])

    @staticmethod
    def _same_rows(measure: str, pair: Pair) -> bool:
        """Return whether both trainings' arrays are of the same samples."""
        if measure == PREDICTIONS:
            return pair[0].run.dataset.predict == pair[1].run.dataset.predict
        part, other = (one.table.outputs_of for one in pair)
        if part is None or part != other:
            return False
        samples = pair[0].samples(part)
        return samples is not None and samples.same_rows(pair[1].samples(part))

    def _loss_of(self, one: TrainedRun) -> Float64:
        key = one.run.run_id
        if key not in self._losses:
            self._losses[key] = self._measured_loss(one)
        return self._losses[key]

    def _measured_loss(self, one: TrainedRun) -> Float64:
        losses = np.full(len(one.table.seeds), np.nan)
        part = one.table.outputs_of
        samples = one.samples(part) if part else None
        if one.outputs is None or samples is None:
            return losses
        targets = self._arrays(samples.y)
        for row in np.flatnonzero(one.table.succeeded):
            try:
                losses[row] = total_losses(self._own, self._program, one.outputs[row][None], targets)[0]
            except (ValueError, IndexError):  # outputs that this loss cannot be taken of
                continue
        return np.where(np.isfinite(losses), losses, np.nan)


def unit(measure: str) -> str:
    """Return what a gap in the measure is in."""
    if measure in (PREDICTIONS, OUTPUTS):
        return "of the reference's largest value"
    return "of the seeds" if measure == DIVERGENCE else "apart"


def _array(measure: str, one: TrainedRun) -> NDArray[Any] | None:
    if measure == PREDICTIONS:
        return one.table.predictions
    return one.outputs if measure == OUTPUTS else None


def _root_mean_square(mine: NDArray[Any] | None, theirs: NDArray[Any] | None, *, seeds: int) -> Float64:
    if mine is None or theirs is None or mine.shape != theirs.shape:
        return np.full(seeds, np.nan)
    apart = (theirs.astype(np.float64) - mine).reshape(seeds, -1)
    largest = np.abs(apart).max(axis=1, initial=0.0)
    # divided first, so that squares of large numbers stay finite
    shares = np.divide(apart, largest[:, None], out=np.zeros_like(apart), where=largest[:, None] > 0)
    return largest * np.sqrt(np.square(shares).mean(axis=1)) if apart.size else np.zeros(seeds)


@dataclass(frozen=True, kw_only=True)
class MixtureGaps:
    """It holds a plan's pairs as trained; the declared one and that with nothing switched are among them."""

    plan: Plan
    pairs: Mapping[Mixture, Pair]
    declared: Pair
    in_own_words: Pair | None
    """The pair with nothing switched, each side in its own words; None where both have the same."""
    pair_measure: PairMeasure
    arrays: Load

    @property
    def ends(self) -> Pair:
        """The pair with nothing switched."""
        return self.pairs[frozenset()]

    @property
    def measures(self) -> list[str]:
        """What the gap can be measured in, the main measure first."""
        apart = (self.pair_measure.gap(DIVERGENCE, self.ends) > 0).any()
        return [*([DIVERGENCE] if apart else []), *self.pair_measure.measures(self.ends)]

    def counted(self, measure: str) -> NDArray[np.bool_]:
        """Return (seeds,), whether both ends finished a seed, or diverged where that is the measure."""
        ends = np.array([one.diverged for one in self.ends])
        found: NDArray[np.bool_] = (np.isfinite(ends) if measure == DIVERGENCE else ends == 0).all(axis=0)
        return found

    def seeds(self, measure: str) -> tuple[int, ...]:
        """Return the seeds that count in a measure."""
        counted = self.counted(measure)
        return tuple(seed for seed, one in zip(self.plan.seeds, counted, strict=True) if one)

    def gaps(self, measure: str) -> dict[Mixture, Float64]:
        """Return the gap of each mixture, one number a seed that counts.

        A mixture that lacks one of those seeds is left out.
        """
        found = {mixture: self._of(measure, pair) for mixture, pair in self.pairs.items()}
        return {mixture: gap for mixture, gap in found.items() if gap is not None}

    def declared_gap(self, measure: str) -> Float64 | None:
        """Return the gap of the jobs as they were declared, with each side's own start."""
        return self._of(measure, self.declared)

    def gap_in_own_words(self, measure: str) -> Float64 | None:
        """Return the gap with nothing switched, each side in its own words; None where that is not known."""
        return None if self.in_own_words is None else self._of(measure, self.in_own_words)

    def failures(self) -> dict[Mixture, str]:
        """Return why mixtures have no numbers, in words."""
        found = {mixture: one.problem for mixture, one in self.plan.pairs.items() if one.problem}
        for mixture, pair in self.pairs.items():
            failed = [
                failure
                for one in pair
                for row in range(len(one.table.seeds))
                if (failure := one.table.why_failed(row)) is not None
            ]
            if mixture and failed:
                found[mixture] = f"{failed[0].reason.replace('_', ' ')}: {failed[0].message}"
        return found

    def _of(self, measure: str, pair: Pair) -> Float64 | None:
        gap = self.pair_measure.gap(measure, pair)[self.counted(measure)]
        return gap if gap.size and np.isfinite(gap).all() else None


@dataclass(frozen=True, kw_only=True)
class DividedGap:
    """It divides the gap in one measure among the factors."""

    measure: str
    factors: tuple[Factor, ...]
    parts: Parts
    scale: float
    """What a gap is divided by to be in the `unit` of the measure."""

    @property
    def gap(self) -> float:
        """The mean over seeds, in the `unit` of the measure."""
        return float(self.parts.whole.mean()) / self.scale

    @property
    def estimates(self) -> list[Estimate | None]:
        """The share of each factor."""
        return [None if part is None else share(part, self.parts.whole) for part in self.parts.closed]

    def with_groups(self, group: Collection[int]) -> DividedGap:
        """Return it with the factors at these places as one."""
        places = sorted(group)
        closed = [self.parts.closed[place] for place in places]
        known = [one for one in closed if one is not None]
        kept = [place for place in range(len(self.factors)) if place not in group]
        return replace(
            self,
            factors=(
                Factor.of_several([self.factors[place] for place in places]),
                *(self.factors[place] for place in kept),
            ),
            parts=replace(
                self.parts,
                closed=(
                    np.sum(known, axis=0) if len(known) == len(closed) else None,
                    *(self.parts.closed[place] for place in kept),
                ),
            ),
        )

    @property
    def unexplained(self) -> Estimate | None:
        """The share that is left with everything switched."""
        return None if self.parts.left is None else share(self.parts.left, self.parts.whole)


def gaps_of(plan: Plan, trained: Mapping[str, TrainedRun], arrays: Load) -> MixtureGaps:
    """Return what the trainings tell; `trained` has every run of the plan by its identity."""

    read: dict[tuple[str, Translation], TrainedRun] = {}

    def of(run: Run, reading: Translation) -> TrainedRun:
        name = identity(run)
        if (name, reading) not in read:
            read[name, reading] = trained[name].read_as(reading)
        return read[name, reading]

    def pair_of(planned: PlannedPair) -> Pair:
        assert planned.other is not None  # noqa: S101  # by the filter below
        return of(planned.reference, planned.readings[0]), of(planned.other, planned.readings[1])

    losses = plan.declared.reference.job.losses
    for name, loss in losses.items():
        if isinstance(loss, Crossentropy | ClassCrossentropy | Dice | Tversky):
            logits = takes_logits(loss) and plan.declared.readings[0].scale not in ("softmax", "sigmoid")
            losses[name] = loss.model_copy(update={"from_logits": logits})
    return MixtureGaps(
        plan=plan,
        pairs={mixture: pair_of(one) for mixture, one in plan.pairs.items() if one.other is not None},
        declared=pair_of(plan.declared),
        in_own_words=pair_of(plan.own_words.pair) if plan.own_words else None,
        pair_measure=PairMeasure(losses, plan.declared.reference.program, arrays),
        arrays=arrays,
    )


def divided_gap(gaps: MixtureGaps, measure: str) -> DividedGap | None:
    """Return the gap in one measure and its parts; None where the gap itself could not be measured.

    Each side's own start becomes a factor of its own where it widens the gap beyond chance.
    """
    split = parts(gaps.plan.design, gaps.gaps(measure))
    if split is None:
        return None
    factors = gaps.plan.factors
    written = gaps.gap_in_own_words(measure)
    if written is not None and gaps.plan.own_words is not None:
        split = replace(split, whole=written, closed=(*split.closed, written - split.whole))
        factors = (*factors, gaps.plan.own_words.factor)
    own = gaps.declared_gap(measure) if gaps.plan.own_start else None
    if own is not None and _beyond_chance(own - split.whole):
        split = replace(split, whole=own, closed=(*split.closed, own - split.whole))
        factors = (*factors, start(*(run.side for run in gaps.plan.ends)))
    scales = gaps.pair_measure.scale(measure, gaps.ends[0])
    scale = 1.0 if scales is None else float(scales[gaps.counted(measure)].max(initial=0.0)) or 1.0
    return DividedGap(measure=measure, factors=factors, parts=split, scale=scale)


def _beyond_chance(more: Float64) -> bool:
    """Return whether the mean of the differences is above 0 with 97.5 % confidence."""
    found = share(more, np.ones_like(more))
    return found is not None and found.interval is not None and found.interval[0] > 0
