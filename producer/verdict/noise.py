"""How far a side's own numbers move when it trains the same once more: its noise floor. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from producer.display import number
from producer.verdict.gaps import Load, bitwise_equal, seed_gaps
from producer.verdict.models import Gap, OwnRerun, Tolerance
from shared.result import RunResult


def noise_floor(
    declared: Mapping[str, RunResult], again: Mapping[str, RunResult], *, arrays: Load
) -> tuple[OwnRerun, ...]:
    """Each side's rerun against its first training, over the seeds that both finished."""
    found = []
    for side, rerun in again.items():
        first = {one.seed: one for one in declared[side].seeds if one.status == "succeeded"}
        pairs = [
            (first[one.seed], one) for one in rerun.seeds if one.status == "succeeded" and one.seed in first
        ]
        if not pairs:
            continue
        gaps = [gap for one, two in pairs for gap in seed_gaps(one, two, arrays=arrays)]
        same = (bitwise_equal(one, two) and one.losses == two.losses for one, two in pairs)
        found.append(
            OwnRerun(
                framework=rerun.framework,
                side=side,
                seeds=len(pairs),
                identical=all(same),
                largest=_largest(gaps),
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
