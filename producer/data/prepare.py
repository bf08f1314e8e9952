"""Load, split, standardise."""

from __future__ import annotations

from pathlib import Path

from producer.data.prepared import PreparedData
from shared.spec import Job


def prepare(job: Job, base: Path) -> PreparedData:
    """The job's data; `base` is the folder that relative paths start from. Raises DataError."""
    raise NotImplementedError
