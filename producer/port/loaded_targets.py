"""What differs between the targets of two loaders: the coding of classes, or the numbers."""

from __future__ import annotations

import numpy as np

from likewise.producer.port.exchanged import relative_difference
from likewise.producer.port.loaded import (
    SAME,
    Array,
    LoaderComparison,
    fitted_channels,
    tell_scale,
    tell_values,
)


def compare_targets(
    told: LoaderComparison, name: str, one: Array, two: Array, labels: tuple[str, str]
) -> None:
    """Add what differs between the targets of the same samples; another coding of them is a note."""
    codes = [_code(array) for array in (one, two)]
    if codes[0][0] != codes[1][0]:
        told.notes.append(
            f"{name} is {codes[0][0]} in {labels[0]} and {codes[1][0]} in {labels[1]}; compared as numbers "
            "of classes"
        )
    left, right = codes[0][1], codes[1][1]
    if left.shape == right.shape and relative_difference(left.astype(float), right.astype(float)) <= SAME:
        return
    if left.shape != right.shape:
        told.found(
            f"data.{name}", "shape", f"{name} is {one.shape} in {labels[0]} and {two.shape} in {labels[1]}"
        )
        return
    if left.dtype.kind in "iu" and right.dtype.kind in "iu":
        _tell_classes(told, name, left, right, labels)
        return
    fitted = fitted_channels(
        left.astype(float).reshape(len(left), -1), right.astype(float).reshape(len(right), -1)
    )
    if fitted is not None:
        tell_scale(told, name, fitted[1], fitted[2], labels)
        return
    tell_values(told, name, left.astype(float), right.astype(float), labels)


def _code(array: Array) -> tuple[str, Array]:
    """Return how targets are coded, and the numbers that they stand for."""
    if array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if (
        array.ndim == 2
        and array.shape[1] > 1
        and set(np.unique(array)) <= {0, 1}
        and np.all(array.sum(axis=1) == 1)
    ):
        return "one column a class", array.argmax(axis=1)
    if array.dtype.kind == "f" and np.all(array == np.round(array)) and array.ndim == 1:
        return "numbers of classes", array.astype(np.int64)
    return ("numbers of classes" if array.dtype.kind in "iub" else "numbers"), array


def _tell_classes(told: LoaderComparison, name: str, one: Array, two: Array, labels: tuple[str, str]) -> None:
    shift = int(two.flat[0]) - int(one.flat[0])
    if np.array_equal(one + shift, two):
        told.found(
            f"data.{name}",
            "label_coding",
            f"classes are numbered from {int(one.min())} in {labels[0]} and from {int(two.min())} in "
            f"{labels[1]}",
            values=(int(one.min()), int(two.min())),
            fix=f"add {-shift} to {name}",
        )
        return
    pairs = {(int(a), int(b)) for a, b in zip(one.ravel(), two.ravel(), strict=True)}
    if len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
        listed = ", ".join(f"{a} is {b}" for a, b in sorted(pairs)[:6])
        told.found(
            f"data.{name}",
            "label_coding",
            f"classes have other numbers in {labels[1]}: {listed}",
            values=([a for a, _ in sorted(pairs)], [b for _, b in sorted(pairs)]),
            fix=f"number the classes of {name} as the reference does",
        )
        return
    wrong = float(np.mean(one != two))
    told.found(f"data.{name}", "values", f"{100 * wrong:.0f} % of {name} are other classes", apart=wrong)
