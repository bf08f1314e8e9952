"""Which settings of two paired programs differ, as findings: where, what it does, and the edit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from likewise.producer.display import both, gap
from likewise.producer.port.causes import at, finite
from likewise.producer.port.evidence import PairStep
from likewise.producer.port.mapping import Pair
from likewise.producer.port.models import PortFinding
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.settings import (
    TRAINING_ONLY,
    Difference,
    edit,
    of_weights,
    optimizer_differences,
    optimizer_edit,
    told,
)


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
    if one.name == "crop":
        effect = "nothing behind it cuts the rest" if step.local <= pairing.tolerance else effect
        effect += " (what is cut before and after each axis of all that it makes)"
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
            + at(pairing.line(other, pair.other)),
            reference.label: edit(reference.framework, pair.reference, one.name, one.other)
            + at(pairing.line(reference, pair.reference)),
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


def numbers_of_reference(
    pairing: Pairing, findings: Iterable[PortFinding]
) -> dict[str, dict[str, Any]] | None:
    """Return what makes the other's optimizers as the reference's, by name, from what `findings` say of them.

    None where numbers alone do not: another type, a schedule, or groups of weights.
    """
    labels = pairing.reference.label, pairing.other.label
    mine, theirs = (pairing.described[label]["optimizers"] or {} for label in labels)
    twins = dict(zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False))
    found: dict[str, dict[str, Any]] = {}
    for one in findings:
        if not one.path.startswith("optimizer."):
            continue
        setting = str(one.setting)
        name = one.path.removeprefix("optimizer.").removesuffix(setting).rstrip(".")
        if name not in twins or one.also or "schedule" in {**mine[name], **theirs[twins[name]]}:
            return None
        if mine[name]["type"] != theirs[twins[name]]["type"]:
            return None
        value = one.values[labels[0]]
        found.setdefault(twins[name], {})[setting] = 0.0 if value is None else value
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
