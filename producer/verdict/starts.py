"""What initializers that differ do: how the weights start in each side, in numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import sqrt
from typing import Any

from pydantic import TypeAdapter

from likewise.producer.advice.program import library_of
from likewise.producer.display import both, number
from likewise.producer.job.native import own_initializers
from likewise.producer.wording.initializers import distribution
from likewise.shared.job import Job
from likewise.shared.job.weights import Initializer
from likewise.shared.program import ProgramSpec, Weight

PLACE = "{start}"
"""Where a sentence of the table says how the weights start."""
UNKNOWN = "from another distribution"
TOLD_TIMES = 2.0
"""One deviation that is so many times another is told by how many."""
_SHAPES = {
    "uniform": "uniform",
    "triangular": "triangular",
    "truncated_normal": "normal, cut at two deviations",
    "untruncated_normal": "normal",
}


def how_they_start(
    path: str, jobs: Mapping[str, Job], programs: Mapping[str, ProgramSpec], frameworks: Mapping[str, str]
) -> str:
    """Return such as `with a deviation of 0.38 in tensorflow (Keras's default) and of 0.24 in torch`.

    `path` is that of an initializer; of several layers (`0,2`) the first is told.
    """
    first = _of_first_layer(path)
    weights = {side: _weight(first, jobs[side], programs[side]) for side in jobs if side in programs}
    known = {side: one for side, one in weights.items() if one is not None}
    if len(known) < 2:
        return UNKNOWN
    starts = {side: start for side, one in known.items() if (start := _start(one)) is not None}
    if len(starts) < len(known):
        return UNKNOWN
    if len(set(starts.values())) == 1:
        shapes = {side: _SHAPES.get(distribution(one)[0]) for side, one in known.items()}
        if None in shapes.values():
            return UNKNOWN
        (common,) = set(starts.values())
        return f"{common} in each, {both([f'{shape} in {side}' for side, shape in shapes.items()])}"
    defaults = {side: _whose_default(first, one, jobs[side], frameworks[side]) for side, one in known.items()}
    first_start, *others = starts.values()
    again = [one.removeprefix("with a deviation ") for one in others]
    in_short = again if first_start.startswith("with a deviation ") else others
    told = [
        f"{start} in {side}{defaults[side]}"
        for side, start in zip(starts, [first_start, *in_short], strict=True)
    ]
    return f"{both(told)}{_times(known)}"


def _of_first_layer(path: str) -> str:
    parts = path.split(".")
    return ".".join([*parts[:2], parts[2].split(",")[0], *parts[3:]])


def _weight(path: str, job: Job, program: ProgramSpec) -> Weight | None:
    """Return the first weight that an initializer draws; None where the side has no such layer or setting."""
    declared = _declared(path, job)
    place = int(path.split(".")[2])
    if declared is None or place >= len(program.stages):
        return None
    drawn = [one for one in program.stages[place].weights if one.initializer == declared]
    word = path.rpartition(".")[2].removesuffix("_initializer")
    named = [one for one in drawn if one.own_name.rpartition(".")[2].removesuffix("_kernel") == word]
    return next(iter([*named, *drawn]), None)


def _declared(path: str, job: Job) -> Any:
    """Return the initializer at a path of the job; None where there is none."""
    here: Any = job
    for part in path.split("."):
        here = here[int(part)] if part.isdigit() and int(part) < len(here) else getattr(here, part, None)
        if here is None:
            return None
    return here


def _start(weight: Weight) -> str | None:
    """Return how a weight starts, as the end of `the kernels start …`."""
    kind, constants = distribution(weight)
    if kind == "constant":
        return f"at {number(constants[0])}"
    if kind in ("orthogonal", "identity"):
        times = "" if constants[0] == 1 else f" times {number(constants[0])}"
        return f"as an {kind} matrix{times}"
    found = _mean_and_deviation(kind, constants)
    if found is None:
        return None
    mean, deviation = found
    return f"with a deviation of {number(deviation)}{f' around {number(mean)}' if mean else ''}"


def _mean_and_deviation(kind: str, constants: tuple[float, ...]) -> tuple[float, float] | None:
    if kind == "uniform":
        low, high = constants
        return (low + high) / 2, (high - low) / sqrt(12)
    return (constants[0], constants[1]) if kind in _SHAPES else None


def _whose_default(path: str, weight: Weight, job: Job, framework: str) -> str:
    """Return such as ` (Keras's default)` where the initializer is what its framework has by itself."""
    own, library = own_initializers(job, framework).get(path), library_of(framework)
    if own is None or library is None:
        return ""
    by_itself = replace(weight, initializer=TypeAdapter(Initializer).validate_python(own[0]))
    if distribution(by_itself) != distribution(weight):
        return ""
    return f" ({library[0]}'s default)"


def _times(weights: Mapping[str, Weight]) -> str:
    """Return such as `, 35 times as large`, where two deviations are that far apart."""
    found = list(_deviations(weights))
    if len(found) != 2 or min(found) == 0 or max(found) / min(found) < TOLD_TIMES:
        return ""
    return f", {number(float(f'{max(found) / min(found):.2g}'))} times apart"


def _deviations(weights: Mapping[str, Weight]) -> Iterator[float]:
    for one in weights.values():
        found = _mean_and_deviation(*distribution(one))
        if found is not None and found[0] == 0:
            yield found[1]
