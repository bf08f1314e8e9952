"""What explaining costs, and what is left out where that is more than a budget. Pure.

The costliest way that fits is taken: every combination; each setting switched first and last alone; with
three seeds; with one, which leaves no intervals; with the weightiest settings alone, one fewer each time.
What a training takes is known from the job's own, so all of it is an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from likewise.producer.blame.plan import Extent, Plan, identity
from likewise.producer.display import both, count, seconds
from likewise.shared.results.run_result import Timings
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Run

BUDGET_S = 300.0
"""The budget where none is given."""
A_RUN_S = 0.2
"""What a training takes besides: to be queued, claimed and returned."""
FEW_SEEDS = 3
_TRAINING = ("build_s", "compile_s", "train_s", "predict_s")


MakePlans = Callable[[Extent], Sequence[Plan]]
"""Returns the plans of each other side, to an extent."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """They say what a training of one seed takes, by side."""

    seconds: Mapping[str, float]

    @classmethod
    def of(cls, tables: Mapping[str, SeedTable]) -> Rates:
        """Return them from what the job's own trainings took; a side none of which ended has none."""
        columns = [list(Timings.model_fields).index(name) for name in _TRAINING]
        found = {}
        for side, table in tables.items():
            known = table.timings[np.isfinite(table.timings).any(axis=1)]
            if len(known):
                found[side] = float(np.nansum(known[:, columns]) / len(known))
        return cls(seconds=found)

    def cost_s(self, runs: Sequence[Run]) -> float:
        """Return about how long these trainings take, one after another."""
        return sum(A_RUN_S + len(run.seeds) * self.seconds.get(run.side, 0.0) for run in runs)


@dataclass(frozen=True, kw_only=True)
class Affordable:
    """It is what is trained within the budget."""

    plans: tuple[Plan, ...]
    missing: tuple[Run, ...]
    """The runs that are not trained yet."""
    seeds: tuple[int, ...]
    seconds: float
    """About how long they take."""
    budget_s: float
    left_out: tuple[str, ...] = ()
    """What was left out to stay within the budget, each as a clause."""
    whole_s: float = 0.0
    """About how long all of it would take."""

    def announcement(self) -> str:
        """Return what it will cost, and what is left out, before it is trained."""
        if not self.missing:
            return "explaining: everything it takes has been trained"
        mixtures = count(max((len(plan.pairs) for plan in self.plans), default=0), "mixture")
        runs = count(len(self.missing), "training")
        sentence = (
            f"explaining by {mixtures} with {count(len(self.seeds), 'seed')} each: {runs} to go, about "
            f"{seconds(round(self.seconds, 1))}"
        )
        return f"{sentence}; {self._left_out()}" if self.left_out else sentence

    def note(self) -> str | None:
        """Return what was left out, for who reads the answer; None where nothing was."""
        if not self.left_out:
            return None
        text = self._left_out()
        return f"{text[0].upper()}{text[1:]}."

    def _left_out(self) -> str:
        enough = max(1, round(self.whole_s * 1.2))
        return (
            f"to stay within the budget of {seconds(self.budget_s)}, {'; '.join(self.left_out)}; all of it "
            f"would take about {seconds(round(self.whole_s))} (--budget {enough})"
        )


def within(
    budget_s: float,
    extent: Extent,
    make: MakePlans,
    *,
    rates: Rates,
    known: Callable[[Sequence[int]], Collection[str]],
) -> Affordable:
    """Return the costliest way to explain that the budget allows, or the cheapest where it allows none.

    `known` gives the identities of the runs that are trained with these seeds.
    """
    whole_s, last = None, None
    for one in _extents(extent, make):
        plans = tuple(make(one))
        runs = {identity(run): run for plan in plans for run in plan.runs()}
        there = known(one.seeds)
        missing = tuple(run for name, run in runs.items() if name not in there)
        cost_s = rates.cost_s(missing)
        whole_s = cost_s if whole_s is None else whole_s
        last = Affordable(
            plans=plans,
            missing=missing,
            seeds=one.seeds,
            seconds=cost_s,
            budget_s=budget_s,
            left_out=tuple(_left_out(extent, one, plans)),
            whole_s=whole_s,
        )
        if cost_s <= budget_s:
            break
    assert last is not None  # noqa: S101  # the extent itself is the first
    return last


def _extents(extent: Extent, make: MakePlans) -> Iterator[Extent]:
    """Yield ever smaller extents, the one asked for first."""
    yield extent
    factors = max((len(plan.factors) for plan in make(extent)), default=0)
    ends = Extent(seeds=extent.seeds, most_combined=min(extent.most_combined, 2))
    if factors > ends.most_combined and extent.most_combined > ends.most_combined:
        yield ends
    few = [seeds for seeds in (FEW_SEEDS, 1) if seeds < len(extent.seeds)]
    for seeds in few:
        yield replace(ends, seeds=extent.seeds[:seeds])
    fewest = replace(ends, seeds=extent.seeds[: min(few, default=len(extent.seeds))])
    for most in range(factors - 1, 0, -1):
        yield replace(fewest, most_factors=most)


def _left_out(asked: Extent, one: Extent, plans: Sequence[Plan]) -> Iterator[str]:
    """Yield what an extent lacks of the one asked for."""
    if len(one.seeds) < len(asked.seeds):
        verb = "is" if len(one.seeds) == 1 else "are"
        yield f"{len(one.seeds)} of {count(len(asked.seeds), 'seed')} {verb} trained"
    if one.most_combined < asked.most_combined and any(plan.design.kind == "ends" for plan in plans):
        yield "each setting is switched first and last, not in every combination"
    unswitched = list(dict.fromkeys(factor.path for plan in plans for factor in plan.left_out))
    if unswitched:
        verb = "is" if len(unswitched) == 1 else "are"
        yield f"{both(unswitched)} {verb} not switched"
