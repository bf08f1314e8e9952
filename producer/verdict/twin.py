"""What the float64 twin says of the declared comparison. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from producer.verdict.models import Comparison, Gap, PairGaps, Twin

SHRINK = 1e-6
"""A gap that shrank more than this from float32 to float64 is rounding, however far training has
amplified it: the unit of rounding itself shrinks by 2e-9, a difference of meaning not at all."""


def twin_of(declared: Sequence[PairGaps], twin: Comparison) -> Twin | None:
    """The twin's evidence beside the declared gaps; None where one of its trainings has not finished."""
    if twin.failed or any(not pair.seeds for pair in twin.gaps):
        return None
    declared_gaps = {pair.other: _by_measure(pair) for pair in declared}
    equal = all(
        _is_rounding(one, declared_gaps[pair.other].get(one.measure), tolerance=twin.tolerance.relative)
        for pair in twin.gaps
        for one in pair.largest
    )
    return Twin(
        experiment_id=twin.experiment_id,
        seeds=max(pair.seeds for pair in twin.gaps),
        tolerance=twin.tolerance.relative,
        gaps=twin.gaps,
        equal=equal,
    )


def worst_of(pair: PairGaps) -> Gap:
    """The largest gap of any measure; one that cannot be measured counts as the largest of all."""
    return max(pair.largest, key=lambda one: float("inf") if one.relative is None else one.relative)


def _by_measure(pair: PairGaps) -> dict[str, float | None]:
    return {one.measure: one.relative for one in pair.largest}


def _is_rounding(one: Gap, declared: float | None, *, tolerance: float) -> bool:
    if one.relative is None:
        return False
    return one.relative <= max(tolerance, SHRINK * (declared or 0.0))
