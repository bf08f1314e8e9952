"""Makes the Explanation of trained mixtures: the share, the cause and the fixes of each setting. Pure.

Which side is which framework it does not ask; fixes alone are of a framework's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from likewise.producer.blame.evidence import (
    DIVERGENCE,
    DividedGap,
    MixtureGaps,
    TrainedRun,
    divided_gap,
    gaps_of,
    unit,
)
from likewise.producer.blame.explanation import Contribution, Explanation, MeasureShares, notes, sentence
from likewise.producer.blame.factors import Factor
from likewise.producer.blame.plan import Plan
from likewise.producer.job.resolve import SettingDifference, leaves
from likewise.producer.verdict.knowledge import Setup, consequence
from likewise.producer.verdict.mending import fix, fixes
from likewise.producer.verdict.misfits import misfits
from likewise.producer.verdict.relations import relation
from likewise.producer.verdict.rounding import tolerance_for
from likewise.shared.job import Job
from likewise.shared.results.seed_table import Load

UNSWITCHED = "it was left out, to stay within the budget"
UNSWITCHABLE = "it could not be switched in a training"
NO_MEANING = "switching it moves more than the whole gap"
CANCELLING = 1.5
"""Where a share is larger than this, others are as far below 0, and no part by itself means much."""


def explain(
    plan: Plan, trained: Mapping[str, TrainedRun], arrays: Load, *, experiment_id: str, name: str
) -> Explanation:
    """Return the explanation; `trained` has every run of the plan by its identity."""
    gaps = gaps_of(plan, trained, arrays)
    measures = [one for measure in gaps.measures if (one := divided_gap(gaps, measure)) is not None]
    if measures and (group := _cancelling(measures[0])):
        measures = [one.with_groups(group) for one in measures]
    main = measures[0] if measures else None
    reference, other = plan.ends
    tolerance = tolerance_for({reference.job.precision, other.job.precision}).relative
    closed = main is not None and main.measure != DIVERGENCE and main.gap <= tolerance
    contributions = _contributions(gaps, main, closed=closed)
    unexplained = None if main is None or closed else main.unexplained
    return Explanation(
        experiment_id=experiment_id,
        name=name,
        reference=reference.side,
        other=other.side,
        seeds=gaps.seeds(main.measure) if main else plan.seeds,
        mixtures=len(plan.pairs),
        measure=main.measure if main else None,
        gap=main.gap if main else None,
        unit=unit(main.measure) if main else None,
        contributions=contributions,
        unexplained_share=unexplained.value if unexplained else None,
        unexplained_interval=unexplained.interval if unexplained else None,
        sentence=sentence(gaps, main, contributions, tolerance=tolerance),
        notes=notes(gaps, main),
        measures=tuple(_measure(one, closed=closed) for one in measures),
        left_out=tuple(factor.path for factor in plan.left_out),
    )


def _cancelling(main: DividedGap) -> frozenset[int]:
    """Return the places of the factors that work against each other, which make one together; often none."""
    sizes = [0.0 if one is None else abs(one.value) for one in main.estimates]
    if max(sizes, default=0.0) < CANCELLING:
        return frozenset()
    group = frozenset(place for place, size in enumerate(sizes) if size >= CANCELLING / 3)
    return group if len(group) > 1 else frozenset()


def _contributions(gaps: MixtureGaps, main: DividedGap | None, *, closed: bool) -> tuple[Contribution, ...]:
    """Return a contribution for each factor, the largest share first; no shares where there is no gap."""
    if main is None or closed:
        reason = "there is no gap" if closed else "nothing could be compared"
        own = (gaps.plan.own_words.factor,) if gaps.plan.own_words else ()
        every = (*(main.factors if main else (*gaps.plan.factors, *own)),)
        return tuple(_contribution(gaps, factor, problem=reason) for factor in every)
    shared = []
    for factor, estimate in zip(main.factors, main.estimates, strict=True):
        means_much = estimate is not None and abs(estimate.value) < CANCELLING
        shared.append(
            _contribution(
                gaps,
                factor,
                share=estimate.value if estimate and means_much else None,
                interval=estimate.interval if estimate and means_much else None,
                problem=None if means_much else NO_MEANING if estimate else UNSWITCHABLE,
            )
        )
    shared += [_contribution(gaps, one, problem=UNSWITCHED) for one in gaps.plan.left_out]
    return tuple(sorted(shared, key=lambda one: (one.share is None, -(one.share or 0.0))))


def _contribution(
    gaps: MixtureGaps,
    factor: Factor,
    *,
    problem: str | None,
    share: float | None = None,
    interval: tuple[float, float] | None = None,
) -> Contribution:
    setup = _setup(gaps)
    words = gaps.plan.own_words
    if words is not None and factor is words.factor:
        cause: str | None = f"written differently, computes the same: {words.says}"
        mended: dict[str, str] = {}
    else:
        members = factor.members or (factor,)
        whole = _given_weights(gaps, factor) or _other_samples(gaps, factor)
        whole = whole or consequence(factor.difference, setup)
        every = (consequence(one.difference, setup) for one in members) if factor.members else (whole,)
        cause = "; ".join(dict.fromkeys(filter(None, every))) or None
        codes = [_fixes(gaps, one, setup) for one in members]
        mended = {
            side: "\n".join(code[side] for code in codes if side in code)
            for side in setup.jobs
            if any(side in code for code in codes)
        }
    return Contribution(
        path=factor.path,
        values=dict(factor.values),
        share=share,
        interval=interval,
        problem=problem,
        together=bool(factor.members),
        cause=cause,
        fixes=mended,
    )


def _fixes(gaps: MixtureGaps, factor: Factor, setup: Setup) -> dict[str, str]:
    """Return by side the lines that end a factor's difference in its code, where these are known.

    Where the sides' layers are of other kinds, the factor is of both in one wording. Then each side's lines
    are those of its layer as it is declared, or, where that has no such setting, those of the wording.
    """
    reference, other = setup.jobs
    parts = factor.path.split(".")
    lists = [[layer.type for layer in job.model.layers] for job in setup.jobs.values()]
    as_many, alike = len(lists[0]) == len(lists[1]), lists[0] == lists[1]
    of_a_layer = parts[:2] == ["model", "layers"] and len(parts) > 3
    found = {}
    if (as_many or not of_a_layer) and _as_declared(factor, setup):
        found = fixes(factor.difference, setup, reference=reference, other=other)
    if alike or not of_a_layer:
        return found
    worded = None if found else _in_one_wording(gaps, factor, setup)
    if worded is not None and _as_declared(factor, worded):
        found = fixes(factor.difference, worded, reference=reference, other=other)
    own = {
        side: text
        for side, like in ((other, reference), (reference, other))
        if (text := _fix_in_own_layers(gaps, factor, setup, side=side, like=like)) is not None
    }
    return found | own


def _fix_in_own_layers(
    gaps: MixtureGaps, factor: Factor, setup: Setup, *, side: str, like: str
) -> str | None:
    """Return the lines that end a layer's difference in a side's program as it is declared.

    None where it has no such layer, or that one has another value as it is declared than in one wording.
    """
    worded = {one.run.side: one.run.job for one in gaps.ends}
    declared = setup.jobs[side]
    places, field = factor.path.split(".")[2], factor.path.split(".")[3:]
    document, wanted = (job.model_dump(mode="json") for job in (declared, worded[like]))
    whole = field[:-1] if field[-1] == "type" else field
    own = []
    for place in map(int, places.split(",")):
        at = _own_place(declared, worded[side], place)
        if at is None or not whole:
            return None
        mine, theirs = document["model"]["layers"][at], wanted["model"]["layers"][place]
        has = dict(leaves(mine)).get(".".join(field), _NO_VALUE)
        if _word(has) != _word(factor.values[side]):
            return None
        for part in whole[:-1]:
            mine, theirs = mine[part], theirs[part]
        mine[whole[-1]] = theirs[whole[-1]]
        own.append(str(at))
    path = ".".join(["model.layers", ",".join(own), *field])
    with suppress(ValidationError):
        jobs = {**setup.jobs, like: Job.model_validate(document)}
        difference = SettingDifference(path=path, values=factor.values)
        return fix(difference, replace(setup, jobs=jobs), side=side, like=like)
    return None


_NO_VALUE = object()


def _own_place(declared: Job, worded: Job, place: int) -> int | None:
    """Return where a layer of a job in one wording stands in the job as declared: by its name or its kind.

    One without a name is the first, the second and so on of its kind, where both have as many of it.
    """
    layer = worded.model.layers[place]
    if layer.name is not None:
        known = [at for at, one in enumerate(declared.model.layers) if one.name == layer.name]
    else:
        both = [
            [at for at, one in enumerate(job.model.layers) if one.type == layer.type and one.name is None]
            for job in (worded, declared)
        ]
        known = both[1][both[0].index(place) :][:1] if len(both[0]) == len(both[1]) else []
    return next((at for at in known if declared.model.layers[at].type == layer.type), None)


def _in_one_wording(gaps: MixtureGaps, factor: Factor, setup: Setup) -> Setup | None:
    """Return both jobs in one wording; None where a layer has no name by which the user knows it in both."""
    declared = [job.model.layers for job in setup.jobs.values()]
    jobs = {one.run.side: one.run.job for one in gaps.ends}
    for place in map(int, factor.path.split(".")[2].split(",")):
        names = {job.model.layers[place].name for job in jobs.values()}
        if len(names) > 1 or any(names.isdisjoint(one.name for one in layers) for layers in declared):
            return None
        if names == {None}:
            return None
    return replace(setup, jobs=jobs, programs={one.run.side: one.run.program for one in gaps.ends})


def _as_declared(factor: Factor, setup: Setup) -> bool:
    """Return whether a factor's values are those that both sides declare, so that a side's code has them."""
    for side, value in factor.values.items():
        declared = dict(leaves(setup.jobs[side].model_dump(mode="json")))
        if _word(declared.get(factor.path, value)) != _word(value):
            return False
    return True


def _word(value: Any) -> Any:
    """Return a mapping with only a type as the word that it stands for."""
    return value["type"] if isinstance(value, dict) and list(value) == ["type"] else value


def _given_weights(gaps: MixtureGaps, factor: Factor) -> str | None:
    """Return what the other's given weights are to the reference's, where a usual mistake made them so."""
    mine, theirs = (run.given_weights for run in gaps.plan.ends)
    if not factor.path.startswith("initial_weights") or mine is None or theirs is None:
        return None
    reference, other = (run.side for run in gaps.plan.ends)
    for name in mine:
        if name in theirs and mine[name] != theirs[name]:
            known = relation(gaps.arrays(mine[name]), gaps.arrays(theirs[name]))
            return f"{name} of {other} is {reference}'s {known}" if known else None
    return None


def _other_samples(gaps: MixtureGaps, factor: Factor) -> str | None:
    """Return which samples have other shapes, with both; None where all have the same."""
    reference, other = gaps.plan.ends
    datasets = {run.side: run.dataset for run in (reference, other)}
    found = misfits(datasets, {}, sides=(reference.side, other.side))
    if not factor.path.startswith("data") or not found.any_shape:
        return None
    said = next(found.sentences()).rstrip(".")
    return f"{said[0].lower()}{said[1:]}"


def _setup(gaps: MixtureGaps) -> Setup:
    """Return what both ends train."""
    ends = gaps.plan.ends
    return Setup.of(
        {run.side: run.job for run in ends},
        {run.side: run.framework for run in ends},
        {run.side: run.dataset.train.x.shape for run in ends},
        {run.side: run.draws for run in ends if run.draws is not None},
    )


def _measure(one: DividedGap, *, closed: bool) -> MeasureShares:
    """Return one measure's row, without shares where there is no gap to share."""
    sizes = [abs(estimate.value) for estimate in (*one.estimates, one.unexplained) if estimate]
    unshared = closed or max(sizes, default=0.0) >= CANCELLING
    estimates = [None if unshared else estimate for estimate in one.estimates]
    unexplained = None if unshared else one.unexplained
    return MeasureShares(
        measure=one.measure,
        gap=one.gap,
        unit=unit(one.measure),
        shares={
            factor.path: estimate.value if estimate else None
            for factor, estimate in zip(one.factors, estimates, strict=True)
        },
        unexplained_share=unexplained.value if unexplained else None,
    )
