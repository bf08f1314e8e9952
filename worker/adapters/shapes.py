"""Shapes that every adapter works out alike: checks before training, so that no framework broadcasts
silently, the padding of windows, and the sizes of dropout masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.job.experiment import Precision
from shared.job.layers.convolution import Padding
from shared.program import Mask, ProgramSpec
from worker.adapters.base import Batch, Weights
from worker.adapters.errors import BadShapeError

Shape = tuple[int, ...]


def window_padding(
    kind: Padding, sizes: Shape, windows: Shape, strides: Shape
) -> tuple[tuple[int, int], ...]:
    """What stands before and after each axis, by the rules of `shared.job.layers.convolution`."""
    return tuple(_padding(kind, *axis) for axis in zip(sizes, windows, strides, strict=True))


def _padding(kind: Padding, size: int, window: int, stride: int) -> tuple[int, int]:
    match kind:
        case "valid":
            return (0, 0)
        case "symmetric":
            return (window // 2, window // 2)
        case "same":
            whole = max((-(-size // stride) - 1) * stride + window - size, 0)
            return (whole // 2, whole - whole // 2)


def check_inputs(input_shape: Shape, x: NDArray[Any]) -> None:
    """Refuse samples that the model was not built for."""
    if x.shape[1:] != input_shape:
        raise BadShapeError(f"the model takes samples of shape {input_shape}, but these have {x.shape[1:]}")


def check_samples(program: ProgramSpec, samples: Batch) -> None:
    """Refuse samples that the program does not take, and targets or weights that would be broadcast."""
    check_inputs(program.input_shape, samples.x)
    outputs, targets = program.output_shape, samples.y.shape[1:]
    fits = targets == () and len(outputs) == 1 if program.target == "classes" else targets == outputs
    if not fits:
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
    """Size of the masks of one sample in one step."""
    return sum(prod(layer.shape) for layer in layers) * np.dtype(precision).itemsize
