"""What was known (targets) and what each side made of it (outputs): for pictures and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.producer.classifying import predicted_classes
from likewise.shared.job import Loss
from likewise.shared.job.loss import Task, ignored_class, takes_logits
from likewise.shared.results.seed_table import Load, SeedTable, in_own_units
from likewise.shared.run import Run

Part = Literal["train", "validation", "test"]
MOST_CLASSES = 20
"""Above this a table says nothing that can be read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """The truth is the targets of one part of the data, with every side's outputs for it, of one seed.

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
        """Return whether it can be drawn as a function, of one feature and one target."""
        return self.task == "regression" and self.x[0].size == 1 and self.y[0].size == 1


def truth_of(runs: Sequence[Run], tables: Mapping[str, SeedTable], arrays: Load) -> Truth | None:
    """Return the truth of the first seed that has outputs; None where there is none to show.

    Sides that were given other data than the first are left out. Of several outputs none is shown yet.
    """
    if runs[0].job.model.outputs is not None:
        return None
    reference, loss = runs[0].dataset, runs[0].job.only_loss
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
    counted = _counted(loss, arrays(samples.y))
    scaling = reference.target_scaling
    alike = reference.predict is not None and all(
        run.dataset.predict == reference.predict for run in runs if run.side in shown
    )
    return Truth(
        part=part,
        task=reference.task,
        seed=tables[runs[0].side].seeds[place],
        x=arrays(samples.x)[counted],
        y=in_own_units(arrays(samples.y)[counted], scaling),
        predict=arrays(reference.predict) if alike and reference.predict else None,
        outputs={
            name: in_own_units(values[counted], scaling)
            for name, values in outputs.items()
            if values is not None
        },
        predictions={
            name: in_own_units(values, scaling)
            for name, values in predictions.items()
            if alike and values is not None
        },
        classes=reference.classes,
        feature_names=reference.feature_names,
        target_names=reference.target_names,
        standardized=bool(runs[0].job.data.standardize),
        class_names=reference.class_names,
        from_logits=takes_logits(loss),
    )


def _counted(loss: Loss, y: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the samples whose target is known: (n,)."""
    ignored = ignored_class(loss)
    if ignored is None:
        return np.full(len(y), True)
    counted: NDArray[np.bool_] = y != ignored
    return counted


def _row(table: NDArray[Any] | None, place: int) -> NDArray[np.float64] | None:
    """Return one seed's numbers in float64."""
    return None if table is None else table[place].astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """A matrix counts how often each class was taken for each: `counts[true][predicted]`."""

    side: str
    series: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    right: int
    total: int


def confusions(truth: Truth, sides: Sequence[str]) -> list[Confusion]:
    """Return one matrix a side, in order."""
    known = np.maximum(truth.y.reshape(-1).astype(np.int64), 0)  # a hinge's targets may be −1 and 1
    classes = truth.classes or 2
    matrices = []
    for series, name in enumerate(sides):
        if name not in truth.outputs:
            continue
        guessed = predicted_classes(truth.outputs[name], from_logits=truth.from_logits)
        counts = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(counts, (known, guessed), 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        matrices.append(
            Confusion(
                side=name,
                series=series,
                classes=_names(truth, classes),
                counts=tuple(tuple(map(int, row)) for row in counts),
                shares=tuple(tuple(round(float(one), 3) for one in row) for row in shares),
                right=int(np.trace(counts)),
                total=len(known),
            )
        )
    return matrices


def _names(truth: Truth, classes: int) -> tuple[str, ...]:
    """Return the classes' own names, or their numbers."""
    numbers = tuple(map(str, range(classes)))
    return truth.class_names + numbers[len(truth.class_names) :]


def disagreements(truth: Truth) -> int:
    """Return how many samples not all sides put into the same class."""
    return int(np.sum(_parted(truth)))


def differing(truth: Truth, most: int) -> list[int]:
    """Return the places of the first samples that not all sides put into the same class."""
    return [int(place) for place in np.flatnonzero(_parted(truth))[:most]]


def _parted(truth: Truth) -> NDArray[np.bool_]:
    guessed = np.array(
        [predicted_classes(outputs, from_logits=truth.from_logits) for outputs in truth.outputs.values()]
    )
    parted: NDArray[np.bool_] = np.any(guessed != guessed[0], axis=0)
    return parted


@dataclass(frozen=True, kw_only=True)
class LineFit:
    """It is the line of least squares through known points, y = slope · x + intercept."""

    slope: float
    intercept: float
    exact: bool
    """Whether the points lie on it but for rounding."""


def line_through(truth: Truth) -> LineFit | None:
    """Return the line of least squares through the known points; None where it is no single-valued line."""
    if not truth.is_line or truth.standardized or len(truth.x) < 2:
        return None
    x, y = truth.x.reshape(-1).astype(np.float64), truth.y.reshape(-1).astype(np.float64)
    if np.ptp(x) == 0:
        return None
    slope, intercept = (round(float(value), 12) + 0.0 for value in np.polyfit(x, y, 1))
    left = np.max(np.abs(slope * x + intercept - y))
    return LineFit(slope=slope, intercept=intercept, exact=bool(left <= 1e-9 * max(1.0, np.max(np.abs(y)))))
