"""The gaps of every mixture that could be trained, and why the others could not. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from producer.blame import measures
from producer.blame.factors import Factor, start
from producer.blame.measures import Pair, Ruler, Trained
from producer.blame.plan import Plan, PlannedPair, identity
from producer.blame.shares import Estimate, Mixture, Parts, parts, share
from shared.results.seed_table import Load

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The plan's pairs as they were trained; `plan.declared` and nothing switched are always among them."""

    plan: Plan
    pairs: Mapping[Mixture, Pair]
    declared: Pair
    ruler: Ruler
    arrays: Load

    @property
    def ends(self) -> Pair:
        """With nothing switched."""
        return self.pairs[frozenset()]

    @property
    def measures(self) -> list[str]:
        """What the gap can be measured in, the main measure first."""
        apart = any(self.ruler.gap(measures.DIVERGENCE, self.ends, seed) for seed in self.plan.seeds)
        finished = self.seeds(measures.LOSS)
        found = self.ruler.measures(self.ends, finished[0]) if finished else []
        return [measures.DIVERGENCE, *found] if apart else found

    def seeds(self, measure: str) -> tuple[int, ...]:
        """Those that both ends finished; where divergence is the measure, or diverged on."""
        ends = [[one.seeds.get(seed) for one in self.ends] for seed in self.plan.seeds]
        diverging = measure == measures.DIVERGENCE
        return tuple(
            seed
            for seed, both in zip(self.plan.seeds, ends, strict=True)
            if all(
                one is not None and (one.failure is None or (diverging and one.failure.reason == "diverged"))
                for one in both
            )
        )

    def gaps(self, measure: str) -> dict[Mixture, Floats]:
        """By mixture, one number a seed; a mixture that lacks one of the seeds is left out."""
        found = {mixture: self._of(measure, pair) for mixture, pair in self.pairs.items()}
        return {mixture: gap for mixture, gap in found.items() if gap is not None}

    def declared_gap(self, measure: str) -> Floats | None:
        """That of the jobs as they were declared, with each side's own start."""
        return self._of(measure, self.declared)

    def failures(self) -> dict[Mixture, str]:
        """Why mixtures have no numbers, in words."""
        found = {mixture: one.problem for mixture, one in self.plan.pairs.items() if one.problem}
        for mixture, pair in self.pairs.items():
            if mixture:
                failed = [one.failure for side in pair for one in side.seeds.values() if one.failure]
                if failed:
                    found[mixture] = f"{failed[0].reason.replace('_', ' ')}: {failed[0].message}"
        return found

    def _of(self, measure: str, pair: Pair) -> Floats | None:
        found = [self.ruler.gap(measure, pair, seed) for seed in self.seeds(measure)]
        known = [gap for gap in found if gap is not None]
        return np.array(known) if known and len(known) == len(found) else None


@dataclass(frozen=True, kw_only=True)
class Parted:
    """One measure's gap, parted among the factors."""

    measure: str
    factors: tuple[Factor, ...]
    parts: Parts
    scale: float
    """What a gap is divided by to be in `measures.unit`."""

    @property
    def gap(self) -> float:
        """The mean over seeds, in `measures.unit`."""
        return float(self.parts.whole.mean()) / self.scale

    @property
    def estimates(self) -> list[Estimate | None]:
        """Each factor's share."""
        return [None if part is None else share(part, self.parts.whole) for part in self.parts.closed]

    @property
    def unexplained(self) -> Estimate | None:
        """The share that is left with everything switched."""
        return None if self.parts.left is None else share(self.parts.left, self.parts.whole)


def evidence(plan: Plan, trained: Mapping[str, Trained], arrays: Load) -> Evidence:
    """What the trainings tell; `trained` has every run of the plan by its identity."""

    def pair_of(planned: PlannedPair) -> Pair:
        assert planned.other is not None  # noqa: S101  # by the filter below
        return trained[identity(planned.reference)], trained[identity(planned.other)]

    return Evidence(
        plan=plan,
        pairs={mixture: pair_of(one) for mixture, one in plan.pairs.items() if one.other is not None},
        declared=pair_of(plan.declared),
        ruler=Ruler(plan.declared.reference.job.loss, arrays),
        arrays=arrays,
    )


def parted(found: Evidence, measure: str) -> Parted | None:
    """The gap in one measure and its parts; None where the gap itself could not be measured.

    Each side's own start becomes a factor of its own where it widens the gap beyond chance.
    """
    split = parts(found.plan.design, found.gaps(measure))
    if split is None:
        return None
    factors = found.plan.factors
    own = found.declared_gap(measure) if found.plan.own_start else None
    if own is not None and _beyond_chance(own - split.whole):
        split = replace(split, whole=own, closed=(*split.closed, own - split.whole))
        factors = (*factors, start(*(run.side for run in found.plan.ends)))
    scales = [found.ruler.scale(measure, found.ends[0], seed) for seed in found.seeds(measure)]
    scale = max((one for one in scales if one), default=1.0)
    return Parted(measure=measure, factors=factors, parts=split, scale=scale)


def _beyond_chance(more: Floats) -> bool:
    """Whether the mean of the differences is above 0 with 97.5 % confidence."""
    found = share(more, np.ones_like(more))
    return found is not None and found.interval is not None and found.interval[0] > 0
