"""Follows an experiment from anywhere, from any moment, to its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.ledger import ExperimentRecord, Ledger, RunRecord
from shared.progress import ProgressEvent

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """A training went on. `position` resumes `follow` after this update (`after=position`)."""

    position: str
    event: ProgressEvent


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A run's record as it is now; the first updates of a `follow` are one of these a run."""

    position: str
    record: RunRecord


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """A word on a wait: no live worker serves the run's queue, or its worker has gone silent."""

    position: str
    run_id: str
    framework: str
    text: str


Update = Progressed | Changed | Noticed


def follow(
    record: ExperimentRecord, *, ledger: Ledger, client: redis.Redis, after: str = "0"
) -> Iterator[Update]:
    """Updates until every run is final. `after="$"` skips the progress made so far, "0" replays it.

    Raises RedisError when Redis stays away.
    """
    raise NotImplementedError
