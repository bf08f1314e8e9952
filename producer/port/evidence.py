"""What one forced forward pass shows: of each pair, what its segment and what it itself adds to the gap.

The other program runs with the reference's tensors put in place of every paired module's input and output. So
each module, and each segment of calls between modules, is judged by itself, whatever went wrong before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import Arrays, RecordedCall, relative_difference
from likewise.producer.port.forms import OutputForms, fit, forms_of
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.mapping import OWN, Pair, WeightMapping
from likewise.producer.port.partings import OUTPUTS, Segment, calls_alone
from likewise.shared.port.wire import nth_call


@dataclass(frozen=True)
class PairStep:
    """What one pair's call came to."""

    pair: Pair
    segment: float
    """How far apart what enters is, after all before it was the reference's."""
    local: float
    """How far apart what leaves is, for the reference's input."""
    before: tuple[tuple[RecordedCall, ...], tuple[RecordedCall, ...]]
    """The calls of either side since the paired module before."""
    entered: NDArray[Any] | None
    """What enters on the other side."""
    fed: bool = True
    """Whether the reference's input could be put in place of that: it has the same shape."""
    given: NDArray[Any] | None = None
    """What enters in the reference."""


@dataclass(frozen=True, eq=False)
class Repeat:
    """A later call of a module that both programs call as often, by the places in either's pass."""

    pair: Pair
    mine: int
    theirs: int


@dataclass(frozen=True)
class Refed:
    """What replaces more of a pass than what enters and leaves the first call of each module."""

    calls: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    """What leaves calls of the other program, by their numbers in the pass."""
    repeats: Sequence[Repeat] = ()
    """Later calls of modules, before which segments are judged, too."""


@dataclass(frozen=True)
class ForcedPass:
    """A forced pass: the steps, and what the outputs came to."""

    steps: tuple[PairStep, ...]
    forms: OutputForms
    """How the other side's outputs are the reference's."""
    outputs: float
    """How far apart they are in that form."""
    output_shapes: tuple[list[tuple[int, ...]], list[tuple[int, ...]]]
    """The shapes of either side's outputs."""
    after: tuple[tuple[RecordedCall, ...], tuple[RecordedCall, ...]]
    """The calls of either side since the last paired module."""
    fits: bool
    """Whether the outputs have the same shapes, in some form."""
    calls: tuple[RecordedCall, ...] = ()
    """All calls of the other side."""

    def of(self, path: str) -> PairStep | None:
        """Return the step of one of the reference's modules."""
        return next((step for step in self.steps if step.pair.reference.path == path), None)

    def segment(self, number: int) -> tuple[Segment, str]:
        """Return the calls before the module of a step, and its path; behind the last, before the outputs."""
        if number == len(self.steps):
            return self.after, "the outputs"
        return self.steps[number].before, self.steps[number].pair.reference.path

    def misfits(self, tolerance: float) -> tuple[int, int]:
        """Return how many segments give something else, and how many calls in them have no counterpart.

        The segment from the last paired module to the outputs is one of them.
        """
        failing = [step.before for step in self.steps if step.segment > tolerance]
        failing += [self.after] if self.outputs > tolerance else []
        return len(failing), sum(len(calls_alone(segment, tolerance)[0]) for segment in failing)


def follows(
    passes: tuple[ForcedPass, ForcedPass],
    calls: tuple[Sequence[RecordedCall], Sequence[RecordedCall]],
    tolerance: float,
) -> bool | None:
    """Return whether a change of weights moves the other program as it moves the reference.

    Both are given without the change and with it: the other's passes, and the reference's calls, which were
    forced. What is compared is the first thing that moves in the reference. None means that nothing moves
    there, or that it moves in the other, too, but otherwise.
    """
    places = [first_calls(several) for several in calls]
    for one, two in zip(*(several.steps for several in passes), strict=True):
        path = one.pair.reference.path
        if any(path not in place for place in places) or one.entered is None or two.entered is None:
            continue
        mine = [several[place[path]].entered for several, place in zip(calls, places, strict=True)]
        if mine[0] is not None and mine[1] is not None:
            apart = relative_difference(mine[0], mine[1])
            if apart > tolerance:
                return _moves(one.entered, two.entered, same=two.segment <= tolerance, tolerance=tolerance)
    outputs = [outputs_of(several) for several in calls]
    theirs = [outputs_of(several.calls) for several in passes]
    if all(relative_difference(outputs[0][name], outputs[1][name]) <= tolerance for name in outputs[0]):
        return None
    rests = all(np.array_equal(theirs[0][name], theirs[1][name]) for name in theirs[0])
    return False if rests else passes[1].outputs <= tolerance or None


def moves_alone(
    passes: tuple[ForcedPass, ForcedPass], calls: tuple[Sequence[RecordedCall], Sequence[RecordedCall]]
) -> bool:
    """Return whether a change of weights moves the other program and nothing in the reference (see
    `follows`).
    """
    return not _moves_what_is_used(*calls) and _moves_what_is_used(*(several.calls for several in passes))


def _moves_what_is_used(before: Sequence[RecordedCall], after: Sequence[RecordedCall]) -> bool:
    """Return whether what enters modules, or an output, is another after a change."""
    for one, two in zip(before, after, strict=False):
        if one.path is not None and one.entered is not None and two.entered is not None:
            if not np.array_equal(one.entered, two.entered):
                return True
        elif one.kind.partition(".")[0] == OUTPUTS and not np.array_equal(one.left, two.left):
            return True
    return False


def _moves(before: NDArray[Any], after: NDArray[Any], *, same: bool, tolerance: float) -> bool | None:
    if same:
        return True
    return False if relative_difference(before, after) <= tolerance else None


def outputs_of(calls: Sequence[RecordedCall]) -> Arrays:
    """Return a forward pass's outputs by name."""
    return {
        call.kind.removeprefix(OUTPUTS).removeprefix("."): call.left
        for call in calls
        if call.path is None and call.kind.partition(".")[0] == OUTPUTS
    }


def first_calls(calls: Sequence[RecordedCall]) -> dict[str, int]:
    """Return the place of each module's first call."""
    found: dict[str, int] = {}
    for place, call in enumerate(calls):
        if call.path is not None:
            found.setdefault(call.path, place)
    return found


def forces(mapping: WeightMapping, reference: Sequence[RecordedCall]) -> dict[str, tuple[Any, Any]]:
    """Return what replaces the inputs and outputs of the other side's modules."""
    places = first_calls(reference)
    found = {}
    for pair in mapping.pairs:
        if pair.reference.path in places:
            call = reference[places[pair.reference.path]]
            entered = None if call.entered is None else pair.entering(call.entered)
            found[pair.other.path] = (entered, call.left)
    return found


def forced_pass(
    other: Hosted,
    inputs: Arrays,
    mapping: WeightMapping,
    reference: Sequence[RecordedCall],
    *,
    training: bool = False,
    refed: Refed | None = None,
) -> ForcedPass:
    """Run the other program on the reference's tensors, in evaluation or training, and judge each pair.

    What leaves some more of its calls is replaced, too: `refed`.
    """
    refed = refed or Refed()
    more = {nth_call(number): (None, array) for number, array in refed.calls.items()}
    force = {**forces(mapping, reference), **more}
    calls = other.forward(inputs, force, training=training, drops=training)
    here, there = first_calls(reference), first_calls(calls)
    at_work = [pair for pair in mapping.pairs if pair.reference.path in here and pair.other.path in there]
    anchors = {pair.reference.path for pair in at_work}
    others = {pair.other.path for pair in at_work}
    mine = {pair.reference.path: pair.other.path for pair in at_work}
    theirs = {pair.other.path: pair.reference.path for pair in at_work}
    # What a module gives that is not seen at work in both is no difference, but where one writes out what the
    # other has as a layer; a table of positions may be numbers of the program's own.
    unseen = {
        one.path
        for pair in mapping.pairs
        for one in (pair.reference, pair.other)
        if OWN not in (pair.reference.kind, pair.other.kind) or one.kind == "embedding"
    }
    unseen -= anchors | others
    steps = []
    visits = [Repeat(pair, here[pair.reference.path], there[pair.other.path]) for pair in at_work]
    if refed.repeats:
        visits = sorted([*visits, *refed.repeats], key=lambda one: one.mine)
    for visit in visits:
        pair, places = visit.pair, (visit.mine, visit.theirs)
        if places[1] >= len(calls):
            continue
        one, two = reference[places[0]], calls[places[1]]
        segment = 0.0
        # Of other shapes, as where one side pads in a call before, the module is judged with its own segment.
        if one.entered is not None and two.entered is not None and one.entered.shape == two.entered.shape:
            segment = relative_difference(pair.entering(one.entered), two.entered)
        # Siblings that one program runs together may stand apart in the other, with calls between them.
        beside = _siblings(calls, places[1], others), _siblings(reference, places[0], anchors)
        skipped = {theirs[path] for path in beside[0]}, {mine[path] for path in beside[1]}
        before = (
            _since(reference, places[0], anchors, skipped[0], unseen),
            _since(calls, places[1], others, skipped[1], unseen),
        )
        fed = one.entered is None or two.entered is None or _is_fed(pair, one.entered, two.entered)
        local = 0.0 if visit in refed.repeats else _leaving_apart(*_kept_by_both(pair, one.left, two.left))
        steps.append(PairStep(pair, segment, local, before, two.entered, fed, one.entered))
    after = (
        _since(reference, len(reference), anchors, frozenset(), unseen),
        _since(calls, len(calls), others, frozenset(), unseen),
    )
    returned = outputs_of(reference), outputs_of(calls)
    forms, outputs = forms_of(*returned)
    shapes = [one.shape for one in returned[0].values()], [one.shape for one in returned[1].values()]
    return ForcedPass(tuple(steps), forms, outputs, shapes, after, fit(*returned), tuple(calls))


def _is_fed(pair: Pair, one: NDArray[Any], two: NDArray[Any]) -> bool:
    """Return whether one input can replace another: but for axes of one it has its shape, or, of two modules
    that work on other shapes, as many numbers.
    """
    shapes = [[size for size in array.shape if size != 1] for array in (one, two)]
    return shapes[0] == shapes[1] or (bool(pair.renamed) and one.size == two.size)


def _kept_by_both(pair: Pair, one: NDArray[Any], two: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return of two outputs of other shapes what both modules keep, where one leaves cuts to a later call."""
    cuts = [np.array(seen.settings.get("crop", ())) for seen in (pair.reference, pair.other)]
    if one.shape == two.shape or not all(cut.size for cut in cuts):
        return one, two
    common = np.maximum(cuts[0], cuts[1])
    kept = []
    for left, cut in zip((one, two), cuts, strict=True):
        sizes = zip(common - cut, left.shape[1:], strict=False)
        kept.append(left[(slice(None), *(slice(before, size - after) for (before, after), size in sizes))])
    return kept[0], kept[1]


def _leaving_apart(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Return how far apart two modules' outputs are; a last step is compared with the last of a sequence."""
    if one.size == two.size and one.ndim != two.ndim:  # a dense layer, and a convolution of one point
        two = two.reshape(one.shape)
    elif one.ndim == two.ndim - 1:
        two = two[0] if _is_of_every_sample(one, two) else two[:, -1]
    elif two.ndim == one.ndim - 1:
        one = one[0] if _is_of_every_sample(two, one) else one[:, -1]
    return relative_difference(one, two)


def _is_of_every_sample(one: NDArray[Any], several: NDArray[Any]) -> bool:
    """Return whether one array has the shape of a sample, and all samples are the same: positions, once
    looked up for all samples and once for each.
    """
    return several.shape[1:] == one.shape and bool(
        np.array_equal(several, np.broadcast_to(several[:1], several.shape))
    )


def _since(
    calls: Sequence[RecordedCall], place: int, anchors: set[str], skipped: Set[str], hidden: Set[str]
) -> tuple[RecordedCall, ...]:
    """Return the calls since the last paired module, or since the first of those that are skipped,
    without those of hidden modules.
    """
    begin, left = place, set(skipped)
    while begin and (calls[begin - 1].path not in anchors or calls[begin - 1].path in left):
        path = calls[begin - 1].path
        if path in left and len(left) == 1:
            break
        left.discard(path or "")
        begin -= 1
    return tuple(call for call in calls[begin:place] if call.path not in anchors and call.path not in hidden)


def _siblings(calls: Sequence[RecordedCall], place: int, anchors: set[str]) -> list[str]:
    """Return the paired modules that run together, fed the same, as the last ones before a call."""
    begin = place
    while begin and calls[begin - 1].path not in anchors:
        begin -= 1
    found: list[str] = []
    fed: NDArray[Any] = np.empty(0)
    for call in reversed(calls[:begin]):
        if call.path is None or call.path not in anchors or call.entered is None:
            break
        if found and not np.array_equal(call.entered, fed):
            break
        fed = call.entered
        found.append(call.path)
    return found if len(found) > 1 else []
