"""What an explanation says in words: one sentence that answers, and notes on how it was found."""

from __future__ import annotations

from collections.abc import Sequence

from producer.blame import measures
from producer.blame.evidence import Evidence, Parted
from producer.blame.models import Contribution
from producer.verdict.knowledge import consequence
from producer.verdict.words import both, count, gap, setting

WORTH_A_WORD = 0.005
"""Shares below half a per cent are not named in the sentence; the table has them."""
MOST_NAMED = 3


def sentence(
    found: Evidence, main: Parted | None, contributions: Sequence[Contribution], *, tolerance: float
) -> str:
    """The answer."""
    names = both([run.framework for run in found.plan.ends])
    if main is None:
        return f"No seed gave numbers of both {names} that can be compared, so nothing is explained."
    if main.measure != measures.DIVERGENCE and main.gap <= tolerance:
        alike = f"{names} end alike (a gap of {gap(main.gap)} in the {main.measure}, where up to {gap(tolerance)} is rounding)"
        differing = count(len(contributions), "setting") if contributions else "no setting"
        verb = "differs" if len(contributions) < 2 else "differ"
        though = f"{differing} {verb}, and {alike}" if contributions else f"{differing} {verb}, and {alike}"
        return f"Nothing is left to explain: {though}."
    if not contributions:
        return (
            f"No setting differs between {names}, and yet they end {gap(main.gap)} apart in the "
            f"{main.measure}: likewise compare says whether that is rounding."
        )
    named = [one for one in contributions if one.share is not None and one.share >= WORTH_A_WORD]
    if not named:
        return _nothing_found(contributions, main)
    return _ranking(found, main, named)


def percent(share: float) -> str:
    """`100 %`, `−4 %`, `under 1 %`."""
    if 0 < abs(share) < WORTH_A_WORD:
        return "under 1 %"
    return f"{'−' if share < 0 else ''}{abs(share) * 100:.0f} %"


def against(contribution: Contribution) -> str:
    """`sum against mean`: the other's value and the reference's."""
    mine, theirs = (setting(value) for value in contribution.values.values())
    return f"{theirs} against {mine}"


def notes(found: Evidence, main: Parted | None) -> tuple[str, ...]:
    """What a reader has to know of how the shares were found."""
    return tuple([*_start(found, main), *_many(found), *_failed(found, main), *_seeds(found, main), *_device(found)])


def _ranking(found: Evidence, main: Parted, named: Sequence[Contribution]) -> str:
    what = "whether the training diverges" if main.measure == measures.DIVERGENCE else "the difference"
    first, *rest = named
    assert first.share is not None  # noqa: S101  # by the choice of `named`
    told = f"{first.path} ({against(first)}) explains {percent(first.share)} of {what}"
    more = [
        f"{one.path} ({against(one)}) {percent(one.share)}"
        for one in rest[: MOST_NAMED - 1]
        if one.share is not None
    ]
    if more:
        told = f"{told}, {both(more)}"
    if len(named) > MOST_NAMED:
        told = f"{told}, {count(len(named) - MOST_NAMED, 'other setting')} the rest"
    left = main.unexplained
    if left is not None and left.value >= WORTH_A_WORD:
        told = f"{told}; {percent(left.value)} stays unexplained"
    why = consequence(named[0], found)
    return f"{told}: {why}." if why else f"{told}."
