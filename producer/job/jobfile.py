"""Reads a valid Experiment from what the user names (a file, `-` or an example), `--sides` and `--set`.

It knows files and standard input; data and overrides are the concern of others.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from likewise.producer.display import nearest, printable, short
from likewise.producer.job import jobtext, paths
from likewise.producer.job.examples import example_names, example_path, gallery_names, is_example
from likewise.producer.job.problems import problems
from likewise.producer.job.resolve import resolve
from likewise.shared.errors import JobFileError, Problem, UsageError
from likewise.shared.job import Experiment
from likewise.shared.job.experiment import SCHEMA_VERSION

Spec = str | Mapping[str, Any] | Experiment
"""A job as it is named, as plain values, or as what was read of them."""
LAST = "last"
"""What stands for the newest experiment."""
SUFFIXES = (".yaml", ".yml", ".json")


_SIDE = re.compile(
    r"(?:(?P<label>[^=@:/]*)=(?!=))?"
    r"(?P<framework>[^=@:/]+)"
    r"(?:==(?P<version>[^=@:/]+))?"
    r"(?:@(?P<device>[^=@:/]+(?::\d+)?))?"
    r"(?::(?P<execution>[^=@:/]+))?"
    r"(?:/(?P<precision>[^=@:/]+))?"
)
_FIELDS = ("framework", "version", "device", "execution", "precision")
_ID = re.compile(r"[0-9a-f]{4,20}")
_WHOLE = "write the character itself, or both of its halves"
_NO_LABEL = re.compile(r"[^a-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class LoadedExperiment:
    """A valid experiment and where it came from."""

    experiment: Experiment
    source: str
    """What messages call it: the path as given, `standard input`, or `example article`."""
    base: Path
    """The folder that relative data paths start from: the job file's, or the current one."""


def read_experiment(
    spec: Spec, set_values: Sequence[str] = (), sides: str | Mapping[str, Any] | None = None
) -> LoadedExperiment:
    """Read `spec`, declare `sides`, apply each `path=value` of `set_values` in order, and validate.

    A job that is given as plain values is taken as it is. `sides` is what `--sides` says, or each side's
    fields by label.

    Raises JobFileError with every problem found, UsageError for a `path=value` that is none.
    """
    source, base, document = _document(spec)
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
        declare_sides(document, sides)
    for assignment in set_values:
        _assign(document, assignment, source)
    named = f"{source} with --sides {printable(sides)}" if isinstance(sides, str) else source
    experiment = validate(document, named)
    resolve(experiment, source=named)
    return LoadedExperiment(experiment=experiment, source=source, base=base)


def _document(spec: Spec) -> tuple[str, Path, Any]:
    """Return the source, the base folder and the plain values of a job."""
    if not isinstance(spec, str):
        given = spec.model_dump(mode="json", exclude_unset=True) if isinstance(spec, Experiment) else spec
        return "the job", Path.cwd(), _plain(given)
    source, base, text, as_json = _read(spec)
    try:
        return source, base, jobtext.read_json(text) if as_json else jobtext.read_yaml(text)
    except jobtext.TextError as error:
        raise _text_problem(source, error) from None


def _plain(value: Any) -> Any:
    """Return mappings, sequences, arrays and paths as a job file has them; other values as they are."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    listed = getattr(value, "tolist", None)  # NumPy's arrays and numbers
    return value if listed is None else listed()


def validate(document: dict[str, Any], source: str) -> Experiment:
    """Return the experiment that plain values declare; raise JobFileError with every problem."""
    version = document.get("schema_version", SCHEMA_VERSION)
    if isinstance(version, int) and not isinstance(version, bool) and version > SCHEMA_VERSION:
        newer = f"this file is of schema version {version}; this Likewise reads {SCHEMA_VERSION}"
        hint = "upgrade Likewise: pip install --upgrade likewise"
        raise JobFileError(
            source, [Problem(path="schema_version", value=str(version), message=newer, hint=hint)]
        )
    halved = [
        Problem(path=printable(path), value=short(text), message="has half of a character", hint=_WHOLE)
        for path, text in paths.halved_texts(document)
    ]
    if halved:
        raise JobFileError(source, halved)
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise JobFileError(source, problems(error, Experiment, document)) from None


def names_a_job(text: str) -> bool:
    """Return whether what a user typed is a job file, an example or `-`, and not an experiment's id."""
    return text == "-" or is_example(text) or Path(text).suffix in SUFFIXES


def names_a_port(spec: object) -> bool:
    """Return whether it is the file of a port.yaml: a job file whose sides have programs, without a model."""
    path = Path(spec) if isinstance(spec, str | Path) else Path()
    if path.suffix not in SUFFIXES or not path.is_file() or b"program" not in (text := path.read_bytes()):
        return False
    try:
        document = jobtext.read_yaml(jobtext.decode(text))
    except jobtext.TextError:
        return False
    sides = document.get("sides") if isinstance(document, dict) and "model" not in document else None
    return isinstance(sides, dict) and any(
        isinstance(one, dict) and "program" in one for one in sides.values()
    )


def names_an_experiment(text: str) -> bool:
    """Return whether it is an id, its beginning or `last`, and no job of that name is there."""
    is_job = is_example(text) or Path(text).exists()
    return not is_job and (text == LAST or _ID.fullmatch(text) is not None)


def _read(spec: str) -> tuple[str, Path, str, bool]:
    """Return the source, the base folder, the text and whether it is JSON."""
    if spec == "-":
        data = sys.stdin.buffer.read(jobtext.MAX_BYTES + 1)
        text = _decode("standard input", data)
        return "standard input", Path.cwd(), text, False
    if not spec.strip():
        raise UsageError(
            f"name a job file, - for standard input, or an example: {', '.join(example_names())}"
        )
    path = Path(spec)
    if is_example(spec) and not _exists(path):
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
        hint = _missing_hint(path, spec)
        raise _file_problem(source, "there is no such file or example", hint).about(path) from None
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
    match = nearest(path.stem, (*example_names(), *gallery_names()))
    if match is not None:
        return f"did you mean the example {match}?"
    siblings = [child.name for child in _siblings(path) if child.suffix in SUFFIXES]
    beside = nearest(path.name, siblings)
    if beside is not None:
        return f"did you mean {printable(str(path.with_name(beside)))}?"
    names = ", ".join(example_names())
    more = "and `likewise examples` lists public reports"
    return f"examples are {names}, {more}; `likewise init {printable(spec)}` writes a new file"


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


def sides_of(given: str) -> dict[str, dict[str, str]]:
    """Return the sides that the text names, separated by commas: their fields by label. Raises UsageError."""
    sides: dict[str, dict[str, str]] = {}
    words: dict[str, str] = {}
    for word in (part.strip() for part in given.split(",")):
        found = _SIDE.fullmatch(word)
        if found is None:
            raise UsageError(
                f"--sides: {printable(word) or 'an empty word'} is no side; write "
                "[LABEL=]FRAMEWORK[==VERSION][@DEVICE][:EXECUTION][/PRECISION], such as torch:compiled"
            )
        label = found["label"] if found["label"] is not None else label_of(word)
        if label in sides:
            raise UsageError(
                f"--sides: {printable(words[label])} and {printable(word)} are both labelled "
                f"{printable(label)}; give one a label of its own, such as second={printable(word)}"
            )
        words[label] = word
        sides[label] = {name: found[name] for name in _FIELDS if found[name] is not None}
    return sides


def label_of(word: str) -> str:
    """Return the label of a side that was given none: `torch-2-13-0` of `torch==2.13.0`."""
    return _NO_LABEL.sub("-", word.lower()).strip("-")


def declare_sides(document: dict[str, Any], given: str | Mapping[str, Any]) -> None:
    """Put the sides of `--sides` into a job file's plain values, instead of those that it has.

    What the job overrides in a side that no longer takes part goes with it. Raises UsageError.
    """
    sides = sides_of(given) if isinstance(given, str) else dict(given)
    before = document.pop("sides", None)
    names = before if isinstance(before, dict) else document.pop("frameworks", None) or ()
    document.pop("frameworks", None)
    document["sides"] = sides
    overrides = document.get("overrides")
    if isinstance(overrides, dict):
        there = {*sides, *(side["framework"] for side in sides.values())}
        gone = {*map(str, names)} - there if names else {*overrides} - there
        document["overrides"] = {name: one for name, one in overrides.items() if name not in gone}
