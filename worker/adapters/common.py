"""What every adapter does alike and needs no framework for.

Checks before training, so that no framework broadcasts silently; the weights of an interpolation and
the sizes of dropout masks; the programs that a warm worker keeps; and the training that warms it up.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.job.layers.positions import SinusoidalPosition
from likewise.shared.program import Mask, ProgramSpec, compile_job
from likewise.shared.program.penalties import penalties, penalty_gradients
from likewise.worker.adapters.base import BadShapeError, FrameworkAdapter
from likewise.worker.adapters.trainer import Batch, Block, Observed, Weights

Shape = tuple[int, ...]


def interpolation_weights(size: int, factor: int, *, align_corners: bool) -> NDArray[np.float64]:
    """Return what each input counts in each output of an axis, (size·factor, size), as an upsampling says."""
    outputs = size * factor
    places = np.arange(outputs, dtype=np.float64)
    if align_corners:
        places = places * (size - 1) / max(outputs - 1, 1)
    else:
        places = np.clip((places + 0.5) / factor - 0.5, 0, size - 1)
    weights: NDArray[np.float64] = np.maximum(1 - np.abs(places[:, None] - np.arange(size)), 0)
    return weights


def check_inputs(input_shape: Shape, x: NDArray[Any]) -> None:
    """Refuse samples that the model was not built for."""
    if x.shape[1:] != input_shape:
        raise BadShapeError(f"the model takes samples of shape {input_shape}, but these have {x.shape[1:]}")


def check_samples(program: ProgramSpec, samples: Batch) -> None:
    """Refuse samples that the program does not take, and targets or weights that would be broadcast."""
    check_inputs(program.input_shape, samples.x)
    outputs, targets = program.output_shape, samples.y.shape[1:]
    if targets != program.target_shape or (len(outputs) != 1 and targets == ()):
        raise BadShapeError(
            f"the model gives outputs of shape {outputs} a sample, but the targets have {targets}"
        )
    if samples.weights is not None and samples.weights.shape != samples.x.shape[:1]:
        raise BadShapeError(
            f"there are {len(samples.x)} samples, but their weights have the shape {samples.weights.shape}"
        )


def check_weights(shapes: Mapping[str, Shape], weights: Weights) -> None:
    """Refuse weights that are not exactly the model's, by name and shape."""
    for name in sorted({*shapes, *weights}):
        if name not in weights:
            raise BadShapeError(f"the weights lack {name}, of shape {shapes[name]}")
        if name not in shapes:
            raise BadShapeError(f"the weights have {name}, which the model has not")
        if weights[name].shape != shapes[name]:
            raise BadShapeError(f"{name} has the shape {weights[name].shape}; the model needs {shapes[name]}")


def bytes_per_sample(layers: Sequence[Mask], precision: Precision) -> int:
    """Return how many bytes the masks of one sample take in one step."""
    return sum(prod(layer.shape) for layer in layers) * np.dtype(precision).itemsize


def with_penalty(observed: Observed, program: ProgramSpec, weights: Weights) -> Observed:
    """Return what a step computed with the regularizers' penalty in its loss and gradients."""
    added = penalty_gradients(program, weights)
    if not added:
        return observed
    whole = penalties(program, {name: array[None] for name, array in weights.items()})
    precision = next(iter(weights.values())).dtype
    gradients = {
        name: gradient + added[name] if name in added else gradient
        for name, gradient in observed.gradients.items()
    }
    loss = float(precision.type(observed.loss) + precision.type(whole[0]))
    return replace(observed, loss=loss, gradients=gradients)


_TOY = {
    "name": "warm-up",
    "data": {"type": "inline", "x": [0.0, 1.0], "y": [0.0, 1.0]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": "sgd",
    "training": {"epochs": 2},
}


def warm_up(adapter: FrameworkAdapter) -> None:
    """Build and train the toy job, so that the first real run does not wait for lazy imports."""
    x = np.array([[0.0], [1.0]], np.float32)
    job = Job.model_validate_json(json.dumps(_TOY))
    program = compile_job(job, (1,))
    weights = {weight.name: np.zeros(weight.shape, np.float32) for weight in program.weights}
    trainer = adapter.build(program, job, weights=weights, samples=Batch(x, x))
    trainer.train(Block(indices=np.zeros((2, 2), np.int64), learning_rates=np.full(2, 0.01), first_step=0))
    trainer.outputs(x)


MOST_PROGRAMS = 16
Program = TypeVar("Program")


class Programs:
    """The compiled programs used last, by what each was compiled from."""

    def __init__(self, most: int = MOST_PROGRAMS) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], Program]) -> Program:
        """Return the program that was kept under the key, or make it; the one used longest ago goes."""
        program: Program = self._kept.pop(key) if key in self._kept else make()
        self._kept[key] = program
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return program


def sinusoids(layer: SinusoidalPosition, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return what a sinusoidal_position adds to samples of this shape (steps, features), in float64."""
    steps, features = shape
    pairs = np.arange((features + 1) // 2)
    angles = np.arange(steps)[:, None] / layer.max_wavelength ** (2 * pairs / features)
    sines, cosines = np.sin(angles), np.cos(angles)[:, : features // 2]
    if layer.layout == "halves":
        return np.concatenate([sines, cosines], axis=1)
    table = np.empty((steps, features))
    table[:, 0::2], table[:, 1::2] = sines, cosines
    return table
