"""Where two traced replays part: the first step, stage and tensor. Pure.

`first_parting` reads fingerprints alone. Two tensors part where their fingerprints differ by more than the
tolerance times a scale. That is the reference tensor's largest value, but at least

    loss, backward   the largest value since the first update: losses and gradients shrink as training goes
                     on, while their rounding does not
    backward         VANISHING times the largest gradient: a gradient may be nothing but rounding, as that
                     of a bias before a batch normalization
    update           VANISHING times the largest weight

A change is small beside its weight, so weights part, too, where their changes in the update differ by more
than CHANGE of the change's size and ROUNDING of the largest weight. Neither counts up to AMPLIFIED of the
largest weight where the gradient is less than NOTHING of the largest, since Adam and its kin divide by its
size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import number
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import LARGEST, PROJECTIONS, SIZE, Stage, StepTensor, Trace

CHANGE = 1e-8
"""Part of a change's size by which two changes may differ through rounding alone."""
ROUNDING = 1e-12
"""Part of the largest weight by which they may: float64 rounds at 1e-16 of it, a thousand steps at 1e-13."""
NOTHING = 1e-9
"""Part of the largest gradient below which a gradient in float64 is nothing but rounding."""
AMPLIFIED = 1e-8
"""Part of the largest weight by which weights may differ that an optimizer moves by such a gradient."""
VANISHING = 1e-4
"""Part of the largest gradient below which a gradient may consist of the rounding of terms that cancel."""

STAGES: tuple[Stage, ...] = get_args(Stage)
_SHRINKING = ("loss", "backward")
Fingerprint = NDArray[np.float64]
TensorRows = dict[tuple[Stage, str], Fingerprint]
Array = NDArray[Any]
RELATED = 1e-6
"""Part of the largest element by which related arrays may differ; float32 arrays of one origin are nearer."""
_GATES = (4, 3)
"""An lstm's kernels have four blocks on the last axis, a gru's three."""


@dataclass(frozen=True, kw_only=True)
class Parting:
    """It names the first tensor in which two replays differ. Step 0 is before the first update."""

    step: int
    stage: Stage
    tensor: str
    problem: str | None = None
    """Why the two tensors cannot be compared, where they cannot."""


def first_parting(
    reference: Trace, other: Trace, *, names: tuple[str, str], arrays: Load, tolerance: float
) -> Parting | None:
    """Return the first difference between two replays of one seed; None where the observed updates have none.

    Where the other replay was given the reference's initial weights, a difference between their own initial
    weights is only reported if nothing that they compute differs.
    """
    one, two = _Fingerprints(reference, arrays), _Fingerprints(other, arrays)
    found = None
    if not _equal_in_order(one.starts[0], two.starts[0], tolerance=tolerance):
        found = _first(one.starts[0], two.starts[0], names, tolerance=tolerance)
    start = Parting(step=0, stage="forward", tensor=found[0][1], problem=found[1]) if found else None
    if start is not None and not other.given_start:
        return start
    weights = one.starts[0], (one if other.given_start else two).starts[0]
    largest: dict[tuple[Stage, str], float] = {}
    for place, step in enumerate(_common(reference.steps, other.steps)):
        if place and step > reference.steps[place - 1] + 1:  # updates were skipped
            weights = one.starts[1], two.starts[1]
            known = _Known(largest=largest)
            if found := _first(*weights, names, tolerance=tolerance, known=known):
                return Parting(step=step - 1, stage="update", tensor=found[0][1], problem=found[1])
        mine, theirs = one.rows[place], two.rows[place]
        for key, row in mine.items():
            largest[key] = max(largest.get(key, 0.0), float(row[LARGEST]))
        scales = _scales(mine, largest)
        known = _Known(scales=scales, before=weights, largest=largest)
        if found := _first(mine, theirs, names, tolerance=tolerance, known=known):
            return Parting(step=step, stage=found[0][0], tensor=found[0][1], problem=found[1])
        measured = _shared(one.evaluated(step), two.evaluated(step))
        if found := _first(*measured, names, tolerance=tolerance):
            return Parting(step=step, stage="evaluation", tensor=found[0][1], problem=found[1])
        weights = _weights(mine), _weights(theirs)
    return _unequal_length(reference, other, names) or start


def _scales(mine: TensorRows, largest: Mapping[tuple[Stage, str], float]) -> dict[tuple[Stage, str], float]:
    """Return the least scale of each tensor's difference (see the module)."""
    gradient = max((value for key, value in largest.items() if key[0] == "backward"), default=0.0)
    weight = _largest_weight(mine)
    scales = {key: value for key, value in largest.items() if key[0] in _SHRINKING}
    for key in mine:
        if key[0] == "backward":
            scales[key] = max(scales[key], VANISHING * gradient)
        elif key[0] == "update":
            scales[key] = VANISHING * weight
    return scales


def _largest_weight(rows: TensorRows) -> float:
    return max((float(row[LARGEST]) for key, row in rows.items() if key[0] == "update"), default=0.0)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known beside two tensors: least scales, the weights before, the largest values so far."""

    scales: Mapping[tuple[Stage, str], float] = field(default_factory=dict)
    before: tuple[TensorRows, TensorRows] = ({}, {})
    largest: Mapping[tuple[Stage, str], float] = field(default_factory=dict)


class _Fingerprints:
    """It gives a trace's fingerprints, by stage and tensor."""

    def __init__(self, trace: Trace, arrays: Load) -> None:
        self._trace = trace
        keys = [_key(place) for place in trace.places]
        self.rows: list[TensorRows] = [dict(zip(keys, row, strict=True)) for row in arrays(trace.table)]
        names: list[tuple[Stage, str]] = [("update", name) for name in trace.weight_names]
        self.starts: list[TensorRows] = [dict(zip(names, rows, strict=True)) for rows in arrays(trace.starts)]
        self._evaluations = arrays(trace.evaluations) if trace.evaluations else np.zeros((0, 0))

    def evaluated(self, step: int) -> TensorRows:
        """Return what was taken in inference mode after an update."""
        return {
            _key(place): row
            for place, row in zip(self._trace.evaluated, self._evaluations, strict=True)
            if place.step == step
        }


def _key(place: StepTensor) -> tuple[Stage, str]:
    return place.stage, place.tensor


def _common(one: Sequence[int], two: Sequence[int]) -> Iterator[int]:
    """Yield the steps that both observed, up to the first that is not the same."""
    for mine, theirs in zip(one, two, strict=False):
        if mine != theirs:
            return
        yield mine


def _shared(one: TensorRows, two: TensorRows) -> tuple[TensorRows, TensorRows]:
    """Return the rows that both have: a metric that only one job declares says nothing."""
    return {key: one[key] for key in one if key in two}, {key: two[key] for key in two if key in one}


def _weights(rows: TensorRows) -> TensorRows:
    return {key: row for key, row in rows.items() if key[0] == "update"}


def _first(
    mine: TensorRows,
    theirs: TensorRows,
    names: tuple[str, str],
    *,
    tolerance: float,
    known: _Known = _Known(),
) -> tuple[tuple[Stage, str], str | None] | None:
    """Return the first tensor that differs, by the order of stages, and why if it cannot be compared."""
    for stage in STAGES:
        keys = dict.fromkeys(key for rows in (mine, theirs) for key in rows if key[0] == stage)
        for key in keys:
            if key not in mine or key not in theirs:
                return key, f"only {names[0] if key in mine else names[1]} has it"
            a, b = mine[key], theirs[key]
            if a[SIZE] != b[SIZE]:
                return key, f"they are {a[SIZE]:,.0f} in {names[0]} and {b[SIZE]:,.0f} in {names[1]}"
            if _is_of_nothing(known.largest, key) and _distance(a, b) <= AMPLIFIED * _largest_weight(mine):
                continue
            if _apart(a, b, tolerance=tolerance, scale=known.scales.get(key, 0.0)):
                return key, None
            if (
                key in known.before[0]
                and key in known.before[1]
                and _changed_apart(
                    (known.before[0][key], known.before[1][key]), (a, b), weight=_largest_weight(mine)
                )
            ):
                return key, None
    return None


def _equal_in_order(mine: TensorRows, theirs: TensorRows, *, tolerance: float) -> bool:
    """Return whether weights are the same in order, by whatever names: a layer more moves the places."""
    rows = list(zip(mine.values(), theirs.values(), strict=False))
    return len(mine) == len(theirs) and not any(
        a[SIZE] != b[SIZE] or _apart(a, b, tolerance=tolerance, scale=0.0) for a, b in rows
    )


def _is_of_nothing(largest: Mapping[tuple[Stage, str], float], key: tuple[Stage, str]) -> bool:
    """Return whether this is a weight after an update whose gradients were nothing but rounding."""
    stage, weight = key
    gradient = largest.get(("backward", weight))
    if stage != "update" or gradient is None:
        return False
    return gradient <= NOTHING * max(value for (one, _), value in largest.items() if one == "backward")


def _apart(a: Fingerprint, b: Fingerprint, *, tolerance: float, scale: float) -> bool:
    if np.array_equal(a, b, equal_nan=True):
        return False
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return True
    return bool(_distance(a, b) > tolerance * (max(a[LARGEST], scale) or b[LARGEST]))


def _changed_apart(
    before: tuple[Fingerprint, Fingerprint], after: tuple[Fingerprint, Fingerprint], *, weight: float
) -> bool:
    """Return whether the changes of a weight in two updates differ by more than rounding (see the module)."""
    changes = [_sums(now) - _sums(then) for then, now in zip(before, after, strict=True)]
    distance = float(np.max(np.abs(changes[0] - changes[1])))
    size = float(np.max(np.abs(changes[0]))) or float(np.max(np.abs(changes[1])))
    return bool(distance > CHANGE * size and distance > ROUNDING * weight)


def _distance(a: Fingerprint, b: Fingerprint) -> float:
    return float(np.max(np.abs(_sums(a) - _sums(b))))


def _sums(row: Fingerprint) -> Fingerprint:
    sums: Fingerprint = row[:PROJECTIONS]
    return sums


def _unequal_length(reference: Trace, other: Trace, names: tuple[str, str]) -> Parting | None:
    """Return where one training ended and the other goes on; None where neither did."""
    if not reference.steps or not other.steps:
        return None
    for mine, theirs, name in ((reference, other, names[0]), (other, reference, names[1])):
        last = mine.steps[-1]
        goes_on = theirs.steps[-1] > last or not (theirs.finished or theirs.ended_by)
        if (mine.finished or mine.ended_by) and theirs.steps[-1] >= last and goes_on:
            why = mine.ended_by or f"{name} has finished, and the other trains on"
            return Parting(step=last + 1, stage="data", tensor="indices", problem=why)
    return None


def layers_apart(
    reference: Mapping[str, Any], refed: Mapping[str, Any], *, arrays: Load, tolerance: float
) -> list[str]:
    """Return the layers that differ by themselves: from equal weights and inputs they give other outputs."""
    found = []
    for path, ref in refed.items():
        if path in reference:
            a, b = arrays(reference[path]), arrays(ref)
            if a.shape != b.shape or largest_gap(a, b).relative > tolerance:
                found.append(path)
    return found


@dataclass(frozen=True, kw_only=True)
class Largest:
    """It says where two tensors of one shape lie furthest apart."""

    relative: float
    index: tuple[int, ...]
    values: tuple[float, float]


def largest_gap(a: NDArray[Any], b: NDArray[Any]) -> Largest:
    """Return the largest |a − b| of non-empty arrays, relative to the largest |a| (|b| where a is zero)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    with np.errstate(all="ignore"):
        apart = np.where(a == b, 0.0, np.abs(a - b))
    apart = np.nan_to_num(apart, nan=np.inf)
    index = tuple(int(place) for place in np.unravel_index(int(np.argmax(apart)), apart.shape))
    scale = _finite_largest(a) or _finite_largest(b)
    relative = float(apart[index]) / scale if scale else float(apart[index] > 0)
    return Largest(relative=relative, index=index, values=(float(a[index]), float(b[index])))


def _finite_largest(array: NDArray[Any]) -> float:
    return float(np.max(np.abs(array[np.isfinite(array)]), initial=0.0))


def relation(mine: Array, theirs: Array) -> str | None:
    """Return the rest of "the other's is the reference's …"; None where they are equal or nothing fits.

    Arrays are of one tensor, in Keras's layouts. A relation is told only where it holds for every element, to
    RELATED; arrays that any permutation would leave alike (all zeros, one number) have none.
    """
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    if mine.size != theirs.size or mine.size < 2 or _same(mine, theirs):
        return None
    return next((said for said, made in _made_of(mine) if _same(made, theirs)), None) or _scaled(mine, theirs)


def ratio(mine: Array, theirs: Array) -> float | None:
    """Return the one number that `theirs` is times `mine`; None where there is none.

    At the first step a gradient of a sum is that of a mean times the elements of the batch.
    """
    if mine.shape != theirs.shape or not np.any(mine):
        return None
    mine, theirs = np.asarray(mine, np.float64), np.asarray(theirs, np.float64)
    factor = float((mine * theirs).sum() / np.square(mine).sum())
    return factor if factor and _same(factor * mine, theirs) else None


def _made_of(mine: Array) -> Iterator[tuple[str, Array]]:
    """Arrays that mistakes make of one, each with its words."""
    if mine.ndim == 2:
        yield "transposed: inputs and outputs have changed places", mine.T
    if mine.ndim > 2:
        for axes in permutations(range(mine.ndim)):
            yield f"with its axes in the order {axes}: another layout of kernels", mine.transpose(axes)
        window = tuple(range(mine.ndim - 2))
        yield "turned round: a convolution where the other correlates", np.flip(mine, window)
    if mine.ndim in (1, 2):
        yield from _gates(mine)
    if mine.ndim == 2:
        yield from _flattened(mine)
    yield "with the opposite sign", -mine
    yield "in reversed order", np.flip(mine, 0)


def _gates(mine: Array) -> Iterator[tuple[str, Array]]:
    """Yield the blocks of the last axis in other orders."""
    for blocks in _GATES:
        if mine.shape[-1] % blocks:
            continue
        parts = np.split(mine, blocks, axis=-1)
        for order in permutations(range(blocks)):
            if order != tuple(range(blocks)):
                shown = ", ".join(str(place + 1) for place in order)
                yield (
                    f"with its {blocks} gates in the order {shown}: the sides order them differently",
                    np.concatenate([parts[place] for place in order], axis=-1),
                )


def _flattened(mine: Array) -> Iterator[tuple[str, Array]]:
    """Yield the rows as they stand when what was flattened had its channels first, or last."""
    rows = len(mine)
    for channels in range(2, rows // 2 + 1):
        if rows % channels == 0:
            places = mine.reshape(rows // channels, channels, -1)
            yield (
                f"with its rows in the order of {channels} channels first: the flatten before it goes "
                "another way",
                places.transpose(1, 0, 2).reshape(rows, -1),
            )


def _scaled(mine: Array, theirs: Array) -> str | None:
    factor = ratio(mine, theirs) if mine.shape == theirs.shape else None
    return None if factor is None else f"times {number(factor)}"


def _same(one: Array, other: Array) -> bool:
    scale = float(np.max(np.abs(one)))
    return one.shape == other.shape and scale > 0 and bool(np.all(np.abs(one - other) <= RELATED * scale))
