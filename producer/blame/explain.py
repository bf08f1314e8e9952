"""From trained mixtures to an Explanation: shares, causes, fixes, and one sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from producer.blame import measures, sentences
from producer.blame.evidence import Evidence, Parted, evidence, parted
from producer.blame.factors import Factor
from producer.blame.measures import Trained
from producer.blame.models import Contribution, Explanation, MeasureShares
from producer.blame.plan import Plan
from producer.verdict.knowledge import Scale, consequence, fixes
from producer.verdict.parting import relation
from producer.verdict.rounding import tolerance_for
from shared.results.seed_table import Load


def explain(
    plan: Plan, trained: Mapping[str, Trained], arrays: Load, *, experiment_id: str, name: str
) -> Explanation:
    """The explanation; `trained` has every run of the plan by its identity."""
    found = evidence(plan, trained, arrays)
    told = [one for measure in found.measures if (one := parted(found, measure)) is not None]
    main = told[0] if told else None
    reference, other = plan.ends
    tolerance = tolerance_for({reference.job.precision, other.job.precision}).relative
    closed = main is not None and main.measure != measures.DIVERGENCE and main.gap <= tolerance
    contributions = _contributions(found, main, closed=closed)
    unexplained = None if main is None or closed else main.unexplained
    return Explanation(
        experiment_id=experiment_id,
        name=name,
        reference=reference.side,
        other=other.side,
        seeds=found.seeds(main.measure) if main else plan.seeds,
        mixtures=len(plan.pairs),
        measure=main.measure if main else None,
        gap=main.gap if main else None,
        unit=measures.unit(main.measure) if main else None,
        contributions=contributions,
        unexplained_share=unexplained.value if unexplained else None,
        unexplained_interval=unexplained.interval if unexplained else None,
        sentence=sentences.sentence(found, main, contributions, tolerance=tolerance),
        notes=sentences.notes(found, main),
        measures=tuple(_measure(one, closed=closed) for one in told),
    )


def _contributions(found: Evidence, main: Parted | None, *, closed: bool) -> tuple[Contribution, ...]:
    """A contribution a factor, the largest share first; without shares where there is no gap to share."""
    if main is None or closed:
        reason = "there is no gap" if closed else "nothing could be compared"
        return tuple(_contribution(found, factor, problem=reason) for factor in found.plan.factors)
    told = [
        _contribution(
            found,
            factor,
            share=estimate.value if estimate else None,
            interval=estimate.interval if estimate else None,
            problem=None if estimate else "it could not be switched in a training",
        )
        for factor, estimate in zip(main.factors, main.estimates, strict=True)
    ]
    return tuple(sorted(told, key=lambda one: (one.share is None, -(one.share or 0.0))))


def _contribution(
    found: Evidence,
    factor: Factor,
    *,
    problem: str | None,
    share: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Contribution:
    jobs = {run.side: run.job for run in found.plan.ends}
    return Contribution(
        path=factor.path,
        values=dict(factor.values),
        share=share,
        interval=interval,
        problem=problem,
        cause=_given_weights(found, factor)
        or consequence(factor.difference, jobs=jobs, scale=scale_of(found)),
        fixes=fixes(
            factor.difference, jobs=jobs, frameworks={run.side: run.framework for run in found.plan.ends}
        ),
    )


def _given_weights(found: Evidence, factor: Factor) -> str | None:
    """What the other's given weights are to the reference's, where a usual mistake made them so."""
    mine, theirs = (run.given_weights for run in found.plan.ends)
    if not factor.path.startswith("initial_weights") or mine is None or theirs is None:
        return None
    reference, other = (run.side for run in found.plan.ends)
    for name in mine:
        if name in theirs and mine[name] != theirs[name]:
            known = relation(found.arrays(mine[name]), found.arrays(theirs[name]))
            return f"{name} of {other} is {reference}'s {known}" if known else None
    return None


def scale_of(found: Evidence) -> Scale:
    """What the sizes of sums depend on."""
    run = found.plan.ends[0]
    shapes = (one.outputs.shape for one in found.ends[0].seeds.values() if one.outputs is not None)
    return Scale(
        samples=run.dataset.train.x.shape[0],
        outputs=next((shape[1] for shape in shapes if len(shape) == 2), None),
    )


def _measure(one: Parted, *, closed: bool) -> MeasureShares:
    """One measure's row; without shares where there is no gap to share."""
    estimates = [None if closed else estimate for estimate in one.estimates]
    unexplained = None if closed else one.unexplained
    return MeasureShares(
        measure=one.measure,
        gap=one.gap,
        unit=measures.unit(one.measure),
        shares={
            factor.path: estimate.value if estimate else None
            for factor, estimate in zip(one.factors, estimates, strict=True)
        },
        unexplained_share=unexplained.value if unexplained else None,
    )
