"""From what the user names (a file, `-` or an example) and `--set` to a valid Experiment.

Knows files and standard input; data, overrides and frameworks are others' concern.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from producer.display import nearest, printable, short
from producer.job import jobtext, paths
from producer.job import sides as declared
from producer.job.problems import problems
from producer.job.resolve import resolve
from shared.errors import JobFileError, Problem, UsageError
from shared.job import Experiment
from shared.job.experiment import SCHEMA_VERSION

SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, kw_only=True)
class LoadedExperiment:
    """A valid experiment and where it came from."""

    experiment: Experiment
    source: str
    """For messages: the path as given, `standard input`, or `example article`."""
    base: Path
    """The folder that relative data paths start from: the job file's, or the current one."""


def read_experiment(spec: str, set_values: Sequence[str] = (), sides: str | None = None) -> LoadedExperiment:
    """Read `spec`, declare `sides`, apply each `path=value` of `set_values` in order, and validate.

    `sides` is what `--sides` says.

    Raises JobFileError with every problem found, UsageError for a `path=value` that is none.
    """
    source, base, text, as_json = _read(spec)
    try:
        document = jobtext.read_json(text) if as_json else jobtext.read_yaml(text)
    except jobtext.TextError as error:
        raise _text_problem(source, error) from None
    if not isinstance(document, dict):
        raise JobFileError(
            source,
            [
                Problem(
                    path="",
                    value=short(document),
                    message="is not a job file: expected fields such as `name: value`",
                )
            ],
        )
    if sides is not None:
        declared.declare(document, sides)
    for assignment in set_values:
        _assign(document, assignment, source)
    experiment = validate(document, source)
    resolve(experiment, source=source)
    return LoadedExperiment(experiment=experiment, source=source, base=base)


def validate(document: dict[str, Any], source: str) -> Experiment:
    """The experiment that plain values declare; raises JobFileError with every problem."""
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        newer = f"this file is of schema version {version}; this Likewise reads {SCHEMA_VERSION}"
        hint = "upgrade Likewise: pip install --upgrade likewise"
        raise JobFileError(
            source, [Problem(path="schema_version", value=str(version), message=newer, hint=hint)]
        )
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise JobFileError(source, problems(error, Experiment, document)) from None


def example_names() -> list[str]:
    """The names of the job files that ship with the tool."""
    return sorted(path.stem for path in _examples().glob("*.yaml"))


def example_path(name: str) -> Path:
    """Where a shipped example lies."""
    return _examples() / f"{name}.yaml"


def names_a_job(text: str) -> bool:
    """Whether what a user typed is a job file, an example or `-`, and not an experiment's id."""
    return text == "-" or text in example_names() or Path(text).suffix in SUFFIXES


def _examples() -> Path:
    return Path(str(files("producer"))) / "examples"


def _read(spec: str) -> tuple[str, Path, str, bool]:
    """Source, base folder, text and whether it is JSON."""
    if spec == "-":
        data = sys.stdin.buffer.read(jobtext.MAX_BYTES + 1)
        text = _decode("standard input", data)
        return "standard input", Path.cwd(), text, False
    if not spec.strip():
        raise UsageError(
            f"name a job file, - for standard input, or an example: {', '.join(example_names())}"
        )
    path = Path(spec)
    if spec in example_names() and not _exists(path):
        path, source = example_path(spec), f"example {spec}"
    else:
        source = printable(spec)
        _refuse_what_is_no_file(path, spec)
    try:
        with path.open("rb") as stream:
            data = stream.read(jobtext.MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise _file_problem(source, f"cannot be read: {reason}", None) from None
    return source, path.parent, _decode(source, data), path.suffix.lower() == ".json"


def _refuse_what_is_no_file(path: Path, spec: str) -> None:
    source = printable(spec)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise _file_problem(source, "there is no such file or example", _missing_hint(path, spec)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _file_problem(source, f"cannot be read: {reason.lower()}", None) from None
    if stat.S_ISDIR(mode):
        inside = sorted(child.name for child in path.iterdir() if child.suffix in SUFFIXES)[:5]
        hint = f"it holds {', '.join(map(printable, inside))}" if inside else "name a .yaml or .json file"
        raise _file_problem(source, "is a folder, not a job file", hint)
    if not stat.S_ISREG(mode):
        raise _file_problem(source, "is not a regular file", "use - to read from a pipe")


def _missing_hint(path: Path, spec: str) -> str:
    match = nearest(path.stem, example_names())
    if match is not None:
        return f"did you mean the example {match}?"
    siblings = [child.name for child in _siblings(path) if child.suffix in SUFFIXES]
    beside = nearest(path.name, siblings)
    if beside is not None:
        return f"did you mean {printable(str(path.with_name(beside)))}?"
    return f"examples are {', '.join(example_names())}; `likewise init {printable(spec)}` writes a new file"


def _siblings(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())[:1000]
    except OSError:
        return []


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _decode(source: str, data: bytes) -> str:
    try:
        return jobtext.decode(data)
    except jobtext.TextError as error:
        raise _text_problem(source, error) from None


def _assign(document: dict[str, Any], assignment: str, source: str) -> None:
    path, equals, text = assignment.partition("=")
    if not equals or not path.strip():
        raise UsageError(
            f"--set {printable(assignment)}: expected path=value, such as --set training.epochs=10"
        )
    try:
        value = jobtext.read_yaml(text) if text.strip() else None
        paths.assign(document, path.strip(), value)
    except jobtext.TextError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise UsageError(f"--set {printable(assignment)}: the value {error.message}{hint}") from None
    except paths.PathError as error:
        where = Problem(path=printable(path), message=printable(error.message), hint=error.hint)
        raise JobFileError(f"{source} with --set {printable(assignment)}", [where]) from None


def _text_problem(source: str, error: jobtext.TextError) -> JobFileError:
    path = "" if error.line is None else f"line {error.line}"
    return JobFileError(source, [Problem(path=path, message=error.message, hint=error.hint)])


def _file_problem(source: str, message: str, hint: str | None) -> JobFileError:
    return JobFileError(source, [Problem(path="", message=message, hint=hint)])
