"""The shape of one sample on its way through the layers, and what does not fit, in words."""

from __future__ import annotations

from math import prod

from shared.spec import Layer, Model
from shared.spec.model import ActivationLayer, Dense, Dropout, Flatten
from worker.failures import TrainingError

Shape = tuple[int, ...]


def layer_shapes(model: Model, input_shape: Shape) -> tuple[Shape, ...]:
    """The shape at each layer's input and, last, at the model's output; without the batch.

    Raises TrainingError (`bad_shape`) at the first layer that cannot take its input.
    """
    shapes = [input_shape]
    for index, layer in enumerate(model.layers):
        try:
            shapes.append(_output_shape(layer, shapes[-1]))
        except ValueError as error:
            raise TrainingError("bad_shape", f"{model.layer_path(index)} ({layer.type}) {error}") from None
    return tuple(shapes)


def output_units(model: Model, input_shape: Shape) -> int:
    """How many outputs a sample has; the model must end with one axis."""
    shape = layer_shapes(model, input_shape)[-1]
    if len(shape) != 1:
        raise TrainingError(
            "bad_shape",
            f"The model's output for one sample has the shape {shape}, where one axis is wanted; "
            "put a flatten layer before the last dense layer",
        )
    return shape[0]


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    """A layer's output shape. Raises ValueError saying what the layer gets and would need."""
    match layer:
        case Dense(units=units):
            if not shape:
                raise ValueError("gets a single number a sample, but needs an axis of features")
            return (*shape[:-1], units)
        case Flatten():
            return (prod(shape),)
        case Dropout() | ActivationLayer():
            return shape
