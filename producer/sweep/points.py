"""The points of a grid: every combination of its values, each an experiment of its own. Pure."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from math import prod
from typing import Any

from likewise.producer.display import printable, short
from likewise.producer.job import jobtext, paths
from likewise.producer.job.jobfile import validate
from likewise.producer.job.resolve import COMMON, resolve
from likewise.shared.errors import JobFileError, Problem, UsageError
from likewise.shared.job import Experiment
from likewise.shared.job.side import Side

MOST_POINTS = 1_000

Settings = dict[str, Any]
"""They are the values of one point, by path."""


def grid_of(given: Sequence[str]) -> dict[str, list[Any]]:
    """Return what each `path=a,b,c` of `--grid` says. Raises UsageError."""
    grid: dict[str, list[Any]] = {}
    for one in given:
        path, equals, text = one.partition("=")
        path = path.strip()
        if not equals or not path or not text.strip():
            raise UsageError(
                f"--grid {printable(one)}: expected path=value,value, such as "
                "--grid optimizer.learning_rate=0.01,0.1"
            )
        if path in grid:
            raise UsageError(f"--grid names {printable(path)} twice; put all its values into one")
        try:
            grid[path] = jobtext.read_yaml(f"[{text}]")
        except jobtext.TextError:
            raise UsageError(
                f"--grid {printable(one)}: {printable(text)} is no list of values; separate them by single "
                "commas, such as 0.01,0.1, and close every bracket and quote"
            ) from None
    return grid


def points_of(experiment: Experiment) -> list[Settings]:
    """Return every combination of the grid's values, the last path's values changing quickest."""
    paths_, values = list(experiment.grid), experiment.grid.values()
    return [dict(zip(paths_, combination, strict=True)) for combination in itertools.product(*values)]


def trained_at(experiment: Experiment) -> dict[str, list[int]]:
    """Return, by side, for each point the first one of the same job, which is trained for all of them.

    What varies another side alone leaves a side's job as it is.
    """
    points = points_of(experiment)
    return {
        side.label: _first_alike([_settings_of(side, one) for one in points]) for side in experiment.side_list
    }


def _settings_of(side: Side, settings: Settings) -> Settings:
    """Return the settings of a point that may reach the side."""
    return {path: value for path, value in settings.items() if reaches(path, side)}


def reaches(path: str, side: Side) -> bool:
    """Return whether a grid's path may vary a setting of the side: everyone's, its own or its framework's."""
    return side_of(path)[0] in (None, side.label, side.framework)


def _first_alike(settings: Sequence[Settings]) -> list[int]:
    first: dict[str, int] = {}
    return [first.setdefault(repr(one), number) for number, one in enumerate(settings)]


def held_by_overrides(experiment: Experiment) -> dict[str, dict[str, str]]:
    """Return, by side, the grid's paths that do not reach it, each with the override that holds there."""
    document = experiment.model_dump(mode="json", exclude={"grid"}, exclude_unset=True)
    everyones = [path for path in experiment.grid if side_of(path)[0] is None]
    varied = {_setting_named(document, path) for path in experiment.grid}
    return {
        side.label: {
            path: override
            for path in everyones
            for override in experiment.changes_of(side)
            if paths.is_in(paths.by_index(document, path), paths.by_index(document, override))
            and not any(
                (name, paths.by_index(document, override)) in varied
                for name in (side.label, *experiment.overridden_by(side))
            )
        }
        for side in experiment.side_list
    }


def check_grid(experiment: Experiment, source: str) -> None:
    """Raise UsageError or JobFileError with the first thing wrong with the grid, at any of its points."""
    if not experiment.grid:
        raise UsageError(
            "there is nothing to sweep over; give --grid path=value,value, such as "
            "--grid optimizer.learning_rate=0.01,0.1"
        )
    document = experiment.model_dump(mode="json", exclude={"grid"}, exclude_unset=True)
    named: dict[tuple[str, str], str] = {}
    for path, values in experiment.grid.items():
        _refuse_what_cannot_vary(path)
        if (other := named.setdefault(_setting_named(document, path), path)) != path:
            raise UsageError(
                f"--grid {printable(path)} is the setting that {printable(other)} names, too; put all its "
                "values into one"
            )
        for place, value in enumerate(values):
            if value in values[:place]:
                raise UsageError(f"--grid {printable(path)} names {short(value)} twice")
    held = held_by_overrides(experiment)
    for path in experiment.grid:
        if all(path in held.get(side, {}) for side in experiment.labels):
            raise UsageError(
                f"--grid {printable(path)} varies nothing: the job overrides it for every framework; vary "
                f"that, with --grid overrides.{experiment.labels[0]}.{printable(path)}=value,value"
            )
    count = prod(len(values) for values in experiment.grid.values())
    if count > MOST_POINTS:
        raise UsageError(f"the grid has {count:,} points; at most {MOST_POINTS:,} are trained at once")
    for settings in points_of(experiment):
        resolve(experiment_at(experiment, settings, source=source), source=source_at(source, settings))


def side_of(path: str) -> tuple[str | None, str]:
    """Return the side whose setting alone a path varies, None for everyone's, and the setting's path."""
    if not path.startswith("overrides."):
        return None, path
    _, side, setting = path.split(".", 2)
    return side, setting


def experiment_at(experiment: Experiment, settings: Settings, *, source: str = "job file") -> Experiment:
    """Return the experiment at one point. Raises JobFileError for a path or value that does not fit."""
    document = experiment.model_dump(mode="json", exclude={"grid"}, exclude_unset=True)
    # a mapping as a whole before its parts
    for path, value in sorted(settings.items(), key=lambda setting: _setting_named(document, setting[0])):
        try:
            paths.assign(document, path, copy.deepcopy(value))
        except paths.PathError as error:
            problem = Problem(path=printable(path), message=printable(error.message), hint=error.hint)
            raise JobFileError(source_at(source, {path: value}), [problem]) from None
    return validate(document, source_at(source, settings))


def _setting_named(document: dict[str, Any], path: str) -> tuple[str, str]:
    """Return the same for every path that names a setting, by a layer's name or its index."""
    side, setting = side_of(path)
    return side or "", paths.by_index(document, setting)


def _refuse_what_cannot_vary(path: str) -> None:
    field, *below = path.split(".")
    if field == "overrides" and len(below) < 2:
        raise UsageError(
            f"--grid {printable(path)}: name one setting of one framework, such as "
            "--grid overrides.torch.optimizer.learning_rate=0.01,0.1"
        )
    if field in COMMON and field != "overrides":
        raise UsageError(f"--grid {printable(path)}: it is the same at every point and cannot be varied")


def source_at(source: str, settings: Settings) -> str:
    """Return what messages call the job at one point."""
    grid = " ".join(f"--grid {printable(path)}={short(value)}" for path, value in settings.items())
    return f"{source} with {grid}"
