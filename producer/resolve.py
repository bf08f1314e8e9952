"""What one framework makes of an experiment: its job with the overrides applied and nothing left open.

Pure: no files, network or data.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from producer import paths
from producer.display import printable, short
from producer.problems import problems
from shared.errors import JobFileError, Problem
from shared.spec import Experiment, Job
from shared.spec.metrics import fitting_metrics

COMMON = ("schema_version", "name", "seeds", "frameworks", "overrides")
"""Fields that are the same for every framework."""


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
    # Only what was written: an override of a `type` then takes the new type's own defaults along.
    written = experiment.model_dump(
        mode="json", exclude={"frameworks", "seeds", "overrides"}, exclude_unset=True
    )
    without_overrides = _explicit(Job.model_validate(written))
    jobs: dict[str, Job] = {}
    found: list[Problem] = []
    for framework in experiment.frameworks:
        overrides = experiment.overrides.get(framework)
        if not overrides:
            jobs[framework] = without_overrides
            continue
        document = copy.deepcopy(written)
        prefix = f"overrides.{framework}."
        wrong = [
            problem
            for path, value in sorted(overrides.items())
            for problem in _override(document, path, value, prefix)
        ]
        if wrong:
            found += wrong
            continue
        try:
            jobs[framework] = _explicit(Job.model_validate(document))
        except ValidationError as error:
            found += problems(error, Job, document, prefix=prefix)
    if found:
        raise JobFileError(source, found)
    return jobs


def _explicit(job: Job) -> Job:
    return job if job.metrics is not None else job.model_copy(update={"metrics": fitting_metrics(job.loss)})


def _override(document: dict[str, Any], path: str, value: Any, prefix: str) -> list[Problem]:
    shown = f"{prefix}{printable(path)}"
    field = path.split(".", 1)[0]
    if field in COMMON:
        message = f"{field} is the same for every framework and cannot be overridden"
        return [Problem(path=shown, value=short(value), message=message)]
    try:
        paths.assign(document, path, copy.deepcopy(value))
    except paths.PathError as error:
        return [Problem(path=shown, value=short(value), message=error.message, hint=error.hint)]
    return []


def setting_differences(jobs: Mapping[str, Job]) -> list[SettingDifference]:
    """The leaf settings that are not the same in every framework, sorted by path."""
    leaves = {framework: dict(_leaves(job.model_dump(mode="json"))) for framework, job in jobs.items()}
    every_path = sorted({path for settings in leaves.values() for path in settings})
    differences = (
        SettingDifference(path=path, values={f: settings.get(path) for f, settings in leaves.items()})
        for path in every_path
    )
    return [d for d in differences if len({repr(value) for value in d.values.values()}) > 1]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths of the plain values; a list is one value unless it holds mappings."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}.{index}")
    else:
        yield path, value
