"""Which task a loss declares, and targets in the form that task trains on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import Floats, Loaded
from likewise.producer.data.memory import stretches
from likewise.producer.display import printable
from likewise.shared.errors import DataError
from likewise.shared.job.experiment import Precision
from likewise.shared.job.loss import Loss, ignored_class, takes_probabilities, takes_signs

MAX_CLASSES = 100_000


def targets(loaded: Loaded, loss: Loss) -> NDArray[Any]:
    """Return y as in `shared.run.Dataset`; raise DataError naming the first target that does not fit.

    A target that the loss ignores fits any classes, but cannot be said by a one-hot row.
    """
    y = loaded.y
    if y.ndim != 2 or y.shape[1] == 0:
        raise DataError(
            f"{loaded.y_place}: has the shape {y.shape}; targets are (samples,) or (samples, targets)"
        )
    if loss.task == "binary":
        return _binary(y, loaded, loss)
    if loss.task == "multiclass":
        return _classes(y, loaded, ignored_class(loss))
    return y if y.dtype.kind == "f" else y.astype(np.float64)


def check_finite(loaded: Loaded, precision: Precision) -> None:
    """Refuse NaN, infinity and what would become infinite in the run's precision; raises DataError."""
    for values, place, names in (
        (loaded.x, loaded.x_place, loaded.feature_names),
        (loaded.y, loaded.y_place, loaded.target_names),
    ):
        if values.dtype.kind in "iu":  # the largest is below what any precision holds
            continue
        for stretch, some in stretches(values):
            with np.errstate(invalid="ignore"):
                bad = ~(np.abs(some) <= np.finfo(precision).max)
            if not bad.any():
                continue
            row, *position = (int(i) for i in np.argwhere(bad)[0])
            index = (stretch.start + row, *position)
            value = values[index]
            what = (
                "is NaN"
                if np.isnan(value)
                else "is infinite"
                if np.isinf(value)
                else f"is too large for {precision}"
            )
            hint = "; use precision: float64" if np.isfinite(value) else ""
            raise DataError(f"{place}: {_where(loaded, index, names)}: {value:g} {what}{hint}")


def sample_weights(loaded: Loaded) -> Floats | None:
    """Return the samples' weights, 0 or more each; raise DataError naming the first that is not."""
    if loaded.weights is None:
        return None
    wrong = np.flatnonzero(~(np.isfinite(loaded.weights) & (loaded.weights >= 0)))
    if len(wrong):
        first = int(wrong[0])
        raise DataError(
            f"{loaded.weights_place}: {loaded.row(first)} is {loaded.weights[first]:g}; "
            "sample weights are numbers of 0 or more"
        )
    return loaded.weights


def _binary(y: NDArray[Any], loaded: Loaded, loss: Loss) -> NDArray[Any]:
    if len(loaded.class_names) > 2:
        raise DataError(
            f"{loaded.y_place}: has {len(loaded.class_names)} classes ({_some(loaded.class_names)}), and "
            f"{loss.type} takes two; use loss: categorical_crossentropy with an output a class"
        )
    if takes_signs(loss) and (y == -1).any():
        _each_in(y, [-1.0, 1.0], loaded, f"−1 and 1, or 0 and 1, with {loss.type}")
        return y.astype(np.int8)
    if takes_probabilities(loss) and not np.isin(y, (0, 1)).all():
        _probabilities(y, loaded, loss)
        return y.astype(np.float64)
    _each_in(y, [0.0, 1.0], loaded, f"0 or 1 with {loss.type}")
    return y.astype(np.uint8)


def _probabilities(y: NDArray[Any], loaded: Loaded, loss: Loss) -> None:
    """Refuse targets that are no probability."""
    _refuse(~((y >= 0) & (y <= 1)), y, loaded, f"0 or 1, or between them, with {loss.type}")


def _classes(y: NDArray[Any], loaded: Loaded, ignore_index: int | None) -> NDArray[np.integer[Any]]:
    if y.shape[1] > 1:
        return _one_hot(y, loaded)
    numbers = y[:, 0]
    out = (numbers != np.floor(numbers)) | (numbers < 0) | (numbers >= MAX_CLASSES)
    wrong = np.flatnonzero(out if ignore_index is None else out & (numbers != ignore_index))
    if len(wrong):
        hint = "" if ignore_index is None else f", or loss.ignore_index ({ignore_index})"
        raise DataError(
            f"{loaded.y_place}: {loaded.row(int(wrong[0]))} is {numbers[wrong[0]]:g}; class numbers "
            f"are whole numbers from 0 to {MAX_CLASSES - 1}{hint}"
        )
    if ignore_index is not None and (numbers == ignore_index).all():
        raise DataError(
            f"{loaded.y_place}: every target is loss.ignore_index, {ignore_index}; there is nothing to learn"
        )
    return _smallest(numbers)


def _smallest(classes: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Return class numbers in the narrowest dtype that holds all of them."""
    least, most = int(classes.min()), int(classes.max())
    known = (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64)
    fitting = (dtype for dtype in known if np.iinfo(dtype).min <= least and most <= np.iinfo(dtype).max)
    return classes.astype(next(fitting))


def _one_hot(y: NDArray[Any], loaded: Loaded) -> NDArray[np.integer[Any]]:
    _each_in(y, [0.0, 1.0], loaded, "0 or 1 in one-hot rows of classes")
    wrong = np.flatnonzero(y.sum(axis=1) != 1)
    if len(wrong):
        raise DataError(
            f"{loaded.y_place}: {loaded.row(int(wrong[0]))} has {y[wrong[0]].sum():g} ones; "
            "a one-hot row has a single 1"
        )
    return _smallest(y.argmax(axis=1))


def _each_in(y: NDArray[Any], allowed: list[float], loaded: Loaded, expected: str) -> None:
    _refuse(~np.isin(y, allowed), y, loaded, expected)


def _refuse(wrong: NDArray[np.bool_], y: NDArray[Any], loaded: Loaded, expected: str) -> None:
    """Raise DataError with the first target that is wrong, if any is."""
    places = np.argwhere(wrong)
    if len(places):
        index = tuple(int(i) for i in places[0])
        raise DataError(
            f"{loaded.y_place}: {_where(loaded, index, loaded.target_names)} is {y[index]:g}; "
            f"targets are {expected}"
        )


def _where(loaded: Loaded, index: tuple[int, ...], names: tuple[str, ...]) -> str:
    row = loaded.row(index[0])
    if len(index) == 2 and index[1] < len(names):
        return f"{row}, column {printable(names[index[1]])}"
    if len(index) == 2 and index[1]:
        return f"{row}, column {index[1] + 1}"
    return f"{row}, position {', '.join(map(str, index[1:]))}" if len(index) > 2 else row


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(printable(name) for name in names[:5]) + (", …" if len(names) > 5 else "")
