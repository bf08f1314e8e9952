"""How a side's program is changed so that a setting is the other's: the lines that differ.

The program of a side's job is written twice, as it is and with the other's value of the setting; what differs
is the advice. So there is advice for whatever a program can be written for, of whose lines it is made.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from likewise.producer.advice.program import PLACES, NotWrittenError, Part, program_parts
from likewise.producer.display import setting
from likewise.shared.job import Job
from likewise.shared.job.shape import Shape, ShapeError
from likewise.shared.program import compile_job

CLIPPINGS = ("clip_value", "clip_norm", "global_clip_norm")
"""Settings of which one alone may be on: they are switched together."""


def advice(path: str, mine: Job, other: Job, *, framework: str, shape: Shape, like: str) -> str | None:
    """Return Python that makes a side's program have the other's value of a setting.

    Args:
        path: The setting; `model.layers.0,2.epsilon` is one of several layers.
        mine: The side's job.
        other: The job that has the value.
        framework: The side's framework.
        shape: The shape of a sample.
        like: The label of the other side.

    Returns:
        Lines of Python under comments that say where each goes, beginning with what changes; None where
        nothing of the program changes, or no few lines of the framework do it.
    """
    with suppress(ShapeError, NotWrittenError, ValidationError, LookupError):  # a layer it does not have
        wanted = switched(mine, other, path)
        shown = (path.rpartition(".")[2],)
        before = program_parts(mine, compile_job(mine, shape), framework, shown=shown)
        after = program_parts(wanted, compile_job(wanted, shape), framework, shown=shown)
        changed = tuple(_changed(path, before, after))
        if changed:
            return "\n".join([f"# {_summary(path, mine, wanted, like)}", *changed])
    return None


def switched(mine: Job, other: Job, path: str) -> Job:
    """Return a job with the other's value at a path, and of what only makes sense together with it.

    Raises ValidationError where the two do not fit together, NotWrittenError or LookupError where the other
    job has no such setting or layer.
    """
    document, source = (job.model_dump(mode="json", exclude_unset=True) for job in (mine, other))
    full = other.model_dump(mode="json")
    for parts in _paths(path):
        _copied(document, source, full, parts)
    return Job.model_validate(document)


def _paths(path: str) -> Iterator[list[str]]:
    """Yield the path, or each of those that stand together in it."""
    parts = path.split(".")
    if parts[:2] == ["model", "layers"] and len(parts) > 2:
        for place in parts[2].split(","):
            yield ["model", "layers", place, *parts[3:]]
    elif parts[0] == "initial_weights":
        yield ["initial_weights"]
    elif parts[0] == "optimizer" and parts[-1] in (*CLIPPINGS, "clip"):
        for name in CLIPPINGS:
            yield ["optimizer", name]
    else:
        yield parts


def _copied(document: Any, source: Any, full: Any, parts: Sequence[str]) -> None:
    """Copy what is at a path; a type brings its own fields along, and a list of layers all of them."""
    *above, last = parts
    here, there, all_of_it = document, source, full
    for part in above:
        step: Any = int(part) if isinstance(here, list) else part
        if isinstance(here, list) and len(here) != len(there):
            here[:] = copy.deepcopy(there)
            return
        if isinstance(here, dict) and not isinstance(here.get(part), dict | list):
            here[part] = copy.deepcopy(all_of_it[part])
            return
        here, all_of_it = here[step], all_of_it[step]
        there = there[step] if isinstance(there, list) or step in there else all_of_it
        if not isinstance(all_of_it, dict | list):
            return
    if last == "type" and isinstance(here, dict):
        kept = {name: value for name, value in here.items() if name in all_of_it and name != "type"}
        here.clear()
        here.update(copy.deepcopy(all_of_it) | (kept if len(parts) == 2 else {}))
    elif isinstance(here, dict) and "type" in all_of_it and last not in all_of_it:
        here.pop(last, None)  # left out, as a softmax's axis is where it is the last
    elif isinstance(here, list):
        here[int(last)] = copy.deepcopy(all_of_it[int(last)])
    elif last in all_of_it:
        here[last] = copy.deepcopy(all_of_it[last])
    else:
        raise NotWrittenError(f"{last}, which the other does not have")


def _changed(path: str, before: Sequence[Part], after: Sequence[Part]) -> Iterator[str]:
    """Yield the lines of each place that differ, under its heading; what is left out stands in a comment."""
    was = {(part.place, part.name): part.code for part in before}
    now = {(part.place, part.name): part.code for part in after}
    given = path.startswith("initial_weights") and any(part.name == "weights" for part in after)
    for place, heading in PLACES.items():
        if (place == "give") != given:
            continue
        codes = [code for key, code in now.items() if key[0] == place and (given or was.get(key) != code)]
        gone = [code for key, code in was.items() if key[0] == place and key not in now]
        if codes:
            yield f"# {heading}:\n" + "\n".join(_each_class_once(codes))
        if gone:
            yield f"# {heading}, leave out:\n# " + "\n".join(gone).replace("\n", "\n# ")


def _each_class_once(codes: Sequence[str]) -> Iterator[str]:
    """Yield the codes without a class that one before has made, of the same lines."""
    made: set[str] = set()
    for code in codes:
        head, _, rest = code.rpartition("\n\n")
        yield rest if head in made else code
        made.add(head)


def _summary(path: str, mine: Job, wanted: Job, like: str) -> str:
    """Return what changes, by the user's name of the layer: `norm: epsilon from 1e-05 to 0.001`."""
    parts = path.split(".")
    if parts[:2] == ["model", "layers"] and len(parts) > 3:
        places = [int(place) for place in parts[2].split(",")]
        name = " and ".join(mine.model.layer_path(place) for place in places)
        field, first = ".".join(parts[3:]), ["model", "layers", str(places[0]), *parts[3:]]
    else:
        name, field, first = parts[0], ".".join(parts[1:]), parts
    values = [_value(job, first) for job in (mine, wanted)]
    what = f"{name}: {field}" if field else name
    if any(value is _NOTHING or (isinstance(value, Mapping) and "weights" in value) for value in values):
        return f"{what} as in {like}"
    was, now = (setting(value) for value in values)
    return f"{what} from {was} to {now}, as in {like}".replace("\n", " ")


_NOTHING = object()


def _value(job: Job, parts: Sequence[str]) -> Any:
    value: Any = job.model_dump(mode="json")
    for part in parts:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _NOTHING
    return _NOTHING if isinstance(value, list) and value and isinstance(value[0], dict) else value
