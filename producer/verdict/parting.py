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
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from likewise.producer.verdict.gathered_updates import Ends
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


@dataclass(frozen=True, kw_only=True)
class Parting:
    """It names the first tensor in which two replays differ. Step 0 is before the first update."""

    step: int
    stage: Stage
    tensor: str
    problem: str | None = None
    """Why the two tensors cannot be compared, where they cannot."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """It is what one side's replay shows."""

    side: str
    trace: Trace
    ends: Ends | None = None
    """Which batches end which updates, where the other side gathers an update's samples in other batches."""

    def batches_of(self, update: int) -> list[int]:
        """Return the steps that make an update; none of one that is not among those that ended."""
        if self.ends is None:
            return [update]
        ended = {done: step for step, done in self.ends.items()}
        return list(range(ended.get(update - 1, 0) + 1, ended.get(update, 0) + 1))


def first_parting(
    reference: Replayed, other: Replayed, *, arrays: Load, tolerance: float, change: float = CHANGE
) -> Parting | None:
    """Return the first difference between two replays of one seed; None where the observed updates have none.

    With a larger `tolerance` and `change`, that is the first place where they part by more than these.
    Where the other replay was given the reference's initial weights, a difference between their own initial
    weights is only reported if nothing that they compute differs. With `ends` steps are updates, and only
    what stands after each is compared.
    """
    names = reference.side, other.side
    one, two = (_Fingerprints(each.trace, arrays, ends=each.ends) for each in (reference, other))
    found = None
    if not _equal_in_order(one.starts[0], two.starts[0], tolerance=tolerance):
        found = _first(one.starts[0], two.starts[0], names, tolerance=tolerance)
    start = Parting(step=0, stage="forward", tensor=found[0][1], problem=found[1]) if found else None
    given = other.trace.given_start
    if start is not None and not given:
        return start
    weights = one.starts[0], (one if given else two).starts[0]
    largest: dict[tuple[Stage, str], float] = {}
    for place, step in enumerate(_common(one.steps, two.steps)):
        if place and step > one.steps[place - 1] + 1:  # updates were skipped
            weights = one.starts[1], two.starts[1]
            known = _Known(largest=largest, change=change)
            if found := _first(*weights, names, tolerance=tolerance, known=known):
                return Parting(step=step - 1, stage="update", tensor=found[0][1], problem=found[1])
        mine, theirs = one.rows[place], two.rows[place]
        for key, row in mine.items():
            largest[key] = max(largest.get(key, 0.0), float(row[LARGEST]))
        scales = _scales(mine, largest)
        known = _Known(scales=scales, before=weights, largest=largest, change=change)
        if found := _first(mine, theirs, names, tolerance=tolerance, known=known):
            return Parting(step=step, stage=found[0][0], tensor=found[0][1], problem=found[1])
        measured = _shared(one.evaluated(step), two.evaluated(step))
        if found := _first(*measured, names, tolerance=tolerance):
            return Parting(step=step, stage="evaluation", tensor=found[0][1], problem=found[1])
        weights = _weights(mine), _weights(theirs)
    return _unequal_length(one, two, names) or start


def moved_by_rounding(reference: Trace, other: Trace, parting: Parting, *, arrays: Load) -> list[str]:
    """Return the weights that rounding alone has moved apart by the time that two replays part.

    Their gradients are nothing but rounding in every update up to there, in both replays. What reads such a
    weight parts with it, though nothing is computed differently.
    """
    one, two = _Fingerprints(reference, arrays), _Fingerprints(other, arrays)
    steps = list(_common(reference.steps, other.steps))
    seen = sum(step <= parting.step for step in steps)
    largest = [_largest_values(side.rows[:seen]) for side in (one, two)]
    before = sum(step < parting.step + (parting.stage == "evaluation") for step in steps)
    tables = [(one.starts[1], two.starts[1]), *zip(one.rows[:before], two.rows[:before], strict=True)]
    found = []
    for stage, name in largest[0]:
        key = stage, name
        if not all(known.get(("backward", name)) and _is_of_nothing(known, key) for known in largest):
            continue
        here = [(one.rows[seen - 1], two.rows[seen - 1])] if name == parting.tensor else []
        pairs = ((mine.get(key), theirs.get(key)) for mine, theirs in (*tables, *here))
        if any(a is not None and b is not None and not np.array_equal(a, b) for a, b in pairs):
            found.append(name)
    return found


def _largest_values(rows: Sequence[TensorRows]) -> dict[tuple[Stage, str], float]:
    largest: dict[tuple[Stage, str], float] = {}
    for row in rows:
        for key, numbers in row.items():
            largest[key] = max(largest.get(key, 0.0), float(numbers[LARGEST]))
    return largest


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
    change: float = CHANGE


class _Fingerprints:
    """It gives a trace's fingerprints, by stage and tensor."""

    def __init__(self, trace: Trace, arrays: Load, *, ends: Ends | None = None) -> None:
        self.trace, self._ends = trace, ends
        keys = [_key(place) for place in trace.places]
        self.steps: list[int] = list(trace.steps)
        self.rows: list[TensorRows] = [dict(zip(keys, row, strict=True)) for row in arrays(trace.table)]
        if ends is not None:
            after = {
                ends[step]: row for step, row in zip(trace.steps, self.rows, strict=True) if step in ends
            }
            self.steps, self.rows = list(after), [_weights(row) for row in after.values()]
        names: list[tuple[Stage, str]] = [("update", name) for name in trace.weight_names]
        self.starts: list[TensorRows] = [dict(zip(names, rows, strict=True)) for rows in arrays(trace.starts)]
        self._evaluations = arrays(trace.evaluations) if trace.evaluations else np.zeros((0, 0))

    def evaluated(self, step: int) -> TensorRows:
        """Return what was taken in inference mode after an update."""
        ends = self._ends
        return {
            _key(place): row
            for place, row in zip(self.trace.evaluated, self._evaluations, strict=True)
            if place.step is not None and (place.step if ends is None else ends.get(place.step)) == step
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
            if key in known.before[0] and key in known.before[1]:
                before = known.before[0][key], known.before[1][key]
                if _changed_apart(before, (a, b), weight=_largest_weight(mine), change=known.change):
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
    before: tuple[Fingerprint, Fingerprint],
    after: tuple[Fingerprint, Fingerprint],
    *,
    weight: float,
    change: float,
) -> bool:
    """Return whether the changes of a weight in two updates differ by that part of them (see the module)."""
    changes = [_sums(now) - _sums(then) for then, now in zip(before, after, strict=True)]
    distance = float(np.max(np.abs(changes[0] - changes[1])))
    size = float(np.max(np.abs(changes[0]))) or float(np.max(np.abs(changes[1])))
    return bool(distance > change * size and distance > ROUNDING * weight)


def _distance(a: Fingerprint, b: Fingerprint) -> float:
    return float(np.max(np.abs(_sums(a) - _sums(b))))


def _sums(row: Fingerprint) -> Fingerprint:
    sums: Fingerprint = row[:PROJECTIONS]
    return sums


def _unequal_length(one: _Fingerprints, two: _Fingerprints, names: tuple[str, str]) -> Parting | None:
    """Return where one training ended and the other goes on; None where neither did."""
    if not one.steps or not two.steps:
        return None
    for mine, theirs, name in ((one, two, names[0]), (two, one, names[1])):
        last = mine.steps[-1]
        goes_on = theirs.steps[-1] > last or not (theirs.trace.finished or theirs.trace.ended_by)
        if (mine.trace.finished or mine.trace.ended_by) and theirs.steps[-1] >= last and goes_on:
            why = mine.trace.ended_by or f"{name} has finished, and the other trains on"
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
