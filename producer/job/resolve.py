"""Resolves an experiment for each side: its job with nothing left open, and where each setting came from.

Pure: it reads nothing but the tables of `producer.job.native`, which ship with the tool.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from likewise.producer.display import printable, short
from likewise.producer.job import paths
from likewise.producer.job.native import NativeDefault, fill
from likewise.producer.job.problems import problems
from likewise.shared.errors import JobFileError, Problem
from likewise.shared.job import Experiment, Job
from likewise.shared.job.loss import fitting_metrics

Kind = Literal["written", "override", "shared", "native", "stored"]
COMMON = ("schema_version", "name", "seeds", "frameworks", "sides", "overrides", "defaults", "margin", "grid")
"""Fields that are the same for every framework."""


@dataclass(frozen=True, kw_only=True)
class SettingDifference:
    """A setting with another value in some side; a side without the setting has None."""

    path: str
    values: Mapping[str, Any]
    """The JSON value of each side that has the setting."""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """One side's job and where its settings came from; the rest are the shared defaults."""

    job: Job
    written: frozenset[str]
    """Paths of the plain values that the job file (or `--set`) has."""
    overridden: frozenset[str]
    """Paths of those that an override has; they may be written as well."""
    native: Mapping[str, NativeDefault]
    """What the framework's own default filled in, by path; a mapping stands for all in it."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where one value came from. `native` is None unless a framework's own default had a part in it."""

    kind: Kind
    """`stored` is a value that this version would resolve to another: the experiment is an older one's."""
    native: NativeDefault | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, by framework; a framework that has no such setting is missing in both."""

    path: str
    values: Mapping[str, Any]
    """The JSON value of each side."""
    origins: Mapping[str, Origin]

    def differs(self, frameworks: Sequence[str]) -> bool:
        """Return whether some framework has another value, or lacks the setting."""
        return len({repr(self.values.get(name)) for name in frameworks}) > 1


def resolve(experiment: Experiment, *, source: str = "job file") -> dict[str, Job]:
    """Return each side's job, in the experiment's order, with metrics and all else explicit.

    What was written always wins. What was left out has the shared default, or with `defaults: native`
    the framework's own. A field counts as written where `model_fields_set` has it, so an experiment must
    not be rebuilt from a dump that has the defaults in it.

    Raises JobFileError for overrides that do not fit, as `overrides.<label>.<path>`.
    """
    return {name: one.job for name, one in resolve_with_origins(experiment, source=source).items()}


def resolve_with_origins(experiment: Experiment, *, source: str = "job file") -> dict[str, Resolved]:
    """Resolve each side as `resolve` does, and note where each setting came from."""
    # Only what was written: an override of a `type` then takes the new type's own defaults along.
    written = experiment.model_dump(
        mode="json", exclude=set(Experiment.model_fields) - set(Job.model_fields), exclude_unset=True
    )
    without_overrides = Job.model_validate(written)
    resolved: dict[str, Resolved] = {}
    found: list[Problem] = []
    for side in experiment.side_list:
        prefix = f"overrides.{side.label}."
        document, changed, wrong = _overridden(written, experiment.changes_of(side), prefix)
        if wrong:
            found += wrong
            continue
        native: dict[str, NativeDefault] = {}
        try:
            job = Job.model_validate(document) if changed else without_overrides
            given = job.model_dump(mode="json", exclude_unset=True)
            if experiment.defaults == "native":
                document, prefix = copy.deepcopy(given), f"defaults.{side.label}."
                native = fill(document, side.framework)
                job = Job.model_validate(document)
        except ValidationError as error:
            found += problems(error, Job, document, prefix=prefix)
            continue
        resolved[side.label] = Resolved(
            job=_explicit(job),
            written=frozenset(path for path, _ in leaves(written)),
            overridden=frozenset(path for path, _ in leaves(given) if paths.is_in(path, *changed)),
            native=native,
        )
    if found:
        raise JobFileError(source, found)
    return resolved


def _overridden(
    written: dict[str, Any], overrides: Mapping[str, Any], prefix: str
) -> tuple[dict[str, Any], set[str], list[Problem]]:
    """Return the written values with the overrides in them, where those went, and what is wrong with them."""
    document = copy.deepcopy(written)
    changed: set[str] = set()
    wrong: list[Problem] = []
    named: dict[str, str] = {}
    # a mapping as a whole before its parts
    for setting, path in sorted((paths.by_index(written, path), path) for path in overrides):
        value, shown = overrides[path], f"{prefix}{printable(path)}"
        if (other := named.setdefault(setting, path)) != path:
            message = f"is the setting that {printable(other)} names, too, with {short(overrides[other])}"
            wrong.append(Problem(path=shown, value=short(value), message=message, hint="keep one of them"))
            continue
        field = path.split(".", 1)[0]
        if field in COMMON:
            message = f"{field} is the same for every framework and cannot be overridden"
            wrong.append(Problem(path=shown, value=short(value), message=message))
            continue
        try:
            changed.add(paths.assign(document, path, copy.deepcopy(value)))
        except paths.PathError as error:
            wrong.append(Problem(path=shown, value=short(value), message=error.message, hint=error.hint))
    return document, changed, wrong


def _explicit(job: Job) -> Job:
    return job if job.metrics is not None else job.model_copy(update={"metrics": fitting_metrics(job.loss)})


def setting_differences(jobs: Mapping[str, Job]) -> list[SettingDifference]:
    """Return the leaf settings that are not the same in every side, sorted by path."""
    settings = {side: dict(leaves(job.model_dump(mode="json"))) for side, job in jobs.items()}
    every_path = sorted({path for values in settings.values() for path in values})
    differences = (
        SettingDifference(path=path, values={f: values.get(path) for f, values in settings.items()})
        for path in every_path
    )
    return [d for d in differences if len({repr(value) for value in d.values.values()}) > 1]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted paths of the plain values; a list is one value unless it holds mappings.

    An initializer is one value too, as a word where it has only a type: its parts mean nothing alone.
    """
    if path.endswith("_initializer"):
        yield path, value["type"] if isinstance(value, dict) and list(value) == ["type"] else value
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, value


def settings_of(resolved: Mapping[str, Resolved], jobs: Mapping[str, Job] | None = None) -> list[Setting]:
    """Return every setting in the job file's order.

    `jobs` are those of a stored experiment; without them the ones that were just resolved are shown.
    """
    now = {name: dict(leaves(one.job.model_dump(mode="json"))) for name, one in resolved.items()}
    shown = now
    if jobs is not None:
        shown = {name: dict(leaves(job.model_dump(mode="json"))) for name, job in jobs.items()}
    every = dict.fromkeys(path for values in shown.values() for path in values)
    found = []
    for path in every:
        holders = [name for name, values in shown.items() if path in values]
        origins = {
            name: _origin(path, resolved[name])
            if name in now and now[name].get(path) == shown[name][path]
            else Origin(kind="stored")
            for name in holders
        }
        found.append(
            Setting(path=path, values={name: shown[name][path] for name in holders}, origins=origins)
        )
    return found


def _origin(path: str, one: Resolved) -> Origin:
    # a row of a whole mapping, or of a part of what is one setting, such as a written initializer's
    rows = one.native.items()
    row = next((row for place, row in rows if paths.is_in(path, place) or paths.is_in(place, path)), None)
    if path in one.overridden:
        return Origin(kind="override", native=row)
    if path in one.written:
        return Origin(kind="written", native=row)
    return Origin(kind="shared") if row is None else Origin(kind="native", native=row)
