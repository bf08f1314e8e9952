"""Both programs' modules beside each other, for whoever wants to walk through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from likewise.producer.port.causes import finite
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.mapping import Pair, Seen
from likewise.producer.port.models import ModuleRow, PortFinding
from likewise.producer.port.pairing import Pairing


def modules_of(pairing: Pairing, findings: Sequence[PortFinding]) -> tuple[ModuleRow, ...]:
    """Return the reference's modules in the order of its program, each with its counterpart.

    A module of the other program without one follows the module that it comes after there.
    """
    reference, other = pairing.reference, pairing.other
    pairs = {pair.reference.path: pair for pair in pairing.mapping.pairs}
    paired = {pair.other.path: pair.reference.path for pair in pairs.values()}
    strangers: dict[str, list[Seen]] = {}
    last = ""
    for path, seen in pairing.seen[other.label].items():
        if path in paired:
            last = paired[path]
        else:
            strangers.setdefault(last, []).append(seen)
    rows = [_alone(pairing, other, one) for one in strangers.get("", ())]
    for path, seen in pairing.seen[reference.label].items():
        pair = pairs.get(path)
        rows.append(_alone(pairing, reference, seen) if pair is None else _paired(pairing, pair, findings))
        rows += [_alone(pairing, other, one) for one in strangers.get(path, ())]
    return tuple(rows)


def _alone(pairing: Pairing, side: Hosted, seen: Seen) -> ModuleRow:
    line = pairing.line(side, seen)
    return ModuleRow(
        paths={side.label: seen.path},
        types={side.label: seen.type},
        lines={} if line is None else {side.label: line},
        shapes={side.label: _shapes(seen)},
        status="alone" if seen.slots else "weightless",
    )


def _paired(pairing: Pairing, pair: Pair, findings: Sequence[PortFinding]) -> ModuleRow:
    sides: Mapping[str, Seen] = {pairing.reference.label: pair.reference, pairing.other.label: pair.other}
    forced = getattr(pairing, "forced", None)
    step = None if forced is None else forced.of(pair.reference.path)
    found = tuple(place for place, one in enumerate(findings) if _is_of(one, pair.reference))
    proved = step is not None and step.local <= pairing.tolerance
    unseen = step is None and not pairing.changes.get(pair.reference.path)
    return ModuleRow(
        paths={label: seen.path for label, seen in sides.items()},
        types={label: seen.type for label, seen in sides.items()},
        lines=pairing.lines(pair),
        shapes={label: _shapes(seen) for label, seen in sides.items()},
        status="differs" if found or not (proved or step is None) else "unproved" if unseen else "same",
        relative_difference=None if step is None else finite(step.local),
        findings=found,
    )


def _is_of(finding: PortFinding, seen: Seen) -> bool:
    own = {seen.path, *(seen.own_name(name) for name in seen.slots)}
    own |= {f"{seen.path}.{name}" for name in seen.slots}
    return bool(own & {finding.path, *finding.also})


def _shapes(seen: Seen) -> dict[str, tuple[int, ...]]:
    return {name: tuple(slot["shape"]) for name, slot in seen.slots.items()}
