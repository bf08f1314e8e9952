"""Whether a resolved job and its data fit together. Pure: arrays and jobs in, problems out."""

from __future__ import annotations

from collections.abc import Mapping

from producer.data.prepared import PreparedRun


def check(runs: Mapping[str, PreparedRun], *, source: str) -> None:
    """Raise JobFileError with everything that does not fit."""
    raise NotImplementedError


def advice(runs: Mapping[str, PreparedRun]) -> tuple[str, ...]:
    """Sentences about settings that are allowed but seldom meant."""
    raise NotImplementedError
