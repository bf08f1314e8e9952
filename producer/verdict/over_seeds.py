"""Which numbers are tested over seeds, and what the tests say in words. The tests are in `equivalence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from producer.display import both, number
from producer.verdict.equivalence import Sample, equivalence
from producer.verdict.models import Equivalence
from producer.verdict.pairs import same_hashes
from shared.results.seed_table import SeedTable

Floats = NDArray[np.float64]


def tests_over_seeds(
    tables: Mapping[str, SeedTable], *, margin: float | None, rounding: float, same_loss: bool
) -> tuple[Equivalence, ...]:
    """Return the tests of every other side against the first, in the loss, metrics and predictions.

    Of metrics, those of the part that tells most about the model. The loss is left out unless it is the
    `same_loss` in both. Seeds that started alike are pairs. Empty with fewer than two seeds.
    """
    columns = {side: _columns(table, same_loss=same_loss) for side, table in tables.items()}
    reference, *others = tables
    samples = {other: list(_samples(columns[reference], columns[other])) for other in others}
    measures = sum(map(len, samples.values()))
    found = []
    for other, sampled in samples.items():
        finished = tables[reference].succeeded & tables[other].succeeded
        starts = np.array(same_hashes(tables[reference], tables[other])[0], object)
        paired = bool(finished.any()) and all(starts[finished])
        for sample in sampled:
            test = equivalence(
                replace(sample, places=_places(sample, tables), measures=measures),
                sides=(reference, other),
                paired=paired,
                margin=margin,
                rounding=rounding,
            )
            if test is not None:
                found.append(test)
    return tuple(found)


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


def _places(sample: Sample, tables: Mapping[str, SeedTable]) -> list[str]:
    """Return what each of several predictions is of; nothing for one, or for another measure."""
    if sample.measure != "predictions" or sample.reference.shape[1] < 2:
        return []
    predicted = (table.predictions for table in tables.values())
    _, rows, outputs = next(values.shape for values in predicted if values is not None)
    of = [""] if outputs == 1 else [f", output {output + 1}" for output in range(outputs)]
    return [f"row {row + 1}{output}" for row in range(rows) for output in of]


def _columns(table: SeedTable, *, same_loss: bool) -> dict[str, Floats]:
    """Return by measure (seeds, values), with NaN for what a seed has not."""
    found: dict[str, Floats] = {}
    if same_loss:
        found["final loss"] = np.where(table.succeeded, table.final_losses, np.nan)[:, None]
    if table.outputs_of:
        for name, values in table.metrics.get(table.outputs_of, {}).items():
            found[f"{table.outputs_of} {name}"] = values[:, None]
    if table.predictions is not None:
        found["predictions"] = table.predictions.reshape(len(table.seeds), -1).astype(np.float64)
    return found
