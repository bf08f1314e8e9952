"""How far apart two trainings of one seed are, in each measure that both have. Pure.

    divergence     1 where one of the two diverged and the other did not, else 0
    predictions    root mean square of the differences between the outputs for the rows of `predict`
    outputs        the same of the outputs on the held-out samples, or on the training samples
    loss           difference between the reference's loss, averaged, of either training's outputs: one
                   formula for both, where what they minimise may be a sum here and a mean there
    <part> <name>  difference between the metrics of that part of the data

The main measure is the first of these that the job gives. Predictions stand before outputs because a
job that asks for predictions says what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.job import Loss
from shared.losses import loss_value
from shared.results.run_result import Failure, RunResult
from shared.results.seed_table import Load, SeedTable
from shared.run import Run, Samples

DIVERGENCE, PREDICTIONS, OUTPUTS, LOSS = "divergence", "predictions", "outputs", "loss"


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedValues:
    """What a seed's training gave: rows of a `SeedTable`."""

    failure: Failure | None = None
    predictions: NDArray[Any] | None = None
    outputs: NDArray[Any] | None = None
    outputs_of: str | None = None
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run, and what came of its seeds."""

    run: Run
    seeds: Mapping[int, SeedValues]

    @classmethod
    def of(cls, run: Run, result: RunResult, arrays: Load) -> Trained:
        """Return it from a result; what ended the run ended each seed."""
        table = SeedTable.of(result, run.seeds, arrays=arrays)
        outputs, predictions = table.outputs(), table.predictions
        return cls(
            run=run,
            seeds={
                seed: SeedValues(
                    failure=table.why_failed(row),
                    predictions=None if predictions is None else predictions[row],
                    outputs=None if outputs is None else outputs[row],
                    outputs_of=table.outputs_of,
                    metrics={
                        part: {name: _finite(values[row]) for name, values in named.items()}
                        for part, named in table.metrics.items()
                    },
                )
                for row, seed in enumerate(table.seeds)
                if table.returned[row] or table.failure is not None
            },
        )

    def samples(self, part: str) -> Samples | None:
        """One part of its data."""
        found: Samples | None = getattr(self.run.dataset, part)
        return found


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


Pair = tuple[Trained, Trained]
"""The reference's training and another's."""


class Ruler:
    """Measures pairs of trainings by one side's loss."""

    def __init__(self, loss: Loss, arrays: Load) -> None:
        """`arrays` gives the targets."""
        self._loss = loss.model_copy(update={"reduction": "mean"})
        self._arrays = arrays
        self._losses: dict[tuple[str, int], float | None] = {}

    def measures(self, pair: Pair, seed: int) -> list[str]:
        """The measures of a seed that both trainings finished, the main one first."""
        mine, theirs = (one.seeds[seed] for one in pair)
        found = [PREDICTIONS, OUTPUTS, LOSS]
        part = mine.outputs_of or "train"
        both = [name for name in mine.metrics.get(part, {}) if name in theirs.metrics.get(part, {})]
        found += [f"{part} {name}" for name in both]
        return [name for name in found if self.gap(name, pair, seed) is not None]

    def gap(  # noqa: PLR0911  # one return a measure
        self, measure: str, pair: Pair, seed: int
    ) -> float | None:
        """How far apart they are; None where the measure cannot be taken."""
        mine, theirs = (one.seeds.get(seed) for one in pair)
        if mine is None or theirs is None:
            return None
        if measure == DIVERGENCE:
            ends = [_diverged(one) for one in (mine, theirs)]
            return None if None in ends else float(ends[0] != ends[1])
        if mine.failure or theirs.failure:
            return None
        if measure == PREDICTIONS:
            asked = [one.run.dataset.predict for one in pair]
            return _apart(mine.predictions, theirs.predictions) if asked[0] == asked[1] else None
        if measure == OUTPUTS:
            return self._outputs(pair, mine, theirs)
        if measure == LOSS:
            return _distance(*(self._loss_of(one, seed) for one in pair))
        part, _, name = measure.partition(" ")
        return _distance(mine.metrics.get(part, {}).get(name), theirs.metrics.get(part, {}).get(name))

    def scale(self, measure: str, reference: Trained, seed: int) -> float | None:
        """The largest absolute value of what the reference gives; None for measures that need none."""
        one = reference.seeds[seed]
        array = {PREDICTIONS: one.predictions, OUTPUTS: one.outputs}.get(measure)
        return None if array is None else float(np.max(np.abs(array), initial=0.0))

    def _outputs(self, pair: Pair, mine: SeedValues, theirs: SeedValues) -> float | None:
        part = mine.outputs_of
        if part is None or part != theirs.outputs_of:
            return None
        samples = pair[0].samples(part)
        if samples is None or not samples.same_rows(pair[1].samples(part)):
            return None
        return _apart(mine.outputs, theirs.outputs)

    def _loss_of(self, one: Trained, seed: int) -> float | None:
        key = (one.run.run_id, seed)
        if key not in self._losses:
            self._losses[key] = self._measured_loss(one, one.seeds[seed])
        return self._losses[key]

    def _measured_loss(self, one: Trained, seed: SeedValues) -> float | None:
        samples = one.samples(seed.outputs_of) if seed.outputs_of else None
        if seed.outputs is None or samples is None:
            return None
        try:
            value = loss_value(self._loss, seed.outputs, self._arrays(samples.y))
        except (ValueError, IndexError):  # outputs that this loss cannot be taken of
            return None
        return value if np.isfinite(value) else None


def unit(measure: str) -> str:
    """What a gap in the measure is in."""
    if measure in (PREDICTIONS, OUTPUTS):
        return "of the reference's largest value"
    return "of the seeds" if measure == DIVERGENCE else "apart"


def _apart(mine: NDArray[Any] | None, theirs: NDArray[Any] | None) -> float | None:
    if mine is None or theirs is None or mine.shape != theirs.shape:
        return None
    differences = theirs.astype(np.float64) - mine
    largest = float(np.max(np.abs(differences), initial=0.0))
    # divided first, so that squares of large numbers stay finite
    return largest * float(np.sqrt(np.mean(np.square(differences / largest)))) if largest else 0.0


def _distance(mine: float | None, theirs: float | None) -> float | None:
    return None if mine is None or theirs is None else abs(theirs - mine)


def _diverged(one: SeedValues) -> bool | None:
    """Whether it diverged; None where it failed for another reason."""
    if one.failure is None:
        return False
    return True if one.failure.reason == "diverged" else None
