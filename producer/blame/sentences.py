"""What an explanation says in words: one sentence that answers, and notes on how it was found."""

from __future__ import annotations

from collections.abc import Sequence

from producer.blame import measures
from producer.blame.evidence import Evidence, Parted
from producer.blame.models import Contribution
from producer.display import both, count, gap, setting

WORTH_A_WORD = 0.005
"""Shares below half a per cent are not named in the sentence; the table has them."""
MOST_NAMED = 3
NEARLY_ALL = 0.9
CANCELLING = 1.5
"""Where a share is larger than this, others are as far below 0, and no part by itself means much."""


def sentence(
    found: Evidence, main: Parted | None, contributions: Sequence[Contribution], *, tolerance: float
) -> str:
    """The answer."""
    names = both([run.side for run in found.plan.ends])
    if main is None:
        return f"No seed gave numbers of both {names} that can be compared, so nothing is explained."
    if main.measure != measures.DIVERGENCE and main.gap <= tolerance:
        settings = count(len(contributions), "setting differs", "settings differ") if contributions else ""
        return (
            f"Nothing is left to explain: {settings or 'no setting differs'}, and {names} end alike, "
            f"{gap(main.gap)} apart in the {main.measure}, where up to {gap(tolerance)} is rounding."
        )
    if not contributions:
        return (
            f"No setting differs between {names}, and yet they end {gap(main.gap)} apart in the "
            f"{main.measure}: likewise compare says whether that is rounding."
        )
    largest = max((abs(one.share) for one in contributions if one.share is not None), default=0.0)
    if largest >= CANCELLING:
        return _cancelling(found, main, contributions)
    named = [one for one in contributions if one.share is not None and one.share >= WORTH_A_WORD]
    if not named:
        return _nothing_found(contributions, main)
    return _ranking(main, named)


def percent(share: float) -> str:
    """`100 %`, `−4 %`, `< 1 %`."""
    if 0 < abs(share) < WORTH_A_WORD:
        return "< 1 %"
    return f"{'−' if share < 0 else ''}{abs(share) * 100:.0f} %"


def against(contribution: Contribution) -> str:
    """`sum against mean`: the other's value and the reference's."""
    mine, theirs = (setting(value) for value in contribution.values.values())
    return f"{theirs} against {mine}"


def notes(found: Evidence, main: Parted | None) -> tuple[str, ...]:
    """What a reader has to know of how the shares were found."""
    return (*_start(found, main), *_many(found), *_failed(found, main), *_seeds(found, main), *_device(found))


def _ranking(main: Parted, named: Sequence[Contribution]) -> str:
    """What explains most, what else does, what is left; the cause where one setting is all."""
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
    alone = not rest and first.share >= NEARLY_ALL and first.cause is not None
    return f"{told}: {first.cause}." if alone else f"{told}."


def _cancelling(found: Evidence, main: Parted, contributions: Sequence[Contribution]) -> str:
    """Settings that work against each other: what they do together, and each alone."""
    large = [one for one in contributions if one.share is not None and abs(one.share) >= CANCELLING / 3]
    named = both([f"{one.path} ({against(one)})" for one in large[:MOST_NAMED]])
    explained = 1.0 - main.unexplained.value if main.unexplained else 0.0
    alone = [gaps.mean() for mixture, gaps in found.gaps(main.measure).items() if len(mixture) == 1]
    widest = max(alone, default=main.parts.whole.mean()) / main.parts.whole.mean()
    wider = (
        f", while switching one alone makes the gap up to {widest:.2g} times as large" if widest > 1 else ""
    )
    return f"{named} nearly cancel: together they explain {percent(explained)} of the difference{wider}."


def _nothing_found(contributions: Sequence[Contribution], main: Parted) -> str:
    """No setting has a share worth naming: none is known, or switching closes nothing."""
    if all(one.share is None for one in contributions):
        return (
            "Which setting explains the difference is not known: none of those that differ could be switched "
            "in a training that ends."
        )
    left = f": {percent(main.unexplained.value)} of the gap stays" if main.unexplained else ""
    settings = count(len(contributions), "setting that differs", "settings that differ")
    return f"The {settings} explain nothing of the difference{left}; likewise compare looks for its place."


def _start(found: Evidence, main: Parted | None) -> list[str]:
    """What each side's own start, which is chance, does to the gap."""
    if main is None or not found.plan.own_start:
        return []
    alike = (
        "Each framework draws its own initial weights, as the job says. That is chance and no setting, so "
        "all mixtures start from the same weights"
    )
    own = found.declared_gap(main.measure)
    if own is None:
        return [f"{alike}."]
    if len(main.factors) > len(found.plan.factors):
        return [
            f"{alike}; what their own starts add to the gap is beyond chance, and told as initial_weights."
        ]
    return [
        f"{alike}; from their own starts the gap is {gap(float(own.mean()) / main.scale)}, from the same "
        f"ones {gap(main.gap)}, no further apart than chance may bring them."
    ]


def _many(found: Evidence) -> list[str]:
    if found.plan.design.kind == "combinations":
        return []
    settings = count(len(found.plan.factors), "setting")
    return [
        f"With {settings} not every combination is trained: a share is the mean of switching the setting "
        "first and switching it last, set right so that all add up. --combinations N trains every one "
        "of the combinations of up to N settings."
    ]


def _failed(found: Evidence, main: Parted | None) -> list[str]:
    """Mixtures that have no numbers, with the reason of the first."""
    failures = found.failures()
    if main is None or not failures or main.measure == measures.DIVERGENCE:
        return []
    mixture, why = next(iter(failures.items()))
    switched = both([found.plan.factors[place].path for place in sorted(mixture)])
    many = f"{count(len(failures), 'mixture')} of {len(found.plan.pairs)} could not be trained to the end"
    orders = " Orders of switching that pass through them are left out." if main.parts.orders_left_out else ""
    return [f"{many}; the one with {switched} switched: {why.rstrip('.')}.{orders}"]


def _seeds(found: Evidence, main: Parted | None) -> list[str]:
    if main is None:
        return []
    seeds = found.seeds(main.measure)
    told = []
    if len(seeds) < len(found.plan.seeds):
        told.append(
            f"{len(seeds)} of {len(found.plan.seeds)} seeds gave numbers in both; the shares are theirs."
        )
    if len(seeds) == 1:
        told.append("One seed leaves no interval: train more with --seeds 5.")
    elif main.parts.whole.any() and (main.parts.whole == main.parts.whole[0]).all():
        told.append("All seeds give the same gap in this job, so the intervals have no width.")
    return told


def _device(found: Evidence) -> list[str]:
    devices = {run.job.device for run in found.plan.ends}
    return ["The device differs, too; it is left as each job has it."] if len(devices) > 1 else []
