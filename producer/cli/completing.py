"""What a shell offers where Tab is pressed: examples, experiments, sides, settings with their values."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

_JOB_FILES = (".yaml", ".yml", ".json")
_MODEL_FORMATS = ("program", "safetensors", "state_dict", "keras", "npz", "onnx")
_MOST_IDS = 30
_BREAKS = tuple("=:@")
_BREAK = re.compile("(?:.*(?:[=:]|(?=@)))?")
_SPECIAL, _ESCAPED = re.compile(r"([^\w@%+=:,./~-])"), r"\\\1"
_WORD, _NO_TEXT = re.compile(r"[A-Za-z_][\w./-]*"), ("true", "false", "null", "yes", "no", "on", "off")
"""A word that YAML reads as text as it stands, and the words that it reads as something else."""


def specs(incomplete: str) -> list[tuple[str, str]]:
    """Return the examples, and the job files that begin so."""
    from likewise.producer.job.examples import examples

    shipped = [
        (one.name, one.title.replace("'", "’")) for one in examples() if one.name.startswith(incomplete)
    ]
    return [*shipped, *_files(incomplete)]


def ids(incomplete: str) -> list[tuple[str, str]]:
    """Return `last` and the recent experiments; only `last` where no Redis runs."""
    return [one for one in [("last", "the newest"), *_known()] if one[0].startswith(incomplete)]


def specs_and_ids(incomplete: str) -> list[tuple[str, str]]:
    """Return what a command takes that takes a job or an experiment."""
    return [*specs(incomplete), *ids(incomplete)]


def names(incomplete: str) -> list[str]:
    """Return the names of the recent experiments, each once."""
    return [name for name in dict.fromkeys(name for _, name in _known()) if name.startswith(incomplete)]


def tags(incomplete: str) -> list[str]:
    """Return the tags of the recent experiments, each once."""
    used = _quietly(lambda: (tag for record in _records() for tag in record.tags))
    return [tag for tag in dict.fromkeys(used) if tag.startswith(incomplete)]


def examples(incomplete: str) -> list[tuple[str, str]]:
    """Return the examples that begin so, each with its title."""
    from likewise.producer.job.examples import examples as shipped

    return [
        (one.name, one.title.replace("'", "’")) for one in shipped() if one.name.startswith(incomplete)
    ]  # typer would lose an apostrophe in zsh


def sides(ctx: Any, incomplete: str) -> list[str]:
    """Return the labels of the sides of the job, or of the experiment, that is named before."""
    labels = _quietly(lambda: _labels(ctx)) or _quietly(lambda: _labels_of_experiment(ctx))
    return [label for label in labels if label.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """Return the formats in which a command prints."""
    from likewise.producer.report import FORMATS

    return [form for form in FORMATS if form.startswith(incomplete)]


def model_formats(incomplete: str) -> list[str]:
    """Return the formats in which a trained model is written."""
    return [form for form in _MODEL_FORMATS if form.startswith(incomplete)]


def logs_and_ids(incomplete: str) -> list[tuple[str, str]]:
    """Return the logs of the local stack, and the recent experiments."""
    from likewise.producer.local.home import stack_paths
    from likewise.shared.settings import Settings

    found = _quietly(lambda: stack_paths(Settings.from_environment().home).logs.glob("*.log"))
    stems = sorted(path.stem for path in found)
    return [*((name, "a log") for name in stems if name.startswith(incomplete)), *ids(incomplete)]


def frameworks(incomplete: str) -> list[str]:
    """Return sides as `--sides` takes them; what comes before the last comma stays."""
    from likewise.producer.local.environments import known_frameworks

    before, comma, last = incomplete.rpartition(",")
    ways = ("", ":eager", ":compiled", "@cpu", "@cuda")
    words = [f"{name}{way}" for name in known_frameworks() for way in ways]
    return [f"{before}{comma}{word}" for word in words if word.startswith(last)]


def settings(ctx: Any, incomplete: str) -> list[str]:
    """Return each setting of the job that is named before, with its value, as `--set` takes it.

    Where one setting alone is meant, every value is offered that its field names.
    """
    offered = _quietly(lambda: _settings(ctx))
    path, equals, _ = incomplete.partition("=")
    begun = [one for one in offered if (one[0] == path if equals else one[0].startswith(path))]
    if len(begun) != 1:
        return [f"{place}={value}" for place, value, _ in begun]
    ((place, value, others),) = begun
    return [
        one
        for one in dict.fromkeys(f"{place}={word}" for word in (value, *others))
        if one.startswith(incomplete)
    ]


def for_bash(answer: Callable[[], None]) -> None:
    """Print what bash is offered, without what it keeps of a word: up to the last `=` or `:`, or an `@`.

    Bash takes these signs for the ends of words, and so replaces the rest alone. What a shell reads otherwise
    than as letters is escaped. Any other shell has the whole words, and quotes for itself.
    """
    words, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
    whole = _joined(words[: place + 1])
    os.environ["COMP_WORDS"], os.environ["COMP_CWORD"] = "\n".join(whole), str(len(whole) - 1)
    begun = whole[-1].partition("=")[2] if whole[-1].startswith("--") else whole[-1]
    kept = len(_BREAK.match(begun)[0])  # type: ignore[index]  # it matches nothing, too
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            answer()
    finally:
        for line in filter(None, printed.getvalue().splitlines()):
            sys.stdout.write(f"{_SPECIAL.sub(_ESCAPED, line[kept:])}\n")


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words of a line as they were typed: bash has broken them at each `=`, `:` and `@`."""
    whole: list[str] = []
    for number, word in enumerate(words):
        if number and (word[:1] in _BREAKS or (words[number - 1][-1:] in _BREAKS)):
            whole[-1] += word
        else:
            whole.append(word)
    return whole


def _files(incomplete: str) -> Iterator[tuple[str, str]]:
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if str(path).startswith(incomplete) and (path.suffix in _JOB_FILES or path.is_dir()):
                yield (f"{path}/", "") if path.is_dir() else (str(path), "")


def _known() -> list[tuple[str, str]]:
    """Return the id and the name of each recent experiment."""
    return [(record.experiment_id[:8], record.name) for record in _quietly(_records)]


def _records() -> Iterator[Any]:
    from likewise.producer.session import open_running
    from likewise.shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is not None:
        with session:
            yield from session.ledger.experiments(limit=_MOST_IDS)


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


def _labels_of_experiment(ctx: Any) -> Iterator[str]:
    from likewise.producer.runs.submitted import find_kept
    from likewise.producer.session import open_running
    from likewise.shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is not None:
        with session:
            given = (ctx.params.get(name) for name in ("experiment", "spec"))
            named = next((one for one in (*given, *ctx.args) if one is not None), "last")
            yield from find_kept(session.ledger, named).frameworks


def _settings(ctx: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each path with its value and with the others that its field names, all as `--set` reads them."""
    from likewise.producer.job.jobfile import read_experiment
    from likewise.producer.job.resolve import leaves, resolve

    experiment = read_experiment(_spec(ctx)).experiment
    job = next(iter(resolve(experiment).values()))
    whole = experiment.model_dump(mode="json", include={"name", "seeds", "margin", "defaults"})
    yield from ((path, _written(value), _others(experiment, path)) for path, value in whole.items())
    for path, value in leaves(job.model_dump(mode="json", exclude={"schema_version", "name"})):
        yield path, _written(value), _others(job, path, experiment)


def _written(value: Any) -> str:
    """Return a value as YAML reads it: a word as it is, anything else as JSON."""
    if isinstance(value, str) and _WORD.fullmatch(value) and value not in _NO_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def _others(job: Any, path: str, experiment: Any = None) -> list[str]:
    """Return the values that the field at a path names; none where it takes any, such as a number."""
    here, field = job, None
    *above, last = path.split(".")
    for part in above:
        here, field = _below(here, part)
        if here is None:
            return []
    if last == "type":
        return _named(field)
    holder = experiment if not above and experiment is not None else here
    fields = getattr(type(holder), "model_fields", {})
    return _named(fields[last].annotation) if last in fields else []


def _below(holder: Any, part: str) -> tuple[Any, Any]:
    """Return what a part of a path leads to, and the annotation of its place."""
    if isinstance(holder, list | tuple):
        return holder[int(part)], None
    fields = type(holder).model_fields
    if part in fields:
        return getattr(holder, part), fields[part].annotation
    return holder.root[part], get_args(fields["root"].annotation)[1]  # a mapping by names, such as outputs


def _named(annotation: Any) -> list[str]:
    """Return the words that an annotation takes; of a mapping that a word may stand for, its types."""
    from pydantic import BaseModel

    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return [_written(word) for word in parts]
    if origin is Annotated:
        return _named(parts[0])
    if origin in (Union, UnionType):
        return [word for part in parts for word in _named(part)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("type")
        return [] if kind is None else _named(kind.annotation)
    return {bool: ["true", "false"], type(None): ["null"]}.get(annotation, [])


def _quietly(found: Callable[[], Iterator[Any]]) -> list[Any]:
    """Return what is found; nothing where that cannot be known: a shell has no place for an error."""
    with suppress(Exception):
        return list(found())
    return []
