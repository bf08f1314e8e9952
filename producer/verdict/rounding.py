"""How large a gap may be and still be rounding: tolerance, noise floor, float64 twin and growth. Pure.

The tolerance is pinned from measurements. They are of matched jobs (a line, a linear regression, MLPs,
convolutions, LSTM, BatchNorm), 100 to 500 steps on one CPU thread, TensorFlow 2.21 against PyTorch 2.13. In
float64 matched training stayed within 2e-14 of the largest weight, and the smallest real difference (Adam's
correction rounded to float32) showed 7e-7. In float32 rounding reached 2e-7 without and 4e-6 with
convolutions; real differences (Adam's epsilon, reductions) showed 1e-3 and more.

A side's own rerun raises the tolerance by what its numbers move. The float64 twin tells a real difference
from a gap that training has amplified, except where the losses' growth shows that training amplifies rounding
without bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from likewise.producer.display import number
from likewise.producer.verdict.gaps import Pairs, measured
from likewise.producer.verdict.models import Comparison, Gap, Growth, OwnRerun, PairGaps, Tolerance, Twin
from likewise.shared.job.experiment import Precision
from likewise.shared.job.side import Side
from likewise.shared.results.seed_table import Float64, SeedTable

_BY_PRECISION: dict[Precision, Tolerance] = {
    "float32": Tolerance(
        relative=1e-5,
        why="In float32 rounding alone moved the weights of matched trainings by 2e-7 to 4e-6 of the "
        "largest weight in 100 to 500 steps, and differences of meaning by 1e-3 and more. A smaller "
        "difference of meaning can hide below it: the float64 twin finds it.",
    ),
    "float64": Tolerance(
        relative=1e-9,
        why="In float64 rounding alone moved the weights of matched trainings by at most 2e-14 of the "
        "largest weight in 500 steps, and the smallest difference of meaning by 7e-7. What is above "
        "this is not rounding.",
    ),
}
_PRINTED = Tolerance(
    relative=2e-7,
    why="A printed program has the framework's own layers and optimizers, and Keras casts their numbers by "
    "way of float32 whatever the precision: a beta of 0.9 is 2e-8 off, an accumulator of 0.1 starts 1.5e-9 "
    "off. Matched ones moved by up to 2e-9. The smallest difference of meaning showed 7e-7.",
)
"""What serves in float64 where a side trains its printed program, as in `likewise port`."""
SHRINK = 1e-6
"""A gap that shrank more than this from float32 to float64 is rounding, however far training has
amplified it: the unit of rounding itself shrinks by 2e-9, a difference of meaning not at all."""
WHOLE = 1.0
"""A gap as large as what it is measured by: beyond it the scale is lost, and a millionth of the gap may be
more than all there is."""
MOST_EPOCHS = 500
"""The most epochs that are listed; of more, evenly chosen ones."""
EQUAL = 1e-12
"""Float64 losses that differ by no more are equal but for rounding."""
REAL = 1e-9
"""Float64 losses that differ by more are really different, unless training has amplified rounding."""
AMPLIFIED = 1e3
"""Rounding counts as amplified where the gap ends so many times above what adding up could give: as much in
every epoch as in the first."""


def tolerance_for(precisions: Iterable[Precision], *, printed: bool = False) -> Tolerance:
    """Return the tolerance of the least precise of the given precisions.

    `printed` is whether a side trains its printed program (`execution: stock`).
    """
    given = set(precisions)
    if printed and "float32" not in given:
        return _PRINTED
    return _BY_PRECISION["float32" if "float32" in given else "float64"]


def noise_floor(
    sides: Sequence[Side], declared: Mapping[str, SeedTable], again: Mapping[str, SeedTable]
) -> tuple[OwnRerun, ...]:
    """Return each side's rerun against its first training, over the seeds that both finished."""
    found = []
    for side in sides:
        if side.label not in again:
            continue
        rerun = again[side.label]
        first = declared[side.label].only(rerun.seeds)
        moved = measured(first, rerun)
        if not moved.gaps:
            continue
        before, after = (table.losses[moved.places] for table in (first, rerun))
        found.append(
            OwnRerun(
                framework=side.framework,
                side=side.label,
                seeds=len(moved.gaps),
                identical=bool(moved.identical.all()) and np.array_equal(before, after, equal_nan=True),
                largest=_largest([gap for gaps in moved.gaps for gap in gaps]),
            )
        )
    return tuple(found)


def raised(tolerance: Tolerance, floor: Sequence[OwnRerun]) -> Tolerance:
    """Return the tolerance, or what a side's own numbers move by where that is more."""
    moved = max(floor, key=own_gap, default=None)
    if moved is None or own_gap(moved) <= tolerance.relative:
        return tolerance
    return Tolerance(
        relative=own_gap(moved),
        why=f"{moved.side}'s own numbers moved by {number(own_gap(moved))} when it trained the same "
        f"once more, so a smaller gap between the sides is no evidence. {tolerance.why}",
    )


def own_gap(rerun: OwnRerun) -> float:
    """Return the largest gap of any measure; one that cannot be measured is no floor and counts as 0."""
    return max((one.relative or 0.0 for one in rerun.largest), default=0.0)


def _largest(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    held: dict[str, Gap] = {}
    for gap in gaps:
        if gap.measure not in held or (gap.relative or 0.0) > (held[gap.measure].relative or 0.0):
            held[gap.measure] = gap
    return tuple(held.values())


def twin_of(declared: Sequence[PairGaps], twin: Comparison) -> Twin | None:
    """Return what the twin says of the declared gaps; None where one of its trainings has not finished."""
    if twin.failed or any(not pair.seeds for pair in twin.gaps):
        return None
    declared_gaps = {pair.other: _by_measure(pair) for pair in declared}
    tolerance = twin.tolerance.relative
    rounding = [
        (one.measure, _is_rounding(one, declared_gaps[pair.other].get(one.measure), tolerance=tolerance))
        for pair in twin.gaps
        for one in pair.largest
    ]
    trained = [fine for measure, fine in rounding if measure != "losses"]
    return Twin(
        experiment_id=twin.experiment_id,
        seeds=max(pair.seeds for pair in twin.gaps),
        tolerance=tolerance,
        gaps=twin.gaps,
        equal=all(fine for _, fine in rounding),
        trained_alike=bool(trained) and all(trained),
    )


def worst_of(pair: PairGaps) -> Gap:
    """Return the largest gap of any measure; one that cannot be measured counts as larger than all."""
    return max(pair.largest, key=lambda one: float("inf") if one.relative is None else one.relative)


def _by_measure(pair: PairGaps) -> dict[str, float | None]:
    return {one.measure: one.relative for one in pair.largest}


def _is_rounding(one: Gap, declared: float | None, *, tolerance: float) -> bool:
    if one.relative is None:
        return False
    return one.relative <= max(tolerance, SHRINK * min(declared or 0.0, WHOLE))


def epochs_before_rounding_took_over(pairs: Pairs) -> int | None:
    """Return for how many first epochs float64's losses were equal, where only rounding parted them later.

    Return None where no losses part, or some part in another way. A real difference jumps from equality to
    its size when it begins to act, or adds up from update to update. Rounding that training amplifies passes
    through every size in between, and ends far above what adding up could give.
    """
    equal_for = []
    for reference, other in pairs.values():
        gaps = _gaps(reference.losses, other.losses)
        gaps = gaps[np.nanmax(gaps, axis=1, initial=0.0) > REAL]
        if not len(gaps):
            continue
        early, most = np.nanmax(gaps[:, :2], axis=1), np.nanmax(gaps, axis=1)
        added_up = np.isfinite(gaps).sum(axis=1) * np.maximum(early, np.finfo(np.float64).eps)
        between = np.any((gaps > EQUAL) & (gaps <= REAL), axis=1)
        if np.any((early > EQUAL) | ~between | (most < AMPLIFIED * added_up)):
            return None
        equal_for.append(int(np.argmax(gaps > EQUAL, axis=1).min()))
    return min(equal_for, default=None)


def growth(pairs: Pairs, twin: Pairs) -> tuple[Growth, ...]:
    """Return the growth of each side's gap on the first seed with losses everywhere.

    `twin` has the tables of the float64 twin, or nothing without one.
    """
    found = []
    for names in twin:
        seeds, other = twin[names][0].seeds, names[1]
        of_declared, of_twin = (
            _gaps(*(table.only(seeds).losses for table in of[names])) for of in (pairs, twin)
        )
        epochs = min(of_declared.shape[1], of_twin.shape[1])
        both = of_declared[:, :epochs] + of_twin[:, :epochs]
        known = np.isfinite(both).sum(axis=1)
        if not known.any():
            continue
        row = int(np.argmax(known > 0))
        places = np.unique(np.linspace(0, known[row] - 1, min(known[row], MOST_EPOCHS)).astype(int))
        found.append(
            Growth(
                other=other,
                seed=seeds[row],
                epochs=tuple((places + 1).tolist()),
                declared=tuple(of_declared[row, places].tolist()),
                twin=tuple(of_twin[row, places].tolist()),
            )
        )
    return tuple(found)


def _gaps(mine: Float64, theirs: Float64) -> Float64:
    """Return |a − b| of each seed and epoch (seeds, epochs), NaN where one has none.

    It is relative to the reference's first loss, or where that is zero to its largest.
    """
    epochs = min(mine.shape[1], theirs.shape[1])
    one, two = mine[:, :epochs], theirs[:, :epochs]
    known = ~(np.isnan(one) | np.isnan(two))
    sizes = np.where(known, np.abs(one), 0.0)
    first = sizes[:, :1] if epochs else np.ones((len(sizes), 1))
    scale = np.where(first > 0, first, sizes.max(axis=1, initial=0.0)[:, None])
    with np.errstate(all="ignore"):
        apart = np.abs(one - two) / np.where(scale > 0, scale, 1.0)
    return np.where(known, np.nan_to_num(apart, nan=0.0, posinf=np.finfo(float).max), np.nan)
