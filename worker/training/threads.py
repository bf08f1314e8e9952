"""How many CPU threads a training takes: one, until its updates are large enough to share out.

Threads that share a small operation wait for each other longer than they work. The bound and its
measurements are in docs/decisions, "Threads by size".
"""

from __future__ import annotations

from math import prod
from typing import Any

from shared.batch_plan import BatchPlan
from shared.layer_shapes import output_shape
from shared.shapes import input_shapes, model_weights
from shared.spec import Job, Model
from shared.spec.layers.recurrent import Bidirectional, Embedding, Gru, Lstm, SimpleRnn

SHARED_FROM = 10_000_000
"""Multiply-adds of an update's forward pass from which more than one thread is quicker."""


def threads_of(job: Job, *, samples: int, input_shape: tuple[int, ...], members: int, most: int) -> int:
    """Of a training of so many members at once, on a worker that may use up to `most`."""
    batch = BatchPlan.of(job.training, samples).largest_batch
    work = members * batch * multiply_adds(job.model, input_shape)
    return most if work >= SHARED_FROM else 1


def multiply_adds(model: Model, input_shape: tuple[int, ...]) -> int:
    """One sample's products with the layers' kernels, on its way forward."""
    inputs = input_shapes(model, input_shape)
    return sum(
        prod(weight.tensor.shape) * _times_used(model.layers[weight.layer], inputs[weight.layer])
        for weight in model_weights(model, input_shape)
        if len(weight.tensor.shape) > 1
    )


def _times_used(layer: Any, shapes: tuple[tuple[int, ...], ...]) -> int:
    """How often a sample meets each number of the layer's kernels."""
    match layer:
        case Embedding():
            return 0  # rows are looked up
        case SimpleRnn() | Lstm() | Gru() | Bidirectional():
            return shapes[0][0]
        case _:
            return prod(output_shape(layer, *shapes)[:-1])
