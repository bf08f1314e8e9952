"""What the mapping shows, as findings: other architectures, weights without a counterpart or without use."""

from __future__ import annotations

from collections.abc import Sequence

from likewise.producer.display import both, gap
from likewise.producer.port.causes import finite
from likewise.producer.port.fused import PARTS, order_of_patches, thirds_exchanged
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.mapping import Pair, Seen
from likewise.producer.port.models import PortFinding
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.setting_causes import together


def of_mapping(pairing: Pairing) -> list[PortFinding]:
    """Return the weights that two checkpoints have otherwise, and what has no counterpart."""
    reference, other = pairing.reference, pairing.other
    found = [
        PortFinding(
            rung="mapping",
            path=name,
            setting="checkpoint",
            relative_difference=finite(relative),
            text=f"{name} is {gap(relative)} apart in the two checkpoints",
        )
        for name, relative in pairing.checkpoints_apart.items()
    ]
    for pair in pairing.mapping.pairs:
        for side, seen, names in zip(
            (reference, other), (pair.reference, pair.other), pair.lonely, strict=True
        ):
            if names and not _is_of_use_bias(pairing, pair, names):
                found.append(_lonely(pairing, side, pair, seen, names))
    found = [*together(found), *_of_unused(pairing), *_of_thirds(pairing), *_of_patches(pairing)]
    for side, several in ((reference, pairing.mapping.alone), (other, pairing.mapping.strangers)):
        constants = [name for one in several if one.is_constant for name in one.weight_names]
        if constants:
            pairing.note(
                f"{both(constants)} of {side.label} is a constant without a counterpart, which nothing "
                "trains: whether the other program has the same numbers shows in what comes out"
            )
        types: dict[str, list[Seen]] = {}
        for one in several:
            if not one.is_constant:
                types.setdefault(one.type, []).append(one)
        found += [_strangers(pairing, side, first, others) for first, *others in types.values()]
    return found


def _of_thirds(pairing: Pairing) -> list[PortFinding]:
    """Return the matrices whose thirds are a query, a key and a value in another order."""
    found = []
    for side in (pairing.reference, pairing.other):
        for path, pairs in thirds_exchanged(pairing.mapping, side.divided).items():
            mine = side is pairing.reference
            order = {(one.reference if mine else one.other).path: one for one in pairs}
            thirds = [order[f"{path}.{name}"] for name in PARTS if f"{path}.{name}" in order]
            named = [(one.other if mine else one.reference).path.rpartition(".")[2] for one in thirds]
            line = pairing.line(side, thirds[0].reference if mine else thirds[0].other)
            found.append(
                PortFinding(
                    rung="mapping",
                    path=path,
                    setting="order",
                    lines={} if line is None else {side.label: line},
                    text=f"the thirds of {path} of {side.label} are used as {both(named)}, where such a "
                    "matrix has query, key and value in this order: weights that are copied so are exchanged",
                    fix={side.label: "take its thirds as query, key and value, in this order"},
                )
            )
    return found


def _of_patches(pairing: Pairing) -> list[PortFinding]:
    """Return the dense layers over patches that are flattened otherwise than a convolution has them."""
    found = []
    for step in pairing.forced.steps:
        pair, call = step.pair, pairing.call(step.pair)
        if {pair.reference.kind, pair.other.kind} != {"dense", "conv"} or call is None:
            continue
        entered = [one for one in (call.entered, step.entered) if one is not None]
        if step.local <= pairing.tolerance or len(entered) < 2:
            continue
        dense = 0 if pair.reference.kind == "dense" else 1
        window = (pair.other if dense == 0 else pair.reference).settings["kernel_size"]
        order = order_of_patches(entered[1 - dense], entered[dense], window, pairing.tolerance)
        if order is None:
            continue
        side = (pairing.reference, pairing.other)[dense]
        found.append(
            PortFinding(
                rung="mapping",
                path=pair.reference.path,
                paths=pairing.paths(pair),
                setting="order",
                lines=pairing.lines(pair),
                relative_difference=finite(step.local),
                text=f"{side.label} flattens its patches by {both(list(order))}, where a convolution has "
                "rows, columns and channels: each weight meets another number",
                fix={side.label: "flatten each patch by its rows, then its columns, then its channels"},
            )
        )
    return found


def _strangers(pairing: Pairing, side: Hosted, one: Seen, others: Sequence[Seen]) -> PortFinding:
    """Return that a module has no counterpart, and others of its type have none."""
    return PortFinding(
        rung="mapping",
        path=one.path,
        paths={side.label: one.path},
        lines={side.label: line} if (line := pairing.line(side, one)) else {},
        also=tuple(two.path for two in others),
        text=f"{_called(one)} of {side.label} ({one.type}, {one.size:,} numbers) has no counterpart",
    )


def _of_unused(pairing: Pairing) -> list[PortFinding]:
    """Return the weights that one program uses and the other one has, but does not use."""
    found = []
    for pair in pairing.mapping.pairs:
        sides = (pairing.reference, pair.reference), (pairing.other, pair.other)
        if pair.reference.path in pairing.idle:
            sides = sides[::-1]
        elif pairing.changes.get(pair.reference.path) is not False:
            continue
        (using, used), (having, unused) = sides
        found.append(
            PortFinding(
                rung="mapping",
                path=pair.reference.path,
                paths=pairing.paths(pair),
                lines=pairing.lines(pair),
                text=f"{_called(used)} of {using.label} takes part, and a change of {_called(unused)} of "
                f"{having.label} changes nothing: it is not used there",
            )
        )
    return found


def _called(seen: Seen) -> str:
    """Return a module's path, or the names of the weights that the model itself has."""
    return seen.path or both([str(slot["own"]) for slot in seen.slots.values()])


def _is_of_use_bias(pairing: Pairing, pair: Pair, names: Sequence[str]) -> bool:
    """Return whether a bias has no counterpart since one side has none, which the settings say already."""
    different = pairing.different.get(pair.reference.path, ())
    return list(names) == ["bias"] and any(one.name == "use_bias" for one in different)


def _lonely(pairing: Pairing, side: Hosted, pair: Pair, seen: Seen, names: Sequence[str]) -> PortFinding:
    listed = both([f"{seen.path}.{name}" for name in names])
    what = "was set to what adds nothing" if side is pairing.other else "is left out there"
    return PortFinding(
        rung="mapping",
        path=f"{seen.path}.{names[0]}",
        paths=pairing.paths(pair),
        lines=pairing.lines(pair),
        text=f"{listed} of {side.label} has no counterpart in the other program; for the check it {what}",
    )


def of_architecture(pairing: Pairing) -> PortFinding:
    """Return that the programs are other architectures, with the first modules that have no counterpart."""
    mapping, pairs = pairing.mapping, len(pairing.mapping.pairs)
    first = [
        (pairing.reference, next(iter(mapping.alone), None)),
        (pairing.other, next(iter(mapping.strangers), None)),
    ]
    named = " and ".join(
        f"{one.path} of {side.label} ({one.type} {_sizes(one)})" for side, one in first if one is not None
    )
    mine, theirs = pairs + len(mapping.alone), pairs + len(mapping.strangers)
    return PortFinding(
        rung="mapping",
        path=next((one.path for _, one in first if one is not None), "model"),
        text=f"the programs are other architectures: {mine} modules with weights in "
        f"{pairing.reference.label}, "
        f"{theirs} in {pairing.other.label}, and only {100 * mapping.share:.0f} % of the weights can "
        "be paired by "
        f"kind and shape; the first without a counterpart: {named}",
    )


def _sizes(seen: Seen) -> str:
    return ", ".join(str(tuple(slot["shape"])) for slot in seen.slots.values())
