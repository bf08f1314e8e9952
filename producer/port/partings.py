"""Where the calls of two programs part: which give the same numbers, in whatever order, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import RecordedCall, relative_difference

OUTPUTS = "outputs"
_MOST_COMPARED = 2_000_000
_LOOKED_BACK = 8
"""A call that writes over a tensor is compared with so many calls before it."""
_WRITTEN = 1e-5
_ACTIVATIONS = (
    *("relu", "relu6", "re_lu", "leaky_relu", "leaky_re_lu", "prelu", "elu", "selu", "gelu", "silu", "swish"),
    *("tanh", "sigmoid", "softmax", "log_softmax", "softplus", "softsign", "mish", "hard_sigmoid", "glu"),
    *("hard_silu", "hard_swish", "hardswish", "hardsigmoid", "hardtanh", "log_sigmoid", "logsigmoid"),
)
"""Calls that are one family; those that pool are another."""
_CONSTANTS = ("arange", "range", "linspace", "eye", "tri", "ones", "zeros", "full", "fill", "one_hot")
"""Calls that make numbers without an input: what is made otherwise shows in what it is used for."""

Segment = tuple[Sequence[RecordedCall], Sequence[RecordedCall]]
"""The calls of either side between two paired modules."""
Parting = tuple[RecordedCall | None, RecordedCall | None]
"""The calls of either side that part first; None where one has none there."""


def first_parting(segment: Segment, tolerance: float) -> Parting:
    """Return the first call of the reference whose tensor no call of the other side has, and its
    counterpart; where none but moved numbers is left, the first that has the same in another order.
    """
    here, there = calls_alone(segment, tolerance)
    made = any(two.kind in _CONSTANTS for two in there)  # or the other program writes its numbers otherwise
    changed = [
        one
        for one in here
        if not _repeats(one, segment[0], tolerance) and (made or one.kind not in _CONSTANTS)
    ]
    first = next(iter(changed if there else here), None)
    if first is None:  # what only moves numbers is not what changes them
        changing = next((two for two in there if two.kind not in _REARRANGING), None)
        if changing is not None:
            return None, changing
        return next(
            ((one, two) for one in segment[0] for two in segment[1] if reordered(one, two, tolerance)),
            (None, next(iter(there), None)),
        )
    return _with_counterpart(first, changed, here, there)


def _with_counterpart(
    first: RecordedCall,
    changed: Sequence[RecordedCall],
    here: Sequence[RecordedCall],
    there: Sequence[RecordedCall],
) -> Parting:
    """Return a call of the reference, or one that comes later, with what the other side has in its place."""
    twin, whole = _twin(first, changed, there), next(iter(there), None)
    kin = next((two for two in there if _is_kin_in_a_loop(first, two)), None)
    if kin is not None and (twin is None or there.index(kin) < there.index(twin)):
        return first, kin
    if twin is not None or whole is None:
        return first, twin
    if _does(first) == _does(whole):  # of another size, as behind a module that gave another shape
        return first, whole
    if _does(whole) in map(_does, _after(first, here)):  # the other goes on with what comes later here
        return first, None
    # What one program writes out step by step, the other may have as one.
    pairs = ((one, same_size_twin(one, there)) for one in changed)
    return next(((one, two) for one, two in pairs if two is not None), (first, whole))


def _twin(
    first: RecordedCall, changed: Sequence[RecordedCall], there: Sequence[RecordedCall]
) -> RecordedCall | None:
    """Return the call in place of the reference's first: of its family, where both sides have as many."""
    if family(first) is not None:
        kin = [[one for one in calls if family(one) == family(first)] for calls in (changed, there)]
        if len(kin[0]) == len(kin[1]) and kin[0][0] is first and kin[1][0].left.size == first.left.size:
            return kin[1][0]
    return same_size_twin(first, there)


def _does(call: RecordedCall) -> str:
    """Return what a call does, by whatever name: to average over an axis is to pool."""
    return "pool" if call.kind == "mean" else family(call) or call.kind


def _after(one: RecordedCall, calls: Sequence[RecordedCall]) -> Sequence[RecordedCall]:
    return calls[next(place for place, call in enumerate(calls) if call is one) + 1 :]


def same_size_twin(one: RecordedCall, calls: Sequence[RecordedCall]) -> RecordedCall | None:
    """Return the call whose numbers come nearest to those of another one, of as many."""
    same = [two for two in calls if two.left.size == one.left.size]
    return min(same, key=lambda two: _numbers_apart(one.left, _within(one.left, two.left)), default=None)


def _within(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor with infinities, such as a mask's, as the extremes of another one."""
    return two if not one.size or np.isfinite(two).all() else np.clip(two, one.min(), one.max())


def family(call: RecordedCall) -> str | None:
    """Return what a call and others that may stand in its place are."""
    if call.kind in _ACTIVATIONS:
        return "activation"
    return "pool" if "pool" in call.kind else None


def _is_kin_in_a_loop(first: RecordedCall, two: RecordedCall) -> bool:
    """Return whether a call may be another's for a part of the numbers, as in a loop over steps."""
    part = two.left.size < first.left.size and first.left.size % two.left.size == 0
    return part and family(first) is not None and family(first) == family(two)


def _repeats(one: RecordedCall, calls: Sequence[RecordedCall], tolerance: float) -> bool:
    """Return whether a call gives what the one before it does, as a dropout does in evaluation."""
    place = next(place for place, call in enumerate(calls) if call is one)
    return place > 0 and _alike(one, calls[place - 1], tolerance)


_REARRANGING = (
    *("reshape", "view", "flatten", "unflatten", "transpose", "permute", "movedim", "squeeze", "unsqueeze"),
    *("expand", "getitem", "chunk", "split", "contiguous", "mT", "T", "swapaxes"),
)
"""Functions that leave all numbers as they are."""


def reordered(one: RecordedCall | None, two: RecordedCall | None, tolerance: float = 1e-6) -> bool:
    """Return whether two calls give the same numbers in orders that no exchange of axes explains."""
    if one is None or two is None or OUTPUTS in (one.kind.partition(".")[0], two.kind.partition(".")[0]):
        return False
    if sorted(one.left.shape) != sorted(two.left.shape) or not _alike(one, two, tolerance):
        return False
    return not any(
        relative_difference(one.left.transpose(axes), two.left) <= tolerance
        for axes in permutations(range(one.left.ndim))
    )


def written_over(
    first: RecordedCall | None, twin: RecordedCall | None, calls: Sequence[RecordedCall]
) -> RecordedCall | None:
    """Return the call that explains what two calls differ by: it wrote over a tensor of the other program,
    so that the later one took what it had made of it in place of the tensor itself.
    """
    if first is None or twin is None:
        return None
    apart = [mine - twin.left for mine in _lying(first.left) if mine.shape == twin.left.shape]
    for place, call in enumerate(calls):
        if not call.in_place:
            continue
        for before in reversed(calls[max(0, place - _LOOKED_BACK) : place]):
            changes = [one - call.left for one in _lying(before.left) if one.shape == call.left.shape]
            if any(
                one.shape == two.shape and np.any(one) and relative_difference(one, two) <= _WRITTEN
                for one in apart
                for two in changes
            ):
                return call
    return None


def _lying(array: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an array as it is, and with its channels first."""
    return [array, np.moveaxis(array, -1, 1)] if array.ndim > 2 else [array]


def calls_alone(segment: Segment, tolerance: float) -> tuple[list[RecordedCall], list[RecordedCall]]:
    """Return the calls of either side whose tensor no call of the other has, in whatever order of its
    axes.
    """
    here, there = ([call for call in calls if call.kind.partition(".")[0] != OUTPUTS] for calls in segment)
    alone = []
    for one in here:
        found = next((two for two in there if _alike(one, two, tolerance)), None)
        if found is None:
            alone.append(one)
        else:
            there.remove(found)
    return alone, there


def gives_the_same(one: RecordedCall, calls: Sequence[RecordedCall], tolerance: float) -> bool:
    """Return whether some call gives the numbers of another one, in whatever order."""
    return any(_alike(one, two, tolerance) for two in calls)


def _alike(one: RecordedCall, two: RecordedCall, tolerance: float) -> bool:
    return one.left.size == two.left.size and _numbers_apart(one.left, two.left) <= tolerance


def _numbers_apart(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Return how far apart the numbers of two tensors of one size are, in whatever order."""
    first, second = one.ravel(), two.ravel()
    if first.size > _MOST_COMPARED:
        first, second = _moments(first), _moments(second)
    else:
        first, second = np.sort(first), np.sort(second)
    return relative_difference(first, second)


def _moments(array: NDArray[Any]) -> NDArray[Any]:
    return np.array([array.sum(), np.abs(array).sum(), np.square(array).sum(), array.max(), array.min()])
