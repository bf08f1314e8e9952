"""How far a side's own numbers move when it trains the same once more: its noise floor. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from producer.display import number
from producer.verdict.models import Gap, OwnRerun, Tolerance
from producer.verdict.pairs import measured
from shared.job.side import Side
from shared.results.seed_table import SeedTable


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
    """The tolerance, or what a side's own numbers move by, where that is more."""
    moved = max(floor, key=own_gap, default=None)
    if moved is None or own_gap(moved) <= tolerance.relative:
        return tolerance
    return Tolerance(
        relative=own_gap(moved),
        why=f"{moved.side}'s own numbers moved by {number(own_gap(moved))} when it trained the same "
        f"once more, so a smaller gap between the frameworks is no evidence. {tolerance.why}",
    )


def own_gap(rerun: OwnRerun) -> float:
    """The largest gap of any measure; one that cannot be measured counts as 0, since it is no floor."""
    return max((one.relative or 0.0 for one in rerun.largest), default=0.0)


def _largest(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    held: dict[str, Gap] = {}
    for gap in gaps:
        if gap.measure not in held or (gap.relative or 0.0) > (held[gap.measure].relative or 0.0):
            held[gap.measure] = gap
    return tuple(held.values())
