"""What was known (targets) and what each side made of it (outputs), as arrays for the pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.job import Loss
from shared.job.loss import CategoricalCrossentropy, takes_logits
from shared.results.seed_table import Load, SeedTable
from shared.run import Run, Task

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The targets of one part of the data and every side's outputs for it, of one seed.

    `x` is (n, *features), standardised where the job says so; `y` as in `shared.run.Dataset`;
    `outputs` (n, outputs); `predictions` the outputs for `predict` (m, *features).
    """

    part: Part
    task: Task
    seed: int
    x: NDArray[Any]
    y: NDArray[Any]
    predict: NDArray[Any] | None
    outputs: Mapping[str, NDArray[Any]]
    predictions: Mapping[str, NDArray[Any]]
    classes: int | None
    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    standardized: bool
    class_names: tuple[str, ...] = ()
    from_logits: bool = True
    """Whether the outputs of a classification are logits, or else probabilities."""

    @property
    def is_line(self) -> bool:
        """One feature and one target: it can be drawn as a function."""
        return self.task == "regression" and self.x[0].size == 1 and self.y[0].size == 1


def truth_of(runs: Sequence[Run], tables: Mapping[str, SeedTable], arrays: Load) -> Truth | None:
    """Return the truth of the first seed that has outputs; None where there is none to show.

    Frameworks that were given other data than the first are left out.
    """
    reference = runs[0].dataset
    finished = {name: table for name, table in tables.items() if table.outputs_of is not None}
    places = np.flatnonzero(np.any([table.succeeded for table in finished.values()], axis=0))
    if not len(places):
        return None
    place = int(places[0])
    there = {name: table for name, table in finished.items() if table.succeeded[place]}
    part = next(table.outputs_of for table in there.values() if table.outputs_of)
    samples = getattr(reference, part)
    if samples is None:
        return None
    same = {run.side for run in runs if samples.same_rows(getattr(run.dataset, part))}
    shown = {name: table for name, table in there.items() if name in same and table.outputs_of == part}
    if not shown:
        return None
    outputs = {name: _row(table.outputs(), place) for name, table in shown.items()}
    predictions = {name: _row(table.predictions, place) for name, table in shown.items()}
    counted = _counted(runs[0].job.loss, arrays(samples.y))
    alike = reference.predict is not None and all(
        run.dataset.predict == reference.predict for run in runs if run.side in shown
    )
    return Truth(
        part=part,
        task=reference.task,
        seed=tables[runs[0].side].seeds[place],
        x=arrays(samples.x)[counted],
        y=arrays(samples.y)[counted],
        predict=arrays(reference.predict) if alike and reference.predict else None,
        outputs={name: values[counted] for name, values in outputs.items() if values is not None},
        predictions={name: values for name, values in predictions.items() if alike and values is not None},
        classes=reference.classes,
        feature_names=reference.feature_names,
        target_names=reference.target_names,
        standardized=runs[0].job.data.standardize,
        class_names=reference.class_names,
        from_logits=takes_logits(runs[0].job.loss),
    )


def _counted(loss: Loss, y: NDArray[Any]) -> NDArray[np.bool_]:
    """The samples whose target is known: (n,)."""
    ignored = loss.ignore_index if isinstance(loss, CategoricalCrossentropy) else None
    if ignored is None:
        return np.full(len(y), True)
    counted: NDArray[np.bool_] = y != ignored
    return counted


def _row(table: NDArray[Any] | None, place: int) -> NDArray[np.float64] | None:
    """Return one seed's numbers in float64."""
    return None if table is None else table[place].astype(np.float64)
