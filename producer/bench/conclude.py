"""From timed runs to the Bench: rows, ranking. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence

from producer.bench.models import Bench, Peak, Phase, Place, Row, Throughput, Timed, Variant
from producer.bench.statistics import median_interval, outliers, paired_ratio
from producer.bench.warnings import warnings
from producer.display import both
from producer.verdict.models import Comparison

PHASES: tuple[Phase, ...] = ("queue", "import", "build", "compile", "step", "train", "inference", "run")
_ONCE: frozenset[Phase] = frozenset({"import", "compile"})
"""Phases that a warm worker does not go through again: taken from the first run."""


def conclude(
    comparison: Comparison,
    *,
    first: Mapping[Variant, Timed],
    timed: Mapping[Variant, Sequence[Timed]],
    missing: Sequence[str],
    precision: float,
) -> Bench:
    """All that a bench says.

    `first` has each variant's first run, which warms up and compiles, `timed` those after it in the order
    they ran, `missing` a sentence for each variant that could not be timed.
    """
    places, withheld = _ranking(comparison, timed)
    return Bench(
        experiment_id=comparison.experiment_id,
        name=comparison.name,
        verdict=comparison.verdict,
        rows=tuple(row for variant in timed for row in _rows(variant, first[variant], timed[variant])),
        throughput=tuple(_throughputs(timed)),
        peak_bytes=tuple(_peak(variant, first[variant], runs) for variant, runs in timed.items()),
        ranking=places,
        ranking_withheld_because=withheld,
        warnings=(*missing, *warnings(first, timed, precision=precision)),
        rounds=max((len(runs) // 2 for runs in timed.values()), default=0),
        hosts=tuple(sorted({one.environment.host for runs in timed.values() for one in runs})),
        environments={variant.label: one.environment for variant, one in first.items()},
    )


def _rows(variant: Variant, first: Timed, runs: Sequence[Timed]) -> Iterator[Row]:
    for phase in PHASES:
        of = [first] if phase in _ONCE else runs
        samples = [one.phases[phase] for one in of if phase in one.phases]
        if samples:
            yield Row(
                framework=variant.framework,
                variant=variant.execution,
                phase=phase,
                median_s=statistics.median(samples),
                interval_s=median_interval(samples),
                samples=tuple(samples),
                outliers=outliers(samples),
            )


def _throughputs(timed: Mapping[Variant, Sequence[Timed]]) -> Iterator[Throughput]:
    for variant, runs in timed.items():
        known = [one.samples_per_s for one in runs if one.samples_per_s is not None]
        if known:
            yield Throughput(
                framework=variant.framework,
                variant=variant.execution,
                samples_per_s=statistics.median(known),
            )


def _peak(variant: Variant, first: Timed, runs: Sequence[Timed]) -> Peak:
    def largest(samples: Iterable[int | None]) -> int | None:
        return max((one for one in samples if one is not None), default=None)

    return Peak(
        framework=variant.framework,
        variant=variant.execution,
        process_bytes=largest(one.peak_bytes for one in (first, *runs)),
        grown_bytes=first.grown_bytes,
        device_bytes=largest(one.device_peak_bytes for one in (first, *runs)),
    )


def _ranking(
    comparison: Comparison, timed: Mapping[Variant, Sequence[Timed]]
) -> tuple[tuple[Place, ...] | None, str | None]:
    """The variants from the fastest on, or why none is named."""
    withheld = _withheld(comparison, timed)
    if withheld:
        return None, withheld
    seconds = {variant: [one.phases["run"] for one in runs] for variant, runs in timed.items()}
    ordered = sorted(seconds, key=lambda variant: statistics.median(seconds[variant]))
    return tuple(_place(variant, seconds[variant], seconds[ordered[0]]) for variant in ordered), None


def _place(variant: Variant, mine: Sequence[float], fastest: Sequence[float]) -> Place:
    ratio, interval = paired_ratio(mine, fastest)
    return Place(
        framework=variant.framework,
        variant=variant.execution,
        median_s=statistics.median(mine),
        ratio=ratio,
        ratio_interval=interval,
        slower=interval is not None and interval[0] > 1,
    )


def _withheld(comparison: Comparison, timed: Mapping[Variant, Sequence[Timed]]) -> str | None:
    if comparison.failed:
        return f"a training failed, so nothing was timed: {comparison.reasons[0]}"
    if len(comparison.sides) < 2:
        return f"only {comparison.sides[0]} was asked for"
    if comparison.verdict != "agree":
        known = (
            "the frameworks do not" if comparison.verdict == "differ" else "it is open whether the frameworks"
        )
        return f"{known} compute the same, and a faster one may simply do less: {comparison.reasons[0]}"
    if len({variant.framework for variant in timed}) < 2:
        return "fewer than two frameworks could be timed"
    environments = [one.environment for runs in timed.values() for one in runs]
    for what, values in (
        ("hosts", {one.host for one in environments}),
        ("devices", {one.device for one in environments}),
    ):
        if len(values) > 1:
            return f"they ran on different {what}: {both(sorted(values))}"
    return None
