"""How far apart the sides of a Comparison are, as rows of text, which every format only lays out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from likewise.producer import display
from likewise.producer.display import gap
from likewise.producer.report.comparison_tables import Row, with_values
from likewise.producer.verdict.models import (
    Comparison,
    Equivalence,
    FirstDivergence,
    Gap,
    Verdict,
)
from likewise.producer.verdict.parting import STAGES
from likewise.producer.verdict.rounding import worst_of


@dataclass(frozen=True, kw_only=True)
class GapRow:
    """The row says one measure's largest gap between the reference and another side."""

    label: str
    """The measure, with its side where there are several."""
    text: str
    where: str
    word: Literal["within", "rounding", "above", "not comparable", "no scale"]
    """How it stands to the tolerance; a diverged training has no scale to measure a gap by."""

    @property
    def within(self) -> bool:
        """Return whether it is within the tolerance."""
        return self.word in ("within", "rounding")


def gaps(comparison: Comparison) -> list[GapRow]:
    """Return the largest gaps of every pair, and that of the float64 twin."""
    several = len(comparison.experiment.seed_list) > 1
    declared = [
        GapRow(
            label=_measured(comparison, pair.other, one.measure),
            text=gap(one.relative),
            where=_where(one, seed if several else None),
            word=_word(comparison, one),
        )
        for pair in comparison.gaps
        for one, seed in zip(pair.largest, pair.largest_seeds, strict=True)
    ]
    return [*declared, *_twin(comparison)]


def _word(comparison: Comparison, one: Gap) -> Literal["within", "above", "not comparable", "no scale"]:
    if one.relative is None:
        return "not comparable"
    if comparison.diverged and comparison.verdict == "inconclusive":
        return "no scale"
    return "within" if one.relative <= comparison.tolerance.relative else "above"


def _twin(comparison: Comparison) -> Iterator[GapRow]:
    """Yield the twin's largest gap, a row for each pair; `within` says whether the twin found all equal."""
    if comparison.twin is None:
        return
    for pair in comparison.twin.gaps:
        worst = worst_of(pair)
        yield GapRow(
            label=_measured(comparison, pair.other, "float64 twin"),
            text=gap(worst.relative),
            where=f"{worst.measure}, {_where(worst, None)}".rstrip(", "),
            word="not comparable"
            if worst.relative is None
            else "rounding"
            if comparison.twin.amplified
            else "within"
            if comparison.twin.equal
            else "above",
        )


@dataclass(frozen=True, kw_only=True)
class TestRow:
    """The row says what one test over seeds found."""

    label: str
    """The measure, with its side where there are several."""
    difference: str
    interval: str
    margin: str
    effect: str
    verdict: Verdict
    needs: str
    """How many seeds would decide, where the verdict is inconclusive; else empty."""


def tests(comparison: Comparison) -> list[TestRow]:
    """Return the tests over seeds, where there are several."""
    return [
        TestRow(
            label=_measured(comparison, one.other, one.measure),
            difference=display.rounded(one.difference, 2, sign="+"),
            interval=" to ".join(display.rounded(end, 2, sign="+") for end in one.interval),
            margin=f"±{display.rounded(one.margin, 2)}",
            effect=display.MISSING if one.effect_size is None else f"{one.effect_size:+.2f}",
            verdict=one.verdict,
            needs=_needed(one),
        )
        for one in comparison.equivalence
    ]


def _measured(comparison: Comparison, other: str, measure: str) -> str:
    return f"{other} {measure}" if len(comparison.sides) > 2 else measure


def _needed(test: Equivalence) -> str:
    if test.verdict != "inconclusive" or test.seeds_to_decide is None:
        return ""
    return f"{test.seeds_to_decide:,}"


def _where(one: Gap, seed: int | None) -> str:
    parts = [one.problem or one.where or "", *([f"seed {seed}"] if seed is not None else [])]
    return ", ".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True)
class StageMark:
    """A mark says of a stage that the sides are equal there, part there, or nothing: it comes later."""

    stage: str
    state: Literal["equal", "parts", "later"]


def stages(found: FirstDivergence) -> list[StageMark]:
    """Return the stages of the step in which the sides part, in their order."""
    place = STAGES.index(found.stage)
    compared = found.step > 0 and not found.batches
    states: list[Literal["equal", "parts", "later"]] = [
        "parts" if at == place else "equal" if at < place and compared else "later"
        for at in range(len(STAGES))
    ]
    shown = len(STAGES) if found.stage == "evaluation" else len(STAGES) - 1
    return [StageMark(stage=stage, state=state) for stage, state in zip(STAGES, states, strict=True)][:shown]


def divergence(comparison: Comparison, found: FirstDivergence) -> list[Row]:
    """Return the two values that part, and the learning rates where it is an update that parts."""
    if found.shapes:
        cells = [_shape(found.shapes.get(side)) for side in comparison.sides]
        return [Row(label=f"shape of {found.tensor}", cells=tuple(cells), differs=True)]
    rows = [Row(label=found.tensor, cells=_cells(comparison, found.values), differs=True)]
    if found.stage == "update":
        rates = _cells(comparison, found.learning_rates)
        rows.append(Row(label="learning rate", cells=rates, differs=len(set(rates)) > 1))
    return with_values(rows)


def _shape(shape: Sequence[int] | None) -> str:
    return display.MISSING if shape is None else "×".join(map(str, shape)) or "one number"


def _cells(comparison: Comparison, values: Mapping[str, float | None]) -> tuple[str, ...]:
    known = (values.get(name) for name in comparison.sides)
    return tuple(display.MISSING if value is None else f"{value:.10g}" for value in known)
