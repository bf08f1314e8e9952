"""What one framework makes of an experiment: its job with the overrides applied and nothing left open.

Pure: no files, network or data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.spec import Experiment, Job


@dataclass(frozen=True, kw_only=True)
class SettingDifference:
    """A setting with another value in some framework; a framework without the setting has None."""

    path: str
    values: Mapping[str, Any]
    """By framework, JSON values."""


def resolve(experiment: Experiment, *, source: str = "job file") -> dict[str, Job]:
    """Each framework's job, in the order of `frameworks`, with metrics and all else explicit.

    Raises JobFileError for overrides that do not fit, as `overrides.<framework>.<path>`.
    """
    raise NotImplementedError


def setting_differences(jobs: Mapping[str, Job]) -> list[SettingDifference]:
    """The leaf settings that are not the same in every framework, sorted by path."""
    raise NotImplementedError
