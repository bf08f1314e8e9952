"""What a shell offers where Tab is pressed: examples, experiments, sides, settings with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_JOB_FILES = (".yaml", ".yml", ".json")
_MOST_IDS = 30


def specs(incomplete: str) -> list[tuple[str, str]]:
    """Return the examples, and the job files that begin so."""
    from likewise.producer.job.examples import examples

    shipped = [(one.name, one.title) for one in examples() if one.name.startswith(incomplete)]
    return [*shipped, *_files(incomplete)]


def ids(incomplete: str) -> list[tuple[str, str]]:
    """Return `last` and the recent experiments; only `last` where no Redis runs."""
    return [one for one in [("last", "the newest"), *_quietly(_experiments)] if one[0].startswith(incomplete)]


def specs_and_ids(incomplete: str) -> list[tuple[str, str]]:
    """Return what a command takes that takes a job or an experiment."""
    return [*specs(incomplete), *ids(incomplete)]


def sides(ctx: Any, incomplete: str) -> list[str]:
    """Return the labels of the sides of the job that is named before."""
    return [label for label in _quietly(lambda: _labels(ctx)) if label.startswith(incomplete)]


def frameworks(incomplete: str) -> list[str]:
    """Return sides as `--sides` takes them; what comes before the last comma stays."""
    from likewise.producer.local.environments import known_frameworks

    before, comma, last = incomplete.rpartition(",")
    ways = ("", ":eager", ":compiled", "@cpu", "@cuda")
    words = [f"{name}{way}" for name in known_frameworks() for way in ways]
    return [f"{before}{comma}{word}" for word in words if word.startswith(last)]


def settings(ctx: Any, incomplete: str) -> list[str]:
    """Return each setting of the job that is named before, with the value that it has."""
    return [one for one in _quietly(lambda: _settings(ctx)) if one.startswith(incomplete)]


def _files(incomplete: str) -> Iterator[tuple[str, str]]:
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if str(path).startswith(incomplete) and (path.suffix in _JOB_FILES or path.is_dir()):
                yield (f"{path}/", "") if path.is_dir() else (str(path), "")


def _experiments() -> Iterator[tuple[str, str]]:
    from likewise.producer.session import open_running
    from likewise.shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is not None:
        with session:
            for record in session.ledger.experiments(limit=_MOST_IDS):
                yield record.experiment_id[:8], record.name


def _spec(ctx: Any) -> str:
    """Return the job that the words so far name: while a line is not whole, it stands among the rest."""
    from likewise.producer.job.examples import is_example

    words = [ctx.params.get("spec"), *ctx.args]
    return next(
        str(word) for word in words if word is not None and (is_example(word) or Path(word).is_file())
    )


def _labels(ctx: Any) -> Iterator[str]:
    from likewise.producer.job.jobfile import read_experiment

    yield from read_experiment(_spec(ctx)).experiment.labels


def _settings(ctx: Any) -> Iterator[str]:
    from likewise.producer.display import setting
    from likewise.producer.job.jobfile import read_experiment
    from likewise.producer.job.resolve import resolve, shown_settings

    experiment = read_experiment(_spec(ctx)).experiment
    for label, job in resolve(experiment).items():
        framework = next(side.framework for side in experiment.side_list if side.label == label)
        yield from (f"{path}={setting(value)}" for path, value in shown_settings(job, framework).items())
        return


def _quietly(found: Callable[[], Iterator[Any]]) -> list[Any]:
    """Return what is found; nothing where that cannot be known: a shell has no place for an error."""
    with suppress(Exception):
        return list(found())
    return []
