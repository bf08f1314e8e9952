"""The mapping weight by weight, with what proves each row; and its file, which the user may correct."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from likewise.producer.display import gap
from likewise.producer.job.jobtext import TextError, decode, read_yaml
from likewise.producer.port.evidence import PairStep
from likewise.producer.port.mapping import Pair, Seen
from likewise.producer.port.models import Proof, WeightRow
from likewise.producer.port.pairing import Pairing
from likewise.shared.errors import DataError

_HEAD = """\
# Which weight is which. Where a row is wrong, write the right names and status: by_hand; it is kept.
# proved: fed the same, with the same weights, both modules give the same. shape_only: they fit, no more.
"""


def rows_of(pairing: Pairing) -> tuple[WeightRow, ...]:
    """Return the mapping, weight by weight."""
    forced = getattr(pairing, "forced", None)
    rows = []
    for pair in pairing.mapping.pairs:
        step = None if forced is None else forced.of(pair.reference.path)
        names = [*pair.reference.slots, *pair.lonely[1]]
        rows += [_row(pairing, pair, name, step) for name in names]
    sides = ((pairing.reference, pairing.mapping.alone), (pairing.other, pairing.mapping.strangers))
    for side, several in sides:
        rows += [
            WeightRow(
                names={side.label: one.own_name(name)},
                shapes={side.label: tuple(slot["shape"])},
                transform="",
                status="unused",
                why="a constant, which nothing trains"
                if one.is_constant
                else "no module of the other program fits",
            )
            for one in several
            for name, slot in one.slots.items()
        ]
    return tuple(rows)


def _row(pairing: Pairing, pair: Pair, name: str, step: PairStep | None) -> WeightRow:
    sides: Mapping[str, Seen] = {pairing.reference.label: pair.reference, pairing.other.label: pair.other}
    own = {pairing.reference.label: name, pairing.other.label: pair.others(name)}
    slots = {label: seen.slots[own[label]] for label, seen in sides.items() if own[label] in seen.slots}
    names = {label: sides[label].own_name(own[label]) for label in slots}
    status: Proof = "shape_only"
    if name not in pair.shared:
        status, why = "unused", "the other program's module has none of this shape"
    elif step is None and pairing.changes.get(pair.reference.path):
        status, why = "proved", "changed alike, it moves the same in both programs"
    elif step is None:
        why = "it was not seen in evaluation"
    elif step.local <= pairing.tolerance:
        status, why = "proved", ""
    elif pairing.changes.get(pair.reference.path):
        status, why = "proved", "with the same settings, the modules give the same"
    else:
        why = f"fed the same, the modules give numbers that are {gap(step.local)} apart"
    if status == "shape_only" and names in pairing.beforehand.by_hand:
        status = "by_hand"
    words = [slot["transform"] for slot in slots.values()]
    words += ["rows in the order of the flatten"] if pair.order is not None and name == "kernel" else []
    return WeightRow(
        names=names,
        shapes={label: tuple(slot["shape"]) for label, slot in slots.items()},
        transform=", ".join(dict.fromkeys(word for word in words if word)),
        status=status,
        why=why,
    )


# ---- the file


def write_lock(path: Path, rows: tuple[WeightRow, ...], kept: tuple[Mapping[str, str], ...]) -> None:
    """Write the mapping; rows that the user has written are kept as such, also where values prove them."""
    lines = [_HEAD + "weights:"]
    for row in rows:
        names = [f"{label}: {_quoted(name)}" for label, name in row.names.items()]
        status = "by_hand" if dict(row.names) in [dict(one) for one in kept] else row.status
        shape = list(next(iter(row.shapes.values())))
        parts = [*names, f"status: {status}", f"shape: {shape}"]
        parts += [f"transform: {_quoted(row.transform)}"] if row.transform else []
        lines.append(f"  - {{{', '.join(parts)}}}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_lock(path: Path, labels: tuple[str, str]) -> tuple[dict[str, str], ...]:
    """Return the rows that the user has paired by hand. Raises DataError where the file cannot be read."""
    if not path.is_file():
        return ()
    try:
        document = read_yaml(decode(path.read_bytes()))
    except (OSError, TextError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from None
    rows: Any = document.get("weights") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path.name} has no list of weights; likewise port map writes one")
    found = []
    for row in rows:
        if row.get("status") != "by_hand":
            continue
        if not all(isinstance(row.get(label), str) for label in labels):
            raise DataError(
                f"{path.name} has a row by_hand without a name for {labels[0]} and {labels[1]}: {row}"
            )
        found.append({label: row[label] for label in labels})
    return tuple(found)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
