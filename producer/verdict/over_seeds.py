"""Which numbers are tested over seeds, and what the tests say in words. The tests are in `equivalence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from producer.display import both, number
from producer.verdict.equivalence import Sample, equivalence
from producer.verdict.gaps import Load
from producer.verdict.models import Equivalence, SeedGaps, SeedRun, SideRuns
from producer.verdict.seed_table import SeedTable
from shared.result import RunResult

Floats = NDArray[np.float64]


def tests_over_seeds(  # noqa: PLR0913 - all that is tested, and how
    runs: Sequence[SideRuns],
    seed_gaps: Sequence[SeedGaps],
    *,
    predictions: Mapping[str, Floats],
    margin: float | None,
    rounding: float,
    same_loss: bool,
) -> tuple[Equivalence, ...]:
    """Every other side against the first, in the final loss, each metric and the predictions.

    Of metrics, those of the part that tells most about the model. The loss is left out unless it is the
    `same_loss` in both. `predictions` are by side (seeds, rows, outputs), with NaN for what a seed
    has not. Seeds that started alike are pairs. Empty with fewer than two seeds.
    """
    columns = {run.side: _columns(run.seeds, same_loss=same_loss) for run in runs}
    for side, values in predictions.items():
        columns[side]["predictions"] = values.reshape(len(values), -1)
    reference, *others = runs
    samples = {other.side: list(_samples(columns[reference.side], columns[other.side])) for other in others}
    measures = sum(map(len, samples.values()))
    found = []
    for other, measured in samples.items():
        gaps = [one for one in seed_gaps if one.other == other]
        paired = bool(gaps) and all(one.same_initial_weights for one in gaps)
        for sample in measured:
            test = equivalence(
                replace(sample, places=_places(sample, predictions), measures=measures),
                sides=(reference.side, other),
                paired=paired,
                margin=margin,
                rounding=rounding,
            )
            if test is not None:
                found.append(test)
    return tuple(found)


def predictions_by_seed(
    results: Mapping[str, RunResult], tables: Mapping[str, SeedTable], seeds: Sequence[int], *, arrays: Load
) -> dict[str, Floats]:
    """By side (seeds, rows, outputs), NaN for a seed without; empty where no rows were asked for."""
    found: dict[str, Floats] = {}
    for side, result in results.items():
        if side in tables:
            stacked = tables[side].predictions
        else:
            refs = {one.seed: one.predictions for one in result.seeds}
            known = {seed: arrays(ref) for seed, ref in refs.items() if ref is not None}
            nothing = np.full(next((one.shape for one in known.values()), ()), np.nan)
            stacked = np.stack([known.get(seed, nothing) for seed in seeds]) if known else None
        if stacked is not None:
            found[side] = stacked.astype(np.float64)
    return found


def sentences(tests: Sequence[Equivalence]) -> Iterator[str]:
    """One for each other side and answer: what is the same, what differs, what needs more seeds."""
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


def _samples(mine: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> Iterator[Sample]:
    for measure, values in mine.items():
        other = theirs.get(measure)
        if other is None or other.shape != values.shape:
            continue
        if np.isfinite(values).any() and np.isfinite(other).any():
            yield Sample(measure=measure, reference=values, other=other)


def _places(sample: Sample, predictions: Mapping[str, Floats]) -> list[str]:
    """What each of several predictions is of; nothing for one, or for another measure."""
    if sample.measure != "predictions" or sample.reference.shape[1] < 2:
        return []
    _, rows, outputs = next(values.shape for values in predictions.values())
    of = [""] if outputs == 1 else [f", output {output + 1}" for output in range(outputs)]
    return [f"row {row + 1}{output}" for row in range(rows) for output in of]


def _columns(seeds: Sequence[SeedRun], *, same_loss: bool) -> dict[str, Floats]:
    """By measure (seeds, values), with NaN for what a seed has not."""
    found: dict[str, Floats] = {}
    if same_loss:
        ended = [one.final_loss if one.status == "succeeded" else None for one in seeds]
        found["final loss"] = _column(ended)
    part = next((one.outputs_of for one in seeds if one.outputs_of), None)
    if part:
        for name in dict.fromkeys(name for one in seeds for name in one.metrics.get(part, {})):
            found[f"{part} {name}"] = _column([one.metrics.get(part, {}).get(name) for one in seeds])
    return found


def _column(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], np.float64)[:, None]
