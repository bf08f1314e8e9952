"""Resolves an experiment for each side: its job with nothing left open, and where each setting came from.

Pure: it reads nothing but the tables of `producer.job.native`, which ship with the tool.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import ValidationError

from likewise.producer.display import both, printable, short
from likewise.producer.job import paths
from likewise.producer.job.native import NativeDefault, filled, own_initializers
from likewise.producer.job.problems import problems
from likewise.shared.errors import JobFileError, Problem
from likewise.shared.job import Experiment, Job
from likewise.shared.job.several import ONLY_OUTPUT
from likewise.shared.job.side import Side
from likewise.shared.job.weights import FrameworkWeights, InitializerWeights, SharedWeights

Kind = Literal["written", "override", "shared", "native", "framework", "stored"]
COMMON = ("schema_version", "name", "seeds", "frameworks", "sides", "overrides", "defaults", "margin", "grid")
"""Fields that are the same for every side."""


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
    framework: str = ""
    """The framework of the side."""
    start: Kind | None = None
    """What made its initializers draw a start of its own, where the job does not say so."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where one value came from. `native` is None unless a framework's own default had a part in it."""

    kind: Kind
    """`framework` is what draws the start where each framework does so by itself. `stored` is a value that
    this version would resolve to another: the experiment is an older one's."""
    native: NativeDefault | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, by side; a side that has no such setting is missing in both."""

    path: str
    values: Mapping[str, Any]
    """The JSON value of each side."""
    origins: Mapping[str, Origin]

    def differs(self, sides: Sequence[str]) -> bool:
        """Return whether some side has another value, or lacks the setting."""
        return len({repr(self.values.get(label)) for label in sides}) > 1


def resolve(experiment: Experiment, *, source: str = "job file") -> dict[str, Job]:
    """Return each side's job, in the experiment's order, with metrics and all else explicit.

    What was written always wins. What was left out has the shared default, or with `defaults: native`
    the framework's own. A field counts as written where `model_fields_set` has it, so an experiment must
    not be rebuilt from a dump that has the defaults in it.

    Raises JobFileError for overrides that do not fit, each by the path at which it is written.
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
    found: dict[str, list[Problem]] = {}
    for side in experiment.side_list:
        document, changed, wrong = _overridden(written, experiment.changes_of(side))
        if wrong:
            found[side.label] = wrong
            continue
        native: dict[str, NativeDefault] = {}
        try:
            job = Job.model_validate(document) if changed else without_overrides
            given = job.model_dump(mode="json", exclude_unset=True)
            if experiment.defaults == "native":
                document, native = filled(job, side.framework)
                job = Job.model_validate(document)
        except ValidationError as error:
            found[side.label] = problems(error, Job, document)
            continue
        resolved[side.label] = Resolved(
            job=_explicit(job),
            written=frozenset(path for path, _ in leaves(written)),
            overridden=frozenset(path for path, _ in leaves(given) if paths.is_in(path, *changed)),
            native=native,
            framework=side.framework,
        )
    if found:
        raise JobFileError(source, as_written(experiment, found))
    return _with_a_true_start(resolved)


def _with_a_true_start(resolved: dict[str, Resolved]) -> dict[str, Resolved]:
    """Return the sides; where their initializers differ, none says that it shares its start.

    `shared` is the same arrays in every side, which other initializers do not draw.
    """
    drawn = [
        {path: value for path, value in leaves(one.job.model_dump(mode="json")) if _is_initializer(path)}
        for one in resolved.values()
    ]
    every = {path for found in drawn for path in found}
    if all(len({repr(found[path]) for found in drawn if path in found}) == 1 for path in every):
        return resolved
    return {side: _drawn_by_its_own(one) for side, one in resolved.items()}


def _drawn_by_its_own(one: Resolved) -> Resolved:
    start = one.job.initial_weights
    if not isinstance(start, SharedWeights):
        return one
    own = InitializerWeights(type="initializers", seed=start.seed)
    native = any(_is_initializer(path) for path in one.native)
    job = one.job.model_copy(update={"initial_weights": own})
    return replace(one, job=job, start="native" if native else "override")


def _is_initializer(path: str) -> bool:
    return path.endswith("_initializer")


def as_written(experiment: Experiment, found: Mapping[str, Sequence[Problem]]) -> list[Problem]:
    """Return the problems of the sides' jobs, each once and by the path at which its setting is written.

    `found` are the problems by side. What is wrong with a setting of the whole job in some sides names them.
    """
    restated: list[Problem] = []
    for problem in dict.fromkeys(one for problems_ in found.values() for one in problems_):
        sides: dict[str, list[str]] = {}
        for side in experiment.side_list:
            if problem in found.get(side.label, ()):
                sides.setdefault(written_at(experiment, side, problem.path), []).append(side.label)
        for path, labels in sides.items():
            everyones = path == problem.path and len(labels) < len(experiment.labels)
            message = f"{problem.message}, in {both(labels)}" if everyones else problem.message
            restated.append(replace(problem, path=printable(path), message=message))
    return restated


def written_at(experiment: Experiment, side: Side, path: str) -> str:
    """Return where the job file has what is a side's setting: the path itself unless the side changes it.

    A problem of a whole mapping is where the one change within it is written.
    """
    places = changes_at(experiment, side)
    if path in places:
        return places[path]
    document = experiment.model_dump(mode="json", exclude_unset=True)
    setting = paths.by_index(document, path)
    changed = {paths.by_index(document, one): place for one, place in places.items()}
    around = [one for one in changed if paths.is_in(setting, one)]
    if around:
        whole = max(around, key=len)
        return changed[whole] + setting[len(whole) :]
    within = [place for one, place in changed.items() if paths.is_in(one, setting)]
    return within[0] if len(within) == 1 else path


def changes_at(experiment: Experiment, side: Side) -> dict[str, str]:
    """Return where each setting that a side changes is written, by the setting's path."""
    places = {path: f"sides.{side.label}.{path}" for path in side.settings}
    places |= {path: f"sides.{side.label}.overrides.{path}" for path in side.overrides or {}}
    for name in experiment.overridden_by(side):
        places |= {path: f"overrides.{name}.{path}" for path in experiment.overrides.get(name, {})}
    return places


def _overridden(
    written: dict[str, Any], overrides: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str], list[Problem]]:
    """Return the written values with the overrides in them, where those went, and what is wrong with them."""
    document = copy.deepcopy(written)
    changed: set[str] = set()
    wrong: list[Problem] = []
    named: dict[str, str] = {}
    # a mapping as a whole before its parts
    for setting, path in sorted((paths.by_index(written, path), path) for path in overrides):
        value = overrides[path]
        if (other := named.setdefault(setting, path)) != path:
            message = f"is the setting that {printable(other)} names, too, with {short(overrides[other])}"
            wrong.append(Problem(path=path, value=short(value), message=message, hint="keep one of them"))
            continue
        field = path.split(".", 1)[0]
        if field in COMMON:
            message = f"{field} is the same for every side and cannot be overridden"
            wrong.append(Problem(path=path, value=short(value), message=message))
            continue
        try:
            changed.add(paths.assign(document, path, copy.deepcopy(value)))
        except paths.PathError as error:
            wrong.append(Problem(path=path, value=short(value), message=error.message, hint=error.hint))
    return document, changed, wrong


def _explicit(job: Job) -> Job:
    """Return the job with the metrics of each output that are reported where it names none."""
    if job.model.outputs is None and job.metrics is not None:
        return job
    named = job.metrics_by_output
    return job.model_copy(update={"metrics": named.get(ONLY_OUTPUT, named)})


def setting_differences(jobs: Mapping[str, Job]) -> list[SettingDifference]:
    """Return the leaf settings that are not the same in every side, sorted by path."""
    settings = {side: dict(leaves(job.model_dump(mode="json"))) for side, job in jobs.items()}
    every_path = sorted({path for values in settings.values() for path in values})
    differences = (
        SettingDifference(path=path, values={side: values.get(path) for side, values in settings.items()})
        for path in every_path
    )
    return [d for d in differences if len({repr(value) for value in d.values.values()}) > 1]


def without_consequences(differences: Iterable[SettingDifference]) -> list[SettingDifference]:
    """Leave out settings that differ only because another kind was chosen, as adam has no momentum."""
    every = list(differences)
    kinds = {one.path.removesuffix("type") for one in every if one.path.endswith(".type")}
    return [
        one
        for one in every
        if not any(one.path.startswith(kind) and one.path != f"{kind}type" for kind in kinds)
    ]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted paths of the plain values; a list is one value unless it holds mappings.

    An initializer, regularizer or constraint is one value too, as a word where it has only a type: its parts
    mean nothing alone.
    """
    if path.endswith(("_initializer", "_regularizer", "_constraint")):
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
    now = {name: shown_settings(one.job, one.framework) for name, one in resolved.items()}
    shown = now
    if jobs is not None:
        shown = {name: shown_settings(job, resolved[name].framework) for name, job in jobs.items()}
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


def shown_settings(job: Job, framework: str) -> dict[str, Any]:
    """Return the value of each leaf setting, by path, as a reader is shown it.

    Where the framework draws its own start, its own initializers stand in place of the job's, which draw
    nothing; `its own default` where no table knows them.
    """
    settings = dict(leaves(job.model_dump(mode="json")))
    if not isinstance(job.initial_weights, FrameworkWeights):
        return settings
    own = own_initializers(job, framework)
    drawn = {
        path: own[path][0] if path in own else "its own default" for path in settings if _is_initializer(path)
    }
    return settings | {path: dict(leaves(value, path))[path] for path, value in drawn.items()}


def _origin(path: str, one: Resolved) -> Origin:
    if _is_initializer(path) and isinstance(one.job.initial_weights, FrameworkWeights):
        known = own_initializers(one.job, one.framework).get(path)
        return Origin(kind="framework", native=known[1] if known else None)
    if path == "initial_weights.type" and one.start is not None:
        return Origin(kind=one.start)
    # a row of a whole mapping, or of a part of what is one setting, such as a written initializer's
    rows = one.native.items()
    row = next((row for place, row in rows if paths.is_in(path, place) or paths.is_in(place, path)), None)
    if path in one.overridden:
        return Origin(kind="override", native=row)
    if path in one.written:
        return Origin(kind="written", native=row)
    return Origin(kind="shared") if row is None else Origin(kind="native", native=row)
