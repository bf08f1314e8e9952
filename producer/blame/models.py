"""The Explanation and its parts: which settings account for a difference. Nothing enumerates frameworks."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.job.fields import Many
from shared.job.side import Label

Interval = tuple[float, float]


class Contribution(Frozen):
    """One setting that differs, and its share of the difference."""

    path: str
    values: dict[Label, Any]
    """The setting in the reference and in the other side."""
    share: float | None
    """Of the gap; below 0 where switching it widens the gap. Null where it could not be measured."""
    interval: Interval | None = None
    """Where the share lies with 95 % confidence, over seeds; null for one seed."""
    problem: str | None = None
    """Why there is no share."""
    cause: str | None = None
    """What the difference does to a training."""
    fixes: dict[Label, str] = Field(default_factory=dict)
    """How each side's code is made to do as the other's, where it is known."""


class MeasureShares(Frozen):
    """The gap in one measure and its shares, by setting."""

    measure: str
    gap: float
    """The mean over seeds."""
    unit: str
    """What the gap is in, such as `of the largest value`."""
    shares: dict[str, float | None]
    """By path."""
    unexplained_share: float | None


class Explanation(Frozen):
    """What accounts for the difference between the reference side and another."""

    schema_version: Literal[1] = 1
    experiment_id: str
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
