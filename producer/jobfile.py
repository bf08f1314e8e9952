"""From what the user names (a file, `-` or an example) and `--set` to a valid Experiment.

Knows files and standard input; data, overrides and frameworks are others' concern.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.spec import Experiment


@dataclass(frozen=True, kw_only=True)
class LoadedExperiment:
    """A valid experiment and where it came from."""

    experiment: Experiment
    source: str
    """For messages: the path as given, `standard input`, or `example article`."""
    base: Path
    """The folder that relative data paths start from: the job file's, or the current one."""


def read_experiment(spec: str, set_values: Sequence[str] = ()) -> LoadedExperiment:
    """Read `spec`, apply each `path=value` of `set_values` in order, and validate.

    Raises JobFileError with every problem found.
    """
    raise NotImplementedError
