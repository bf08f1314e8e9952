"""What differs in what two paired programs compute, as findings: where, by how much, why, and the edit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from likewise.producer.display import both, gap
from likewise.producer.port.evidence import PairStep, Repeat
from likewise.producer.port.exchanged import Arrays, RecordedCall
from likewise.producer.port.models import PortFinding, RungName
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.partings import OUTPUTS, Parting, Segment, first_parting, reordered, written_over
from likewise.producer.port.refeeding import all_partings
from likewise.producer.port.settings import (
    CHANGEABLE,
    TRAINING_ONLY,
    differences,
    edit,
    told,
)
from likewise.producer.port.unrolling import repeats_of


def finite(value: float) -> float | None:
    """Return a relative difference; None where shapes differ."""
    return value if np.isfinite(value) else None


LEAD_TO = "the same calls lead to"
"""It is said where no call of a segment is seen to part."""
Placed = tuple[int, PortFinding]
"""A finding with its place in the reference's order of use (see `place_of`)."""


def of_forward(pairing: Pairing) -> list[Placed]:
    """Return each module that gives something else when fed the same, and each segment between modules, in
    the reference's order of use.
    """
    segments = _of_segments(pairing)
    repeats = repeats_of(pairing) if segments else []
    if repeats:
        segments = _of_rounds(pairing, repeats) or segments
    found = [*_of_modules(pairing), *segments, *_of_output_shapes(pairing)]
    return sorted(found, key=lambda placed: placed[0])


def _of_rounds(pairing: Pairing, repeats: Sequence[Repeat]) -> list[Placed]:
    """Return what differs with every round of loops judged by itself, by the places of the first rounds.

    Nothing where the rounds do not fit: in some of them the same calls lead to other numbers.
    """
    with pairing.unrolled(repeats):
        paths = [step.pair.reference.path for step in pairing.forced.steps]
        found = _of_segments(pairing)
    if any(LEAD_TO in one.text for _, one in found):
        return []
    steps = pairing.forced.steps
    first = {step.pair.reference.path: number for number, step in enumerate(steps)}
    return [
        (2 * (len(steps) if place // 2 == len(paths) else first[paths[place // 2]]), one)
        for place, one in found
    ]


def place_of(pairing: Pairing, path: str) -> int:
    """Return a paired module's place in the reference's order of use: odd, and that of the segment before it
    is even. What is no paired module comes last.
    """
    steps = pairing.forced.steps
    number = next(
        (number for number, step in enumerate(steps) if step.pair.reference.path == path), len(steps)
    )
    return 2 * number + 1


def shows_in_evaluation(pairing: Pairing, setting: PortFinding) -> bool:
    """Return whether modules with this setting give other numbers, or other shapes."""
    step = pairing.forced.of(setting.path)
    shaped = step is not None and step.local == np.inf and setting.setting not in TRAINING_ONLY
    return shaped or (setting.relative_difference or 0) > pairing.tolerance


def _of_output_shapes(pairing: Pairing) -> list[Placed]:
    if pairing.forced.fits:
        return []
    mine, theirs = pairing.forced.output_shapes
    finding = PortFinding(
        rung="forward",
        path="outputs",
        values=pairing.values(mine, theirs),
        text=f"the outputs have other shapes: {both([str(one) for one in mine])} in "
        f"{pairing.reference.label}, {both([str(one) for one in theirs])} in {pairing.other.label}",
    )
    return [(place_of(pairing, "outputs"), finding)]


def _of_modules(pairing: Pairing) -> list[Placed]:
    """Return the pairs whose settings do not explain that they differ."""
    found = [
        PortFinding(
            rung="forward",
            path=step.pair.reference.path,
            paths=pairing.paths(step.pair),
            lines=pairing.lines(step.pair),
            relative_difference=finite(step.local),
            text=f"fed the same, {step.pair.reference.path} of {pairing.reference.label} and "
            f"{step.pair.other.path} of {pairing.other.label} give numbers that are {gap(step.local)} "
            "apart, with the same settings",
        )
        for step in pairing.forced.steps
        if step.local > pairing.tolerance and step.fed and not _explained(pairing, step)
    ]
    return [(place_of(pairing, one.path), one) for one in found]


def _explained(pairing: Pairing, step: PairStep) -> bool:
    """Return whether a setting that could not be changed on the live module may be the cause."""
    return any(
        one.name not in (*TRAINING_ONLY, *CHANGEABLE) for one in pairing.different[step.pair.reference.path]
    )


def _of_segments(pairing: Pairing) -> list[Placed]:
    parted: list[tuple[int, float]] = []
    for number, step in enumerate(pairing.forced.steps):
        apart = step.segment
        if not step.fed and not _explained(pairing, step):  # judged with its own segment
            apart = step.local
        if apart > pairing.tolerance and not (
            _follows_another_shape(pairing, number) or _is_fed_as_before(pairing, number)
        ):
            parted.append((number, apart))
    if pairing.forced.outputs > pairing.tolerance and pairing.forced.fits:
        parted.append((len(pairing.forced.steps), pairing.forced.outputs))
    several = all_partings(pairing, [number for number, _ in parted])
    found = []
    for number, apart in parted:
        _, end = pairing.forced.segment(number)
        found += [(2 * number, of_parting(pairing, calls, apart, end)) for calls in several[number]]
    return _alike(found)


def _is_fed_as_before(pairing: Pairing, number: int) -> bool:
    """Return whether a module without calls before it is fed what one before it was fed, which differed.

    As of two convolutions of one tensor, of which the first has told already what that is.
    """
    step, before = pairing.forced.steps[number], pairing.forced.steps[:number]
    if any(call.kind.partition(".")[0] != OUTPUTS for call in (*step.before[0], *step.before[1])):
        return False
    fed = [one.given for one in before if one.segment > pairing.tolerance]
    return step.given is not None and any(one is not None and np.array_equal(one, step.given) for one in fed)


def _follows_another_shape(pairing: Pairing, number: int) -> bool:
    """Return whether a segment with the same calls comes after a module that gave another shape.

    Such a module's output cannot be replaced by the reference's, so that all behind it differs as well.
    """
    steps = pairing.forced.steps
    if all(step.local != np.inf for step in steps[:number]):
        return False
    mine, theirs = first_parting(steps[number].before, pairing.tolerance)
    return mine is theirs is None or (mine is not None and theirs is not None and mine.kind == theirs.kind)


def _alike(found: Sequence[Placed]) -> list[Placed]:
    """Tell segments once of which the same lines of both programs give something else, as in a loop."""
    groups: dict[str, list[Placed]] = {}
    for placed in found:
        text = re.sub(r" \([\w.]+\)", "", placed[1].text.partition(", ")[2])  # without the module's own path
        key = f"{text} {placed[1].lines}" if len(placed[1].lines) > 1 else placed[1].text
        groups.setdefault(key, []).append(placed)
    return [
        (place, first.model_copy(update={"also": _ends(first, [one for _, one in others])}))
        for (place, first), *others in groups.values()
    ]


def _ends(first: PortFinding, others: Sequence[PortFinding]) -> tuple[str, ...]:
    """Return before what else the same is, but for other rounds of a loop."""
    return tuple(end for end in dict.fromkeys(map(_end, others)) if end != _end(first))


def _end(one: PortFinding) -> str:
    return one.text.partition(", ")[0].removeprefix("before ")


def of_segment(
    pairing: Pairing,
    segment: Segment,
    relative: float,
    end: str,
    rung: RungName = "forward",
) -> PortFinding:
    """Return what differs first between two paired modules: a function, a pool, a missing layer."""
    calls = first_parting(segment, pairing.tolerance)
    return of_parting(pairing, calls, relative, end, rung)


def of_parting(
    pairing: Pairing,
    calls: Parting,
    relative: float,
    end: str,
    rung: RungName = "forward",
) -> PortFinding:
    """Return what two calls differ by, of a segment before what it leads to."""
    sides = (pairing.reference, pairing.other)
    seen = [
        None if call is None or call.path is None else pairing.seen[side.label].get(call.path)
        for side, call in zip(sides, calls, strict=True)
    ]
    words = ["nothing" if call is None else _called(call) for call in calls]
    after = next((one for one in pairing.mapping.pairs if one.reference.path == end), None)
    ends = (None, None) if after is None else (after.reference, after.other)
    places = [
        pairing.line_of_call(side, ending) if call is None else (made and made.line) or call.line
        for side, call, made, ending in zip(sides, calls, seen, ends, strict=True)
    ]
    settings = differences(seen[0].settings, seen[1].settings) if seen[0] and seen[1] else []
    first = calls[0]
    what = f"{sides[0].label} has {words[0]} where {sides[1].label} has {words[1]}"
    if calls == (None, None):
        step = pairing.forced.of(end)
        shaped = step is not None and not step.fed
        apart = "another shape" if shaped else f"numbers that are {gap(relative)} apart"
        what = f"{LEAD_TO} {apart}"
    elif reordered(*calls):
        what = (
            f"{words[0]} of {sides[0].label} and {words[1]} of {sides[1].label} hold the same numbers in "
            "another order"
        )
    elif (writer := written_over(*calls, pairing.forced.calls)) is not None:
        what += (
            f": {_called(writer)} of {sides[1].label} has written over its input, which is taken here again"
        )
    which = "".join(f"; {one.name} is {told(one.reference)} and {told(one.other)}" for one in settings)
    fix: dict[str, str] = {}
    if settings and seen[0] and seen[1]:
        fix = {
            sides[1].label: edit(sides[1].framework, seen[1], settings[0].name, settings[0].reference),
            sides[0].label: edit(sides[0].framework, seen[0], settings[0].name, settings[0].other),
        }
    return PortFinding(
        rung=rung,
        path=end if first is None else first.path or first.kind,
        setting=settings[0].name if settings else None,
        values=pairing.values(settings[0].reference, settings[0].other) if settings else {},
        lines={side.label: line for side, line in zip(sides, places, strict=True) if line is not None},
        relative_difference=finite(relative),
        text=f"before {end}, {what}{which}",
        fix=fix,
    )


def _called(call: RecordedCall) -> str:
    return f"{call.kind}{f' ({call.path})' if call.path else ''}{at(call.line)}"


def of_frozen(pairing: Pairing) -> list[PortFinding]:
    """Return the weights that one side trains and the other does not."""
    found = []
    for pair in pairing.mapping.pairs:
        for name in pair.shared:
            one = pair.reference.slots[name]["trainable"]
            two = pair.other.slots[pair.others(name)]["trainable"]
            if one == two:
                continue
            trains, rests = (pairing.reference, pairing.other)[:: 1 if one else -1]
            found.append(
                PortFinding(
                    rung="gradients",
                    path=f"{pair.reference.path}.{name}",
                    paths=pairing.paths(pair),
                    setting="trainable",
                    values=pairing.values(one, two),
                    lines=pairing.lines(pair),
                    text=f"{pair.reference.path}.{name} is trained in {trains.label} and frozen "
                    f"in {rests.label}",
                )
            )
    return found


def of_loss(
    pairing: Pairing,
    values: tuple[float, float],
    relative: float,
    slopes: float,
    gradients: tuple[Arrays, Arrays],
) -> PortFinding:
    """Return that the losses of the same outputs differ, or only their gradients, which are given."""
    one, two = values
    text = f"the losses are the same, but their gradients are {gap(slopes)} apart"
    if relative > pairing.tolerance:
        text = (
            f"of the same outputs the loss is {one:.6g} in {pairing.reference.label} and {two:.6g} in "
            f"{pairing.other.label}{_factor(pairing, two / one if one else float('inf'))}"
        )
    text += _left_out(pairing, gradients)
    return PortFinding(
        rung="loss",
        path="loss",
        values=pairing.values(one, two),
        lines=pairing.lines_of("loss"),
        relative_difference=finite(max(relative, slopes)),
        text=text,
    )


def _left_out(pairing: Pairing, gradients: tuple[Arrays, Arrays]) -> str:
    """Say which targets one loss leaves out and the other counts, as padding: those with no gradient."""
    sides, targets = (pairing.reference, pairing.other), pairing.batch.targets
    if targets is None or targets.dtype.kind not in "iu" or any(len(one) != 1 for one in gradients):
        return ""
    rests = [np.any(next(iter(one.values())), axis=-1) == 0 for one in gradients]
    if any(one.shape != targets.shape for one in rests):
        return ""
    for place, (leaves, counts) in enumerate((sides, sides[::-1])):
        without = targets[rests[place] & ~rests[1 - place]]
        if without.size and np.ptp(without) == 0 and rests[place][targets == without[0]].all():
            return (
                f"; {leaves.label} leaves out the targets that are {without[0]}, {without.size} of "
                f"{targets.size}, as padding, and {counts.label} counts them"
            )
    return ""


def _factor(pairing: Pairing, ratio: float) -> str:
    """Say what a ratio of two losses is, where it is a number of samples or of outputs."""
    samples, *rest = pairing.forced.output_shapes[0][0]
    a_sample = int(np.prod(rest, dtype=np.int64))
    known = {
        samples: "the number of samples",
        samples * a_sample: "the number of all outputs",
        a_sample: "the number of a sample's outputs",
    }
    for number, meaning in known.items():
        for factor, said in ((number, f"{number} times as large"), (1 / number, f"1/{number} of it")):
            if number != 1 and abs(ratio / factor - 1) < 1e-6:
                return f", {said}, {meaning}: one side sums where the other averages"
    return ""


def at(line: str | None) -> str:
    """Return where a line is, as a sentence goes on; nothing where it is not known."""
    return f" at {line}" if line else ""
