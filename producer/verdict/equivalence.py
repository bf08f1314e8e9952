"""Whether two sides give the same over seeds: two one-sided t-tests against a margin. Pure.

Finding no significant difference proves nothing: with few seeds nothing is ever significant. So the
question is turned round (Schuirmann 1987): the sides agree only where the data refute that their
means lie a margin or more apart. At the level ALPHA that is so when the interval of confidence
1 − 2·ALPHA for the difference of means lies within ±margin. They differ when one of confidence
1 − ALPHA lies wholly outside, widened to hold for all that is tested at once; else more seeds are needed,
and how many is worked out from the spread seen so far.

Seeds that start alike in both sides are pairs: what the seed does to both cancels in their
difference. Else the two groups are compared by Welch's test.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both, number
from likewise.producer.verdict.gaps import Pairs, same_hashes
from likewise.producer.verdict.models import Equivalence, Verdict
from likewise.shared.job.experiment import MAX_SEEDS
from likewise.shared.results.seed_table import Float64, SeedTable

ALPHA = 0.05
"""How often, at most, different results are called the same, or the same ones different in anything."""
POWER = 0.8
"""The probability with which `seeds_to_decide` seeds would decide."""
DERIVED_MARGIN = 0.5
"""A margin that is not declared, in spreads of the reference over seeds: what Cohen (1988) calls a medium
effect. Less than the next seed would change."""
MEDIAN_DEVIATION, QUARTILE_DEVIATION = 1.4826, 0.8693
"""Normal standard deviations in the median and in the third quartile of distances from the median."""
LEAST_SEEDS = 2


@dataclass(frozen=True, kw_only=True)
class Sample:
    """It holds what two sides gave in one measure, float64 (seeds, values) each; NaN where a seed has none.

    A measure of several values (predictions) is the same only where each of them is.
    """

    measure: str
    reference: Float64
    other: Float64
    places: Sequence[str] = ()
    """What each of several values is of."""
    measures: int = 1
    """How many are tested at once, of which one that differs decides."""


@dataclass(frozen=True, kw_only=True)
class _Difference:
    """It is the difference of the means of k values, each (k,), and how many `seeds` went into it."""

    mean: Float64
    error: Float64
    """The standard error of the mean."""
    freedom: Float64
    """The degrees of freedom of Student's distribution."""
    deviation: Float64
    """The standard deviation of one seed's difference, which is √seeds standard errors."""
    seeds: int


def equivalence(
    sample: Sample, *, sides: tuple[str, str], paired: bool, margin: float | None, rounding: float
) -> Equivalence | None:
    """Return the test in one measure; None with fewer than two seeds.

    `sides` names the reference and the other. `margin` is relative to the reference's mean; None
    derives it from the reference's spread over seeds. A margin is never
    below `rounding`, relative to the reference's largest value in the median seed.
    """
    mine, theirs = _complete(sample, paired=paired)
    if min(len(mine), len(theirs)) < LEAST_SEEDS:
        return None
    found = _paired(mine, theirs) if paired else _welch(mine, theirs)
    margins = _margins(mine, margin=margin, rounding=rounding, seeds=np.array(len(mine)))
    half = _quantile(1 - ALPHA, found.freedom) * found.error
    level = ALPHA / 2 / (sample.measures * len(margins))
    strict = _quantile(1 - level, found.freedom) * found.error
    verdict = _verdict(found, margins, half=half, strict=strict)
    reach = -strict if verdict == "differ" else half
    worst = int(np.argmax((np.abs(found.mean) + reach) / margins))
    counts = np.unique(np.geomspace(LEAST_SEEDS, MAX_SEEDS, 400).astype(int))
    by_count = _margins(mine, margin=margin, rounding=rounding, seeds=counts[:, None])
    return Equivalence(
        measure=sample.measure,
        where=sample.places[worst] if sample.places else None,
        reference=sides[0],
        other=sides[1],
        seeds=found.seeds,
        paired=paired,
        difference=float(found.mean[worst]),
        interval=(float((found.mean - half)[worst]), float((found.mean + half)[worst])),
        margin=float(margins[worst]),
        margin_declared=margin is not None,
        effect_size=_effect_size(mine[:, worst], theirs[:, worst]),
        verdict=verdict,
        seeds_to_decide=_seeds_to_decide(found, counts, by_count[..., worst], worst, level=level),
    )


def verdict_over(tests: Sequence[Equivalence]) -> Verdict:
    """Return the verdict over measures: the same in all of them, or different in one."""
    verdicts = {test.verdict for test in tests}
    if "differ" in verdicts:
        return "differ"
    return "agree" if verdicts == {"agree"} else "inconclusive"


def _complete(sample: Sample, *, paired: bool) -> tuple[Float64, Float64]:
    """Return the seeds that have every value; of pairs, those that have them in both."""
    whole = [np.isfinite(values).all(axis=1) for values in (sample.reference, sample.other)]
    if paired:
        whole = [whole[0] & whole[1]] * 2
    return sample.reference[whole[0]], sample.other[whole[1]]


def _paired(mine: Float64, theirs: Float64) -> _Difference:
    apart = theirs - mine
    seeds = len(apart)
    deviation = apart.std(axis=0, ddof=1)
    return _Difference(
        mean=apart.mean(axis=0),
        error=deviation / np.sqrt(seeds),
        freedom=np.full(apart.shape[1], seeds - 1.0),
        deviation=deviation,
        seeds=seeds,
    )


def _welch(mine: Float64, theirs: Float64) -> _Difference:
    """Return Welch's difference (1947) for unequal variances, with Satterthwaite's degrees of freedom."""
    parts = [values.var(axis=0, ddof=1) / len(values) for values in (mine, theirs)]
    squared = parts[0] + parts[1]
    counts = len(mine), len(theirs)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = squared**2 / sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    seeds = min(counts)
    return _Difference(
        mean=theirs.mean(axis=0) - mine.mean(axis=0),
        error=np.sqrt(squared),
        freedom=np.where(squared > 0, freedom, seeds - 1.0),
        deviation=np.sqrt(squared * seeds),
        seeds=seeds,
    )


def _margins(
    reference: Float64, *, margin: float | None, rounding: float, seeds: NDArray[np.int64]
) -> Float64:
    """Return the margin of each value (…, k), were its spread seen over so many `seeds` (…)."""
    if margin is not None:
        wanted = margin * np.abs(reference.mean(axis=0))
    else:
        wanted = DERIVED_MARGIN * _spread(reference, seeds=seeds)
    largest = np.abs(reference).max(axis=1)
    size = float(np.median(largest)) or float(largest.max()) or 1.0
    smallest: Float64 = np.maximum(wanted, rounding * size)
    return smallest


def _spread(values: Float64, *, seeds: NDArray[np.int64]) -> Float64:
    """Return the standard deviation over seeds that the data vouch for, and no outlier: (…, k).

    Or the median distance from the median, scaled to a normal deviation, where that is smaller; of either
    the lower limit of confidence 1 − ALPHA, were it of normal data, so that a margin drawn from few seeds
    is rarely above that of many. Where half of the seeds give the very same value (an accuracy over few
    samples does), the third quartile of the distances stands for their median.
    """
    from scipy.special import chdtri

    freedom = seeds - 1
    half, most = np.quantile(np.abs(values - np.median(values, axis=0)), (0.5, 0.75), axis=0)
    typical = np.where(half > 0, MEDIAN_DEVIATION * half, QUARTILE_DEVIATION * most)
    smaller = np.minimum(values.std(axis=0, ddof=1), typical)
    spread: Float64 = smaller * np.sqrt(freedom / chdtri(freedom, ALPHA))
    return spread


def _verdict(found: _Difference, margins: Float64, *, half: Float64, strict: Float64) -> Verdict:
    """Return agree if each value is within its margin by `half` an interval, differ if one is outside.

    It is outside by a `strict` interval.
    """
    if (np.abs(found.mean) + half < margins).all():
        return "agree"
    return "differ" if (np.abs(found.mean) - strict > margins).any() else "inconclusive"


def _seeds_to_decide(
    found: _Difference, counts: NDArray[np.int64], margins: Float64, worst: int, *, level: float
) -> int | None:
    """Return which of the `counts` of seeds would decide with POWER, were mean and spread what they seem.

    From n ≥ ((t(1 − α) + t(power))·deviation / |margin − |mean||)², with the margin that n seeds would
    have. Against a mean within it α is ALPHA, and the power is shared by both tests (Chow, Shao & Wang
    2008); against one beyond it α is `level`. None beyond MAX_SEEDS.
    """
    mean, deviation = abs(float(found.mean[worst])), float(found.deviation[worst])
    within = mean < margins
    power, alpha = np.where(within, 1 - (1 - POWER) / 2, POWER), np.where(within, ALPHA, level)
    freedom: Float64 = counts - np.float64(1)
    reach = (_quantile(1 - alpha, freedom) + _quantile(power, freedom)) * deviation / np.sqrt(counts)
    room = np.abs(margins - mean)
    enough = counts[(room > 0) & (reach <= room)]
    return int(enough[0]) if len(enough) else None


def _effect_size(mine: Float64, theirs: Float64) -> float | None:
    """Return Cohen's d, the difference of means in pooled standard deviations; None without spread."""
    pooled = np.sqrt((mine.var(ddof=1) + theirs.var(ddof=1)) / 2)
    return float((theirs.mean() - mine.mean()) / pooled) if pooled > 0 else None


def _quantile(probability: float | Float64, freedom: Float64) -> Float64:
    """Return the quantile of Student's t distribution at a probability."""
    from scipy.special import stdtrit

    found: Float64 = stdtrit(freedom, probability)
    return found


def tests_over_seeds(
    pairs: Pairs,
    *,
    margin: float | None,
    rounding: float,
    same_loss: bool,
    rounded: Collection[str],
) -> tuple[Equivalence, ...]:
    """Return the tests of every other side against the first, in the loss, metrics and predictions.

    Of metrics, those of the part that tells most about the model. The loss is left out unless it is the
    `same_loss` in both. Seeds that started alike are pairs; so are those of a side in `rounded`, whose
    starts are the first's in another precision and have other hashes. Empty with fewer than two seeds.
    """
    samples = {
        names: list(_samples(*(_columns(table, same_loss=same_loss) for table in tables)))
        for names, tables in pairs.items()
    }
    measures = sum(map(len, samples.values()))
    found = []
    for names, sampled in samples.items():
        mine, theirs = pairs[names]
        finished = mine.succeeded & theirs.succeeded
        starts = np.array(same_hashes(mine, theirs)[0], object)
        paired = bool(finished.any()) and (names[1] in rounded or all(starts[finished]))
        for sample in sampled:
            test = equivalence(
                replace(sample, places=_places(sample, mine), measures=measures),
                sides=names,
                paired=paired,
                margin=margin,
                rounding=rounding,
            )
            if test is not None:
                found.append(test)
    return tuple(found)


def sentences(tests: Sequence[Equivalence]) -> Iterator[str]:
    """Yield one for each other side and answer: what is the same, what differs, what needs more seeds."""
    for other in dict.fromkeys(test.other for test in tests):
        mine = [test for test in tests if test.other == other]
        over = f"Over {mine[0].seeds:,} seeds"
        if differing := [test for test in mine if test.verdict == "differ"]:
            yield f"{over} {_told(differing[0])}, which is outside the margin of ±{_margin(differing[0])}."
        if still_open := [test for test in mine if test.verdict == "inconclusive"]:
            worst = max(still_open, key=lambda test: test.seeds_to_decide or np.inf)
            enough = (
                f"about {worst.seeds_to_decide:,} seeds would decide, should mean and spread stay as they are"
                if worst.seeds_to_decide
                else "no number of seeds that can be asked for would be likely to decide"
            )
            yield (
                f"{over} {_told(worst)}, neither clearly inside nor clearly outside the margin of "
                f"±{_margin(worst)}; {enough}."
            )
        if not differing and not still_open:
            names = both([test.measure for test in mine])
            yield (
                f"{over} {mine[0].reference} and {other} give equivalent results in {names}: each 90 % "
                f"interval of the difference lies within its margin ({_margin_words(mine[0])})."
            )


def _told(test: Equivalence) -> str:
    low, high = test.interval
    measure = "prediction" if test.measure == "predictions" else test.measure
    measure += f" in {test.where}" if test.where else ""
    which = f"the {measure} of {test.other} is on average"
    size = f"{number(abs(test.difference))} {'higher' if test.difference >= 0 else 'lower'}"
    effect = "" if test.effect_size is None else f", effect size {test.effect_size:+.2g}"
    return (
        f"{which} {size} than that of {test.reference} "
        f"(90 % interval {number(low)} to {number(high)}{effect})"
    )


def _margin(test: Equivalence) -> str:
    return f"{number(test.margin)} ({_margin_words(test)})"


def _margin_words(test: Equivalence) -> str:
    if test.margin_declared:
        return "as the job declares it"
    return f"half the spread of {test.reference} over seeds"


def _samples(mine: Mapping[str, Float64], theirs: Mapping[str, Float64]) -> Iterator[Sample]:
    for measure, values in mine.items():
        other = theirs.get(measure)
        if other is None or other.shape != values.shape:
            continue
        if np.isfinite(values).any() and np.isfinite(other).any():
            yield Sample(measure=measure, reference=values, other=other)


def _places(sample: Sample, table: SeedTable) -> list[str]:
    """Return what each of several predictions is of; nothing for one, or for another measure."""
    if sample.measure != "predictions" or sample.reference.shape[1] < 2 or table.predictions is None:
        return []
    _, rows, outputs = table.predictions.shape
    of = [""] if outputs == 1 else [f", output {output + 1}" for output in range(outputs)]
    return [f"row {row + 1}{output}" for row in range(rows) for output in of]


def _columns(table: SeedTable, *, same_loss: bool) -> dict[str, Float64]:
    """Return by measure (seeds, values), with NaN for what a seed has not."""
    found: dict[str, Float64] = {}
    if same_loss:
        found["final loss"] = np.where(table.succeeded, table.final_losses, np.nan)[:, None]
    if table.outputs_of:
        for name, values in table.metrics.get(table.outputs_of, {}).items():
            found[f"{table.outputs_of} {name}"] = values[:, None]
    if table.predictions is not None:
        found["predictions"] = table.predictions.reshape(len(table.seeds), -1).astype(np.float64)
    return found
