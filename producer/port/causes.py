"""What differs between two programs that are paired, as findings: where, by how much, why, and the edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from likewise.producer.display import both, gap
from likewise.producer.port.evidence import OUTPUTS, PairStep, first_parting, reordered, written_over
from likewise.producer.port.hosted import RecordedCall
from likewise.producer.port.mapping import Pair
from likewise.producer.port.models import PortFinding, RungName
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.settings import (
    CHANGEABLE,
    TRAINING_ONLY,
    Difference,
    differences,
    edit,
    of_weights,
    optimizer_differences,
    optimizer_edit,
    told,
)


def finite(value: float) -> float | None:
    """Return a relative difference; None where shapes differ."""
    return value if np.isfinite(value) else None


# ---- settings


def of_settings(pairing: Pairing) -> list[PortFinding]:
    """Return the settings of paired modules and of the optimizers that differ; equal ones are told once."""
    found = [
        _of_setting(pairing, step, one)
        for step in pairing.forced.steps
        for one in pairing.different[step.pair.reference.path]
    ]
    return [*together(found), *_of_optimizers(pairing)]


def _of_setting(pairing: Pairing, step: PairStep, one: Difference) -> PortFinding:
    pair, reference, other = step.pair, pairing.reference, pairing.other
    effect = "on this batch it changes nothing"
    if one.name in TRAINING_ONLY:
        effect = "only training shows it"
    elif one.name == "num_heads":
        effect = "it changes what attention makes of the projections"
    elif step.local == np.inf:
        effect = "what leaves has another shape"
    elif step.local > pairing.tolerance:
        effect = f"it changes what leaves by {gap(step.local)}"
    if one.name == "use_bias":
        having = pair.reference if one.reference else pair.other
        effect += f"; {having.path}.bias has no counterpart{_before_norm(pairing, pair)}"
    return PortFinding(
        rung="settings",
        path=pair.reference.path,
        paths=pairing.paths(pair),
        setting=one.name,
        values=pairing.values(one.reference, one.other),
        lines=pairing.lines(pair),
        relative_difference=None if one.name in TRAINING_ONLY else finite(step.local),
        text=f"{one.name} of {pair.reference.path} is {told(one.reference)} in {reference.label} and "
        f"{told(one.other)} in {other.label}; {effect}",
        fix={
            other.label: edit(other.framework, pair.other, one.name, one.reference)
            + _at(pairing.line(other, pair.other)),
            reference.label: edit(reference.framework, pair.reference, one.name, one.other)
            + _at(pairing.line(reference, pair.reference)),
        },
    )


def _before_norm(pairing: Pairing, pair: Pair) -> str:
    """Say what a bias means that a batch norm follows, which takes its mean away."""
    pairs = pairing.mapping.pairs
    place = next(number for number, one in enumerate(pairs) if one is pair)
    follower = pairs[place + 1].reference.kind if place + 1 < len(pairs) else ""
    return ", and before a batch norm it only shifts the moving mean" if follower == "batch_norm" else ""


def together(found: Iterable[PortFinding]) -> list[PortFinding]:
    """Tell the same difference of several modules once, with the others' names.

    It is the same where setting and values are, or without a setting the sentence but for the name.
    """
    groups: dict[str, list[PortFinding]] = {}
    for one in found:
        what = one.text.replace(one.path, "") if one.setting is None else sorted(one.values.items())
        groups.setdefault(repr((one.rung, one.setting, what)), []).append(one)
    return [
        first.model_copy(update={"also": tuple(one.path for one in others)})
        for first, *others in groups.values()
    ]


def _of_optimizers(pairing: Pairing) -> list[PortFinding]:
    reference, other = pairing.reference, pairing.other
    mine, theirs = (pairing.described[side.label]["optimizers"] or {} for side in (reference, other))
    stepping = any("step" in one["functions"] for one in pairing.described.values())
    names = list(zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False))
    found = [
        PortFinding(
            rung="settings",
            path=f"optimizer.{name}{'.' if name else ''}{one.name}",
            setting=one.name,
            values=pairing.values(one.reference, one.other),
            lines=_lines_of(pairing, mine[name], theirs[twin]),
            text=f"the {_optimizer(name)}'s {one.name} is {told(one.reference)} in {reference.label} and "
            f"{told(one.other)} in {other.label}",
            fix={
                other.label: optimizer_edit(other.framework, one.name, one.reference),
                reference.label: optimizer_edit(reference.framework, one.name, one.other),
            },
        )
        for name, twin in names
        for one in optimizer_differences(mine[name], theirs[twin])
        # What a step may do itself its gradients and its learning rates show.
        if not (stepping and ("clip" in one.name or one.name == "schedule"))
    ]
    for name, twin in names:
        grouped = _of_groups(pairing, name, mine[name], theirs[twin])
        told_already = {one.path for one in grouped}
        found = [one for one in found if one.path not in told_already] + grouped
    return found


def _of_groups(
    pairing: Pairing, name: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[PortFinding]:
    """Return the weights to which two optimizers give another decay or learning rate."""
    reference, other = pairing.reference, pairing.other
    names = {f"{pair.reference.path}.{slot}": pair for pair in pairing.mapping.pairs for slot in pair.shared}
    trained = [
        one for one, pair in names.items() if pair.reference.slots[one.rpartition(".")[2]]["trainable"]
    ]
    found = []
    for setting, values in of_weights((mine, theirs), pairing.mapping.renamed, trained).items():
        first, one, two = values[0]
        same = [weight for weight, *both_ in values if both_ == [one, two]]
        rest = f" and of {len(same) - 3} more" if len(same) > 3 else ""
        found.append(
            PortFinding(
                rung="settings",
                path=f"optimizer.{name}{'.' if name else ''}{setting}",
                setting=setting,
                values=pairing.values(one, two),
                also=tuple(weight for weight, *_ in values[1:]),
                lines=_lines_of(pairing, mine, theirs),
                text=f"the {_optimizer(name)}'s {setting} of {both(same[:3])}{rest} is {told(one)} in "
                f"{reference.label} and {told(two)} in {other.label}",
                fix={other.label: f"give {first} a {setting} of {told(one)} by a group of its own"},
            )
        )
    return found


def _lines_of(pairing: Pairing, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Return where both optimizers are made."""
    sides = zip((pairing.reference, pairing.other), (mine, theirs), strict=True)
    return {side.label: one["line"] for side, one in sides if one.get("line") is not None}


def _optimizer(name: str) -> str:
    return f"optimizer {name}" if name else "optimizer"


# ---- forward and backward


Placed = tuple[int, PortFinding]
"""A finding with its place in the reference's order of use (see `place_of`)."""


def of_forward(pairing: Pairing) -> list[Placed]:
    """Return each module that gives something else when fed the same, and each segment between modules, in
    the reference's order of use.
    """
    found = [*_of_modules(pairing), *_of_segments(pairing), *_of_output_shapes(pairing)]
    return sorted(found, key=lambda placed: placed[0])


def place_of(pairing: Pairing, path: str) -> int:
    """Return a paired module's place in the reference's order of use: odd, and that of the segment before it
    is even. What is no paired module comes last.
    """
    steps = pairing.forced.steps
    number = next(
        (number for number, step in enumerate(steps) if step.pair.reference.path == path), len(steps)
    )
    return 2 * number + 1


def _of_output_shapes(pairing: Pairing) -> list[Placed]:
    if np.isfinite(pairing.forced.outputs):
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
    found = []
    for number, step in enumerate(pairing.forced.steps):
        apart = step.segment
        if not step.fed and not _explained(pairing, step):  # judged with its own segment
            apart = step.local
        if apart > pairing.tolerance and not (
            _follows_another_shape(pairing, number) or _is_fed_as_before(pairing, number)
        ):
            found.append((2 * number, of_segment(pairing, step.before, apart, step.pair.reference.path)))
    if pairing.tolerance < pairing.forced.outputs < float("inf"):
        last = of_segment(pairing, pairing.forced.after, pairing.forced.outputs, "the outputs")
        found.append((2 * len(pairing.forced.steps), last))
    return _alike(found)


def _is_fed_as_before(pairing: Pairing, number: int) -> bool:
    """Return whether a module without calls before it is fed what one before it was fed, which differed.

    As of two convolutions of one tensor, of which the first has told already what that is.
    """
    step, before = pairing.forced.steps[number], pairing.forced.steps[:number]
    if any(call.kind.partition(".")[0] != OUTPUTS for call in (*step.before[0], *step.before[1])):
        return False
    call = pairing.call(step.pair)
    fed = [pairing.call(one.pair) for one in before if one.segment > pairing.tolerance]
    return call is not None and any(
        one is not None
        and one.entered is not None
        and call.entered is not None
        and np.array_equal(one.entered, call.entered)
        for one in fed
    )


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
        key = placed[1].text.partition(", ")[2] if len(placed[1].lines) > 1 else placed[1].text
        groups.setdefault(key, []).append(placed)
    return [
        (place, first.model_copy(update={"also": tuple(_end(one) for _, one in others)}))
        for (place, first), *others in groups.values()
    ]


def _end(one: PortFinding) -> str:
    return one.text.partition(", ")[0].removeprefix("before ")


def of_segment(
    pairing: Pairing,
    segment: tuple[Sequence[RecordedCall], Sequence[RecordedCall]],
    relative: float,
    end: str,
    rung: RungName = "forward",
) -> PortFinding:
    """Return what differs between two paired modules: a function, a pool, an activation, a missing layer."""
    sides = (pairing.reference, pairing.other)
    calls = first_parting(segment, pairing.tolerance)
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
        what = f"the same calls lead to numbers that are {gap(relative)} apart"
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
    return f"{call.kind}{f' ({call.path})' if call.path else ''}{_at(call.line)}"


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


def of_loss(pairing: Pairing, one: float, two: float, relative: float, slopes: float) -> PortFinding:
    """Return that the losses of the same outputs differ, or only their gradients."""
    text = f"the losses are the same, but their gradients are {gap(slopes)} apart"
    if relative > pairing.tolerance:
        text = (
            f"of the same outputs the loss is {one:.6g} in {pairing.reference.label} and {two:.6g} in "
            f"{pairing.other.label}{_factor(pairing, two / one if one else float('inf'))}"
        )
    return PortFinding(
        rung="loss",
        path="loss",
        values=pairing.values(one, two),
        lines=pairing.lines_of("loss"),
        relative_difference=finite(max(relative, slopes)),
        text=text,
    )


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


def _at(line: str | None) -> str:
    return f" at {line}" if line else ""
