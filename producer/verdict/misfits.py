"""Where two sides' data, or their models' weights, do not fit each other: other shapes, other numbers. Pure.

Arrays of two shapes cannot be fed to both sides, and nothing that follows from them can be compared. So they
are the finding itself, for which no replay is needed. Where weights have another shape only because the
samples have, the samples alone are named. Data of one shape with other numbers are named as well, and so are
samples held out; where the sides part because of them, a replay shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from likewise.producer.display import both, count
from likewise.producer.verdict.models import FirstDivergence
from likewise.shared.job.experiment import Precision
from likewise.shared.job.shape import Shape
from likewise.shared.program import ProgramSpec
from likewise.shared.results.step_trace import Stage
from likewise.shared.run import Dataset
from likewise.shared.store.arrays import ArrayRef

MOST_NAMED = 3
"""The most tensors that a sentence names with their shapes."""
_PARTS = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True, kw_only=True)
class Misfit:
    """It is one tensor that is not the same in the reference and in another side."""

    name: str
    """What a sentence calls it: `the training x`, `layers.0.kernel`."""
    tensor: str
    """What a trace calls it: `x`, `layers.0.kernel`."""
    shapes: Mapping[str, Shape | None]
    """The shapes are those in the reference and in the other; None where a side does not have it."""
    trained_on: bool = False
    """Whether it is of the samples that are trained on."""

    @property
    def other_shape(self) -> bool:
        """Return whether the shapes differ; else the numbers do."""
        mine, theirs = self.shapes.values()
        return mine != theirs


@dataclass(frozen=True, kw_only=True)
class Misfits:
    """They are what does not fit between the reference and another side."""

    sides: tuple[str, str]
    data: tuple[Misfit, ...] = ()
    weights: tuple[Misfit, ...] = ()
    classes: tuple[int, int] | None = None
    """How many classes each side's data have, where they are not as many."""

    @property
    def parting(self) -> Misfit | None:
        """The first tensor of another shape that is trained on, or trained; None where all of these fit."""
        trained = [one for one in self.data if one.trained_on]
        return next((one for one in (*trained, *self.weights) if one.other_shape), None)

    @property
    def of_samples(self) -> bool:
        """Whether the samples trained on have another shape or number."""
        return any(one.other_shape and one.trained_on for one in self.data)

    @property
    def any_shape(self) -> bool:
        """Whether anything has another shape, samples held out as well."""
        return any(one.other_shape for one in (*self.data, *self.weights))

    def sentences(self) -> Iterator[str]:
        """Yield what does not fit, each with both shapes."""
        if self.data:
            yield f"The data are not the same: {self._listed(self.data)}{self._classes()}."
        if self.weights:
            yield f"The weights do not have the same shapes: {self._listed(self.weights)}."

    def first_divergence(self, *, seed: int, precision: Precision) -> FirstDivergence | None:
        """Return the `parting` as the place where the two part first; None where there is none."""
        found = self.parting
        if found is None:
            return None
        in_data = found in self.data
        stage: Stage = "data" if in_data else "forward"
        reference, other = self.sides
        return FirstDivergence(
            seed=seed,
            step=1 if in_data else 0,
            stage=stage,
            tensor=found.tensor,
            relative_difference=None,
            reference=reference,
            other=other,
            shapes={side: shape for side, shape in found.shapes.items() if shape is not None},
            problem=f"{found.name} {_stated(found)}",
            precision=precision,
            sentence=next(self.sentences()),
        )

    def _listed(self, misfits: tuple[Misfit, ...]) -> str:
        named = [f"{one.name} {_stated(one)}" for one in misfits[:MOST_NAMED]]
        rest = len(misfits) - MOST_NAMED
        return "; ".join([*named, *([f"and {count(rest, 'more tensor')}"] if rest > 0 else [])])

    def _classes(self) -> str:
        if self.classes is None:
            return ""
        stated = [f"{many} in {side}" for side, many in zip(self.sides, self.classes, strict=True)]
        return f"; the number of classes is {both(stated)}"


def misfits(
    datasets: Mapping[str, Dataset], programs: Mapping[str, ProgramSpec], *, sides: tuple[str, str]
) -> Misfits:
    """Return what does not fit between the reference and another side, as far as it is known."""
    data = tuple(_in_data(datasets, sides)) if all(side in datasets for side in sides) else ()
    of_samples = any(_other_sample(one) for one in data)
    known = not of_samples and all(side in programs for side in sides)
    many = [datasets[side].classes if side in datasets else None for side in sides]
    return Misfits(
        sides=sides,
        data=data,
        weights=tuple(_in_weights(programs, sides)) if known else (),
        classes=(many[0], many[1]) if many[0] and many[1] and many[0] != many[1] else None,
    )


def _other_sample(one: Misfit) -> bool:
    """Return whether it is of inputs whose samples have another shape, whatever their number."""
    mine, theirs = one.shapes.values()
    return one.tensor == "x" and mine is not None and theirs is not None and mine[1:] != theirs[1:]


def _in_data(datasets: Mapping[str, Dataset], sides: tuple[str, str]) -> Iterator[Misfit]:
    """Yield the arrays of the data that differ, those trained on first."""
    mine, theirs = (datasets[side] for side in sides)
    for part, word in _PARTS.items():
        samples = [getattr(one, part) for one in (mine, theirs)]
        for tensor in ("x", "y", "weights"):
            if tensor == "y" and mine.task != theirs.task:
                continue  # the same targets, written as each loss wants them
            refs: list[ArrayRef | None] = [getattr(one, tensor) if one else None for one in samples]
            if refs[0] == refs[1]:
                continue
            yield Misfit(
                name=f"the {word} {'sample weights' if tensor == 'weights' else tensor}",
                tensor="sample_weights" if tensor == "weights" else tensor,
                shapes=dict(zip(sides, [ref.shape if ref else None for ref in refs], strict=True)),
                trained_on=part == "train",
            )


def _in_weights(programs: Mapping[str, ProgramSpec], sides: tuple[str, str]) -> Iterator[Misfit]:
    """Yield the weights of other shapes, and those that only one side has."""
    mine, theirs = (programs[side].weight_shapes for side in sides)
    if list(mine.values()) == list(theirs.values()):
        return  # by other names, where one model has a layer more
    for name in dict.fromkeys((*mine, *theirs)):
        if mine.get(name) != theirs.get(name):
            shapes = dict(zip(sides, (mine.get(name), theirs.get(name)), strict=True))
            yield Misfit(name=name, tensor=name, shapes=shapes)


def _stated(one: Misfit) -> str:
    """Return such as `is 200×5 in tensorflow and 150×5 in torch`."""
    have = {side: shape for side, shape in one.shapes.items() if shape is not None}
    if len(have) < len(one.shapes):
        (side, shape), *_ = have.items()
        return f"({_shape(shape)}) is in {side} alone"
    if not one.other_shape:
        return f"is {_shape(next(iter(have.values())))} in both, with other numbers"
    return f"is {both([f'{_shape(shape)} in {side}' for side, shape in have.items()])}"


def _shape(shape: Shape) -> str:
    return "×".join(map(str, shape)) or "one number"
