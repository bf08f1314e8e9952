"""How far two trainings' numbers lie apart. Every gap is finite and never negative.

A gap is relative to the reference's scale; where that is zero, to the other's, so that a gap is 0
only for equal numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.models import Gap, Measure
from shared.arrays import ArrayRef
from shared.result import SeedResult

Load = Callable[[ArrayRef], NDArray[Any]]


def seed_gaps(reference: SeedResult, other: SeedResult, *, arrays: Load) -> tuple[Gap, ...]:
    """The gaps of two trainings of one seed; a measure that neither has is left out."""
    found = (
        _loss_gap(reference.losses, other.losses),
        _array_gap("predictions", reference.predictions, other.predictions, arrays=arrays),
        _outputs_gap(reference, other, arrays=arrays),
        _weights_gap(reference.weights, other.weights, arrays=arrays),
    )
    return tuple(gap for gap in found if gap is not None)


def bitwise_equal(reference: SeedResult, other: SeedResult) -> bool:
    """Whether predictions, outputs and weights are the same bytes; false where there are none."""
    mine = (reference.predictions, reference.outputs, reference.weights)
    theirs = (other.predictions, other.outputs, other.weights)
    return any(mine) and mine == theirs


def _loss_gap(reference: Sequence[float], other: Sequence[float]) -> Gap | None:
    epochs = min(len(reference), len(other))
    if not reference and not other:
        return None
    if not epochs:
        return _incomparable("losses", "one of them has none")
    a, b = np.array(reference[:epochs]), np.array(other[:epochs])
    apart = _distances(a, b)
    worst = int(np.argmax(apart))
    scale = abs(a[0]) or np.max(np.abs(a)) or np.max(np.abs(b))
    return Gap(
        measure="losses",
        relative=_ratio(apart[worst], scale),
        absolute=float(apart[worst]),
        where=f"epoch {worst + 1}" if apart[worst] else None,
    )


def _outputs_gap(reference: SeedResult, other: SeedResult, *, arrays: Load) -> Gap | None:
    if reference.outputs and other.outputs and reference.outputs_of != other.outputs_of:
        return _incomparable(
            "outputs", f"they are of the {reference.outputs_of} and of the {other.outputs_of} part"
        )
    return _array_gap("outputs", reference.outputs, other.outputs, arrays=arrays)


def _array_gap(
    measure: Measure, reference: ArrayRef | None, other: ArrayRef | None, *, arrays: Load
) -> Gap | None:
    if reference is None and other is None:
        return None
    if reference is None or other is None:
        return _incomparable(measure, "one of them has none")
    if reference.shape != other.shape:
        return _incomparable(measure, f"shapes {_shape(reference)} and {_shape(other)}")
    if reference == other:
        return Gap(measure=measure, relative=0.0, absolute=0.0)
    a, b = arrays(reference), arrays(other)
    if not a.size:
        return Gap(measure=measure, relative=0.0, absolute=0.0)
    apart = _distances(a, b)
    worst = int(np.argmax(apart))
    row = int(np.unravel_index(worst, apart.shape)[0]) if apart.ndim else 0
    return Gap(
        measure=measure,
        relative=_ratio(apart.flat[worst], _largest(a) or _largest(b)),
        absolute=float(apart.flat[worst]),
        where=f"row {row + 1}" if apart.flat[worst] else None,
    )


def _weights_gap(
    reference: Mapping[str, ArrayRef], other: Mapping[str, ArrayRef], *, arrays: Load
) -> Gap | None:
    if not reference and not other:
        return None
    if odd := sorted(set(reference) ^ set(other)):
        return _incomparable("weights", f"only one of them has {odd[0]}")
    for name, ref in reference.items():
        if ref.shape != other[name].shape:
            return _incomparable("weights", f"{name} has the shapes {_shape(ref)} and {_shape(other[name])}")
    if all(ref == other[name] for name, ref in reference.items()):
        return Gap(measure="weights", relative=0.0, absolute=0.0)
    mine = {name: arrays(ref) for name, ref in reference.items()}
    theirs = {name: arrays(other[name]) for name in reference}
    apart = {name: float(np.max(_distances(mine[name], theirs[name]), initial=0.0)) for name in mine}
    worst = max(apart, key=lambda name: apart[name])
    scale = max(map(_largest, mine.values())) or max(map(_largest, theirs.values()))
    return Gap(
        measure="weights",
        relative=_ratio(apart[worst], scale),
        absolute=apart[worst],
        where=worst if apart[worst] else None,
    )


def _distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """|a − b| in float64; a number that is not finite on one side only is as far as can be."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    return np.nan_to_num(apart, nan=sys.float_info.max, posinf=sys.float_info.max)


def _largest(array: NDArray[Any]) -> float:
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    return float(np.max(finite, initial=0.0))


def _ratio(distance: Any, scale: Any) -> float:
    if not distance:
        return 0.0
    with np.errstate(all="ignore"):
        ratio = np.float64(distance) / np.float64(scale)
    return float(np.nan_to_num(ratio, nan=sys.float_info.max, posinf=sys.float_info.max))


def _incomparable(measure: Measure, problem: str) -> Gap:
    return Gap(measure=measure, relative=None, absolute=None, problem=problem)


def _shape(ref: ArrayRef) -> str:
    return "×".join(map(str, ref.shape)) or "scalar"
