"""The Explanation as it is read: its fields, its sentence and its notes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from likewise.producer.blame.evidence import (
    DIVERGENCE,
    DividedGap,
    MixtureGaps,
)
from likewise.producer.blame.factors import Factor
from likewise.producer.display import both, count, gap
from likewise.producer.verdict.layer_lists import in_words
from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Label

Interval = tuple[float, float]
WORTH_A_WORD = 0.005
"""Shares below half a per cent are not named in the sentence; the table has them."""
MOST_NAMED = 3
NEARLY_ALL = 0.9


class Contribution(Frozen):
    """It says how much of the difference one setting makes."""

    path: str
    values: dict[Label, Any]
    """The setting in the reference and in the other side."""
    share: float | None
    """How much of the gap it makes, below 0 where switching it widens that; null where it is not known."""
    interval: Interval | None = None
    """Where the share lies with 95 % confidence, over seeds; null for one seed."""
    problem: str | None = None
    """Why there is no share."""
    together: bool = False
    """Whether these are several settings that work against each other and have one share together."""
    cause: str | None = None
    """What the difference does to a training."""
    fixes: dict[Label, str] = Field(default_factory=dict)
    """How each side's code is made to do as the other's, where it is known."""


class MeasureShares(Frozen):
    """It says how large the gap is in one measure, and each setting's share of it."""

    measure: str
    gap: float
    """The mean over seeds."""
    unit: str
    """What the gap is in, such as `of the largest value`."""
    shares: dict[str, float | None]
    """Each setting's share, by path."""
    unexplained_share: float | None


class Explanation(Frozen):
    """It says what accounts for the difference between the reference side and another."""

    schema_version: Literal[1] = 1
    experiment_id: str | None
    """Null for two programs of the user's own whose explanation could not be kept."""
    name: str
    reference: Label
    other: Label
    seeds: Many[int]
    mixtures: int
    """How many mixtures of the two jobs were trained, both ends included."""
    measure: str | None
    """What `gap` and the shares are in; null where nothing could be compared."""
    gap: float | None
    unit: str | None
    contributions: Many[Contribution]
    """The largest share first; those without one last."""
    unexplained_share: float | None
    unexplained_interval: Interval | None = None
    sentence: str
    notes: Many[str] = ()
    """What a reader has to know of how the shares were found."""
    measures: Many[MeasureShares] = ()
    """Every measure, the main one first."""
    budget_s: float | None = None
    """How long the trainings were to take at most."""
    left_out: Many[str] = ()
    """The settings that were not switched, to stay within the budget, by path."""


class Explained(Frozen):
    """It is what is kept of `likewise explain`: an explanation for each other side that was asked for."""

    schema_version: Literal[1] = 1
    explanations: Many[Explanation]


def sentence(
    gaps: MixtureGaps, main: DividedGap | None, contributions: Sequence[Contribution], *, tolerance: float
) -> str:
    """Return the answer in one sentence."""
    names = both([run.side for run in gaps.plan.ends])
    if main is None:
        return f"No seed gave numbers of both {names} that can be compared, so nothing is explained."
    if main.measure != DIVERGENCE and main.gap <= tolerance:
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
    if group := next((one for one in main.factors if one.members), None):
        return _cancelling(gaps, main, group)
    named = [one for one in contributions if one.share is not None and one.share >= WORTH_A_WORD]
    if not named:
        return _nothing_found(contributions, main)
    what = "whether the training diverges" if main.measure == DIVERGENCE else "the difference"
    return ranking(named, what=what, unexplained=main.unexplained.value if main.unexplained else None)


def percent(share: float) -> str:
    """Return such as `100 %`, `−4 %`, `< 1 %`."""
    if 0 < abs(share) < WORTH_A_WORD:
        return "< 1 %"
    return f"{'−' if share < 0 else ''}{abs(share) * 100:.0f} %"


def against(contribution: Contribution | Factor) -> str:
    """Return such as `sum against mean`: the other's value and the reference's."""
    mine, theirs = in_words(contribution.path, contribution.values).values()
    return f"{theirs} against {mine}"


def notes(gaps: MixtureGaps, main: DividedGap | None) -> tuple[str, ...]:
    """Return what a reader has to know of how the shares were found."""
    return (
        *_words(gaps),
        *_start(gaps, main),
        *_many(gaps),
        *_unswitched(gaps, main),
        *_failed(gaps, main),
        *_seeds(gaps, main),
        *_device(gaps),
    )


def ranking(named: Sequence[Contribution], *, what: str = "the difference", unexplained: float | None) -> str:
    """Say what explains most, what else does, what is left, and the cause where one setting is all."""
    first, *rest = named
    assert first.share is not None  # noqa: S101  # by the choice of `named`
    sentence = f"{first.path} ({against(first)}) explains {percent(first.share)} of {what}"
    more = [
        f"{one.path} ({against(one)}) {percent(one.share)}"
        for one in rest[: MOST_NAMED - 1]
        if one.share is not None
    ]
    if more:
        sentence = f"{sentence}, {both(more)}"
    if len(named) > MOST_NAMED:
        sentence = f"{sentence}, {count(len(named) - MOST_NAMED, 'other setting')} the rest"
    if unexplained is not None and unexplained >= WORTH_A_WORD:
        sentence = f"{sentence}; {percent(unexplained)} stays unexplained"
    alone = not rest and first.share >= NEARLY_ALL and first.cause is not None
    return f"{sentence}: {first.cause}." if alone else f"{sentence}."


def _cancelling(gaps: MixtureGaps, main: DividedGap, group: Factor) -> str:
    """Say what settings that work against each other do together, and what each does alone."""
    named = both([f"{one.path} ({against(one)})" for one in group.members[:MOST_NAMED]])
    explained = 1.0 - main.unexplained.value if main.unexplained else 0.0
    alone = [each.mean() for mixture, each in gaps.gaps(main.measure).items() if len(mixture) == 1]
    widest = max(alone, default=main.parts.whole.mean()) / main.parts.whole.mean()
    wider = (
        f", while switching one alone makes the gap up to {widest:.2g} times as large" if widest > 1 else ""
    )
    return f"{named} nearly cancel: together they explain {percent(explained)} of the difference{wider}."


def _nothing_found(contributions: Sequence[Contribution], main: DividedGap) -> str:
    """Say why no setting has a share worth naming: none is known, or switching closes nothing."""
    if all(one.share is None for one in contributions):
        return (
            "Which setting explains the difference is not known: none of those that differ could be switched "
            "in a training that ends."
        )
    left = f": {percent(main.unexplained.value)} of the gap stays" if main.unexplained else ""
    settings = count(len(contributions), "setting that differs", "settings that differ")
    return f"The {settings} explain nothing of the difference{left}; likewise compare looks for its place."


def _words(gaps: MixtureGaps) -> list[str]:
    """Say what is only written differently, and in whose words the other settings are told."""
    words = gaps.plan.own_words
    if words is None:
        return []
    reference = gaps.plan.ends[0].side
    return [
        f"Written differently, computes the same: {words.factor.path} ({words.says}). The mixtures and the "
        f"other settings are in {reference}'s words."
    ]


def _start(gaps: MixtureGaps, main: DividedGap | None) -> list[str]:
    """Say what each side's own start, which is chance, does to the gap."""
    if main is None or not gaps.plan.own_start:
        return []
    alike = (
        "Each side draws its own initial weights, as the job says. That is chance and no setting, so "
        "all mixtures start from the same weights"
    )
    own = gaps.declared_gap(main.measure)
    if own is None:
        return [f"{alike}."]
    if main.factors[-1:] and main.factors[-1].path == "initial_weights":
        return [
            f"{alike}; what their own starts add to the gap is beyond chance, and told as initial_weights."
        ]
    return [
        f"{alike}; from their own starts the gap is {gap(float(own.mean()) / main.scale)}, from the same "
        f"ones {gap(main.gap)}, no further apart than chance may bring them."
    ]


def _many(gaps: MixtureGaps) -> list[str]:
    if gaps.plan.design.kind == "combinations":
        return []
    settings = count(len(gaps.plan.factors), "setting")
    return [
        f"With {settings} not every combination is trained: a share is the mean of switching the setting "
        "first and switching it last, set right so that all add up. --combinations N trains every one "
        "of the combinations of up to N settings."
    ]


def _unswitched(gaps: MixtureGaps, main: DividedGap | None) -> list[str]:
    """Say how the settings were chosen that are not switched, and how much all of them can do."""
    if main is None or not gaps.plan.left_out or main.unexplained is None:
        return []
    several = len(gaps.plan.left_out) > 1
    left = percent(main.unexplained.value)
    found = gaps.plan.parting
    chosen = (
        "Which settings are not switched was decided by what they are, before anything was measured: data "
        "and model are the last to go, constants that keep a divisor from 0 the first."
    )
    if found is not None:
        chosen = (
            "Which settings are not switched was decided by a replay, in which the sides first part "
            f"noticeably at update {found.step}, in {found.tensor} ({found.stage}): what acts there is the "
            "last to go, what acts before and showed little is the first."
        )
    return [
        f"{chosen} What "
        f"{'these do together' if several else 'this one does'} is in the {left} left unexplained."
    ]


def _failed(gaps: MixtureGaps, main: DividedGap | None) -> list[str]:
    """Say how many mixtures have no numbers, with the reason of the first."""
    failures = gaps.failures()
    if main is None or not failures or main.measure == DIVERGENCE:
        return []
    mixture, why = next(iter(failures.items()))
    switched = both([gaps.plan.factors[place].path for place in sorted(mixture)])
    many = f"{count(len(failures), 'mixture')} of {len(gaps.plan.pairs)} could not be trained to the end"
    orders = " Orders of switching that pass through them are left out." if main.parts.orders_left_out else ""
    return [f"{many}; the one with {switched} switched: {why.rstrip('.')}.{orders}"]


def _seeds(gaps: MixtureGaps, main: DividedGap | None) -> list[str]:
    if main is None:
        return []
    seeds = gaps.seeds(main.measure)
    lines = []
    if len(seeds) < len(gaps.plan.seeds):
        lines.append(
            f"{len(seeds)} of {len(gaps.plan.seeds)} seeds gave numbers in both; the shares are theirs."
        )
    if len(seeds) == 1:
        lines.append("One seed leaves no interval: train more with --seeds 5.")
    elif main.parts.whole.any() and (main.parts.whole == main.parts.whole[0]).all():
        lines.append("All seeds give the same gap in this job, so the intervals have no width.")
    return lines


def _device(gaps: MixtureGaps) -> list[str]:
    devices = {run.job.device for run in gaps.plan.ends}
    return ["The device differs, too; it is left as each job has it."] if len(devices) > 1 else []
