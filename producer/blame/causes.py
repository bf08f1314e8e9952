"""Which settings part two sides at once, and how much each does: a small explanation within a comparison.

Where several settings differ, the first tensor that parts shows one of them. What each does is found as
`explain` finds it, by training with settings switched: of the traced seed alone, where the settings are few
and that is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from likewise.producer.blame.attribution import explain
from likewise.producer.blame.budget import Rates
from likewise.producer.blame.evidence import TrainedRun
from likewise.producer.blame.explanation import WORTH_A_WORD, Explanation, percent
from likewise.producer.blame.plan import Extent, Plan, identity, plan
from likewise.producer.blame.shares import MOST_COMBINED
from likewise.producer.display import both, count
from likewise.producer.follow_ups import CAUSES, FollowUpPlan, Judged
from likewise.producer.runs.submit import FollowUp
from likewise.producer.verdict.models import Cause, FirstDivergence

if TYPE_CHECKING:
    from likewise.producer.runs.results import FinishedRuns
    from likewise.producer.verdict.models import Comparison

BUDGET_S = 20.0
"""Shares that would take longer to find are left to `likewise explain`."""


def shares(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the mixtures of few settings, where several differ between sides that a trace has parted."""
    comparison = outcome.comparison
    if comparison.verdict != "differ" or CAUSES in outcome.finished:
        return
    plans = list(_plans(outcome))
    known = _own(outcome, plans)
    runs = {identity(run): run for one in plans for run in one.runs()}
    missing = [run for name, run in runs.items() if name not in known]
    if not missing:
        return
    cost_s = Rates.of({run.side: run.table for run in comparison.runs}).cost_s(missing)
    if cost_s > BUDGET_S:
        settings = max(len(one.factors) for one in plans)
        tell(
            f"the shares of {count(settings, 'setting')} are left out: they would take about {cost_s:,.0f} s "
            f"more; likewise explain {outcome.record.experiment_id[:8]} finds them"
        )
        return
    sides, seeds = [run.side for run in missing], missing[0].seeds
    mixed = outcome.record.experiment.with_sides(sides, seeds=seeds)
    said = "with settings switched, to find what each does"
    yield [FollowUp(relation=CAUSES, experiment=mixed, runs=missing, announcement=said)]


def with_causes(outcome: Judged, mixtures: FinishedRuns) -> Comparison:
    """Return the comparison with the causes of each first divergence, by what the mixtures gave."""
    plans = list(_plans(outcome))
    trained = _own(outcome, plans)
    for run, result in mixtures.runs:
        trained[identity(run)] = TrainedRun.of(run, result, outcome.arrays)
    comparison = outcome.comparison
    found = {
        one.ends[1].side: explain(
            one, trained, outcome.arrays, experiment_id=comparison.experiment_id, name=comparison.name
        )
        for one in plans
        if all(identity(run) in trained for run in one.runs())
    }
    divergences = [_caused(one, found.get(one.other)) for one in comparison.first_divergences]
    said = {
        old.sentence: new.sentence for old, new in zip(comparison.first_divergences, divergences, strict=True)
    }
    reasons = tuple(said.get(reason, reason) for reason in comparison.reasons)
    return comparison.model_copy(update={"first_divergences": tuple(divergences), "reasons": reasons})


def _plans(outcome: Judged) -> Iterator[Plan]:
    """Yield a plan for each side that a trace has parted, in several settings that are few."""
    runs = {run.side: run for run in outcome.runs}
    for one in outcome.comparison.first_divergences:
        if one.shapes or one.reference not in runs or one.other not in runs:
            continue
        ends = runs[one.reference], runs[one.other]
        found = plan(*ends, Extent(seeds=(one.seed,), most_combined=MOST_COMBINED), arrays=outcome.arrays)
        if 1 < len(found.factors) <= MOST_COMBINED:
            yield found


def _own(outcome: Judged, plans: Sequence[Plan]) -> dict[str, TrainedRun]:
    """Return what the experiment itself trained of the plans' seeds, by identity."""
    tables = {run.side: run.table for run in outcome.comparison.runs}
    own: dict[str, TrainedRun] = {}
    for one in plans:
        for run in one.ends:
            own[identity(run)] = TrainedRun(run=run, table=tables[run.side].only(run.seeds))
    return own


def _caused(found: FirstDivergence, explained: Explanation | None) -> FirstDivergence:
    """Return the divergence with the settings that part the sides, the largest share first."""
    if explained is None or explained.measure is None:
        return found
    causes = [
        Cause(path=one.path, values=dict(one.values), share=one.share)
        for one in explained.contributions
        if one.share is not None and abs(one.share) >= WORTH_A_WORD
    ]
    cancel = any(one.together for one in explained.contributions)
    if len(causes) < 2 and not cancel:
        return found
    said = explained.sentence if cancel else _sentence(causes, explained)
    return found.model_copy(update={"causes": tuple(causes), "sentence": f"{found.sentence} {said}"})


def _sentence(causes: Sequence[Cause], explained: Explanation) -> str:
    """Return such as `Of the gap in the outputs, a makes 98 % and b 2 %.`."""
    first, *more = causes
    parts = [f"{first.path} makes {percent(first.share)}"]
    parts += [f"{one.path} {percent(one.share)}" for one in more]
    left = explained.unexplained_share or 0.0
    rest = f"; {percent(left)} stays unexplained" if left >= WORTH_A_WORD else ""
    return f"Of the gap in the {explained.measure}, {both(parts)}{rest}."
