"""The page of a port's check: the rungs, each cause with its edits, and both trees of modules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from likewise.producer.display import count, gap
from likewise.producer.port.models import ModuleRow, PortCheck, PortFinding
from likewise.producer.report.document import Table
from likewise.producer.report.layout import (
    Block,
    Branch,
    Fold,
    Grid,
    Heading,
    Leaf,
    Listing,
    Page,
    Prose,
    Section,
    Stages,
    Trees,
)

_STATES = {"holds": "equal", "fails": "parts", "skipped": "later"}
_WORDS = {
    "same": "the same",
    "differs": "differs",
    "unproved": "not seen",
    "alone": "no counterpart",
    "weightless": "no weights",
}
_TALLIED = {
    "same": "the same",
    "differs": "different",
    "unproved": "not seen",
    "alone": "without a counterpart",
    "weightless": "without weights",
}
_QUIET = ("same", "weightless")
"""Modules that need no look."""
_MOST_SHAPES = 6
"""The most weights of a module whose shapes are told."""


def page_of(check: PortCheck, *, title: str, sentences: Sequence[str], tables: Sequence[Table]) -> Page:
    """Return the page; `sentences` has one for each finding, and `tables` are those of every format."""
    first = f"Next: {check.next}." if check.findings else sentences[0]
    sections = [
        Section("Rung by rung", [*_rungs(check)], "Rungs"),
        Section("What differs", [*_findings(check, sentences[1:])], "Differences"),
        Section("Both programs, module by module", [*_trees(check)], "Modules"),
        Section("Which weight is which", [*_folded(tables[-1])], "Weights"),
    ]
    return Page(
        title=title.removeprefix(f"{check.name}: "),
        name=check.name,
        facts=tuple(
            f"{label} is {check.files.get(label, label)} on {check.versions[label]}" for label in check.sides
        ),
        tone="agree" if check.agrees else "differ",
        lead=first,
        sections=[one for one in sections if one.blocks],
        foot=tuple(f"{note}." for note in check.notes),
    )


def _rungs(check: PortCheck) -> Iterator[Block]:
    label = "The rungs, and whether both programs do the same there"
    yield Stages(label, [(one.name, _STATES[one.status]) for one in check.rungs])
    yield Grid(
        caption="What was compared on each, fed the reference's tensors",
        columns=("rung", "", "apart", "what was compared"),
        rows=[(one.name, one.status, gap(one.relative_difference), one.text) for one in check.rungs],
        words={"holds": "within", "fails": "above"},
        folds=True,
    )


def _findings(check: PortCheck, sentences: Sequence[str]) -> Iterator[Block]:
    for one, sentence in zip(check.findings, sentences, strict=True):
        yield Heading(_named(one))
        yield Prose(sentence)
        lines = [f"{label} at {line}" for label, line in one.lines.items()]
        if lines:
            yield Prose(f"{', '.join(lines)}.", quiet=True)
        if one.fix:
            yield Listing([f"In {label}: {text}." for label, text in one.fix.items()])


def _named(one: PortFinding) -> str:
    told = one.setting is None or one.path.endswith(f".{one.setting}")
    return one.path if told else f"{one.path}: {one.setting}"


def _folded(mapping: Table) -> Iterator[Block]:
    if mapping.rows:
        yield Fold(
            f"{count(len(mapping.rows), 'weight')}, each with what proves it",
            [Grid(caption="", columns=mapping.columns, rows=mapping.rows, folds=True)],
        )


def _trees(check: PortCheck) -> Iterator[Block]:
    if not check.modules:
        return
    leaves = _numbered([_leaf(check, row) for row in check.modules])
    tallies = [(word, sum(one.mark == mark for one in leaves)) for mark, word in _TALLIED.items()]
    told = ", ".join(f"{number:,} {word}" for word, number in tallies if number)
    walk = " “Next” goes to the next that needs a look." if any(one.place for one in leaves) else ""
    yield Prose(f"{count(len(leaves), 'line')}: {told}. Each line opens.{walk}")
    deeper = max((0, 1), key=lambda side: sum(one.names[side].count(".") for one in leaves))
    yield Trees(sides=check.sides, inner=_branches(leaves, deeper, 0))


def _leaf(check: PortCheck, row: ModuleRow) -> Leaf:
    facts = []
    for label in check.sides:
        if label in row.types:
            shapes = row.shapes.get(label, {})
            told = [f"{name} {' × '.join(map(str, size)) or '1'}" for name, size in shapes.items()]
            more = [f"{len(told) - _MOST_SHAPES} more"] if len(told) > _MOST_SHAPES else []
            held = f" ({', '.join([*told[:_MOST_SHAPES], *more])})" if told else ""
            line = f", {row.lines[label]}" if label in row.lines else ""
            facts.append(f"{label}: {row.types[label]}{held}{line}")
    if row.relative_difference is not None:
        facts.append(f"fed the same, what leaves is {gap(row.relative_difference)} apart")
    facts += [f"{check.findings[place].text}." for place in row.findings]
    first, second = (row.paths.get(label, "") for label in check.sides)
    return Leaf(names=(first, second), mark=row.status, says=_WORDS[row.status], facts=facts)


def _numbered(leaves: Sequence[Leaf]) -> list[Leaf]:
    """Return the leaves, those that are not the same with their numbers."""
    last = sum(one.mark not in _QUIET for one in leaves)
    found, number = [], 0
    for one in leaves:
        if one.mark in _QUIET:
            found.append(one)
            continue
        number += 1
        found.append(replace(one, place=number, following=number + 1 if number < last else 0))
    return found


@dataclass(frozen=True)
class _At:
    """A leaf with its next parent on the side that has the deeper tree; empty where there is none."""

    leaf: Leaf
    parent: str


def _branches(leaves: Sequence[Leaf], side: int, depth: int) -> list[Leaf | Branch]:
    """Return leaves under their parents, where several in a row have the same."""
    at, parent = [], ""
    for one in leaves:
        parts = one.names[side].split(".")
        if one.names[side]:  # one that has no counterpart there stays with what is before it
            parent = parts[depth] if len(parts) > depth + 1 else ""
        at.append(_At(one, parent))
    found: list[Leaf | Branch] = []
    for name, run in groupby(at, key=lambda one: one.parent):
        inner = [one.leaf for one in run]
        if not name or len(inner) < 2:
            found += inner
            continue
        unlike = sum(one.mark not in _QUIET for one in inner)
        says = count(len(inner), "line") + (f", {unlike:,} to look at" if unlike else "")
        nested = _branches(inner, side, depth + 1)
        found.append(Branch(name=name, says=says, marked=bool(unlike), inner=nested))
    return found
