"""The shape of a sample on its way through the layers, and the weights it meets there. Pure.

Shapes are of one sample, without the batch. Names and layouts of weights are Keras's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from shared.spec import Model
from shared.spec.layers.base import LayerWeight, Shape, ShapeError

__all__ = [
    "Shape",
    "ShapeError",
    "Weight",
    "input_shapes",
    "layer_shapes",
    "model_weights",
    "multiply_adds",
    "output_units",
    "parameter_count",
]


@dataclass(frozen=True, kw_only=True)
class Weight:
    """A tensor with its name in the whole model and its place: layer index, then index in the layer."""

    name: str
    layer: int
    item: int
    tensor: LayerWeight


def layer_shapes(model: Model, input_shape: Shape) -> tuple[Shape, ...]:
    """The shape at each layer's first input and, last, at the model's output.

    Raises ShapeError at the first layer that cannot take its input.
    """
    return tuple(
        shapes[0] for shapes in (*input_shapes(model, input_shape), (_outputs(model, input_shape)[-1],))
    )


def input_shapes(model: Model, input_shape: Shape) -> tuple[tuple[Shape, ...], ...]:
    """The shapes of all inputs of each layer. Raises ShapeError."""
    outputs = _outputs(model, input_shape)
    return tuple(
        tuple(outputs[place] for place in model.sources(index)) for index in range(len(model.layers))
    )


def _outputs(model: Model, input_shape: Shape) -> list[Shape]:
    """The model's input and each layer's output."""
    outputs = [input_shape]
    for index, layer in enumerate(model.layers):
        try:
            outputs.append(layer.output_shape(*(outputs[place] for place in model.sources(index))))
        except ShapeError as error:
            raise ShapeError(f"{model.layer_path(index)} ({layer.type}) {error}") from None
    return outputs


def output_units(model: Model, input_shape: Shape) -> int:
    """How many outputs a sample has; the model must end with one axis. Raises ShapeError."""
    shape = layer_shapes(model, input_shape)[-1]
    if len(shape) != 1:
        raise ShapeError(
            f"The model's output for one sample has the shape {shape}, where one axis is wanted; "
            "put a flatten layer before the last dense layer"
        )
    return shape[0]


def model_weights(model: Model, input_shape: Shape) -> tuple[Weight, ...]:
    """Every weight of the model, in order. Raises ShapeError."""
    shapes = input_shapes(model, input_shape)
    return tuple(
        Weight(name=f"{model.layer_path(index)}.{tensor.name}", layer=index, item=item, tensor=tensor)
        for index, layer in enumerate(model.layers)
        for item, tensor in enumerate(layer.weights(*shapes[index]))
    )


def multiply_adds(model: Model, input_shape: Shape) -> int:
    """One sample's products with the layers' kernels, on its way forward. Raises ShapeError."""
    shapes = input_shapes(model, input_shape)
    return sum(layer.multiply_adds(*shapes[index]) for index, layer in enumerate(model.layers))


def parameter_count(model: Model, input_shape: Shape) -> int:
    """How many numbers training changes. Raises ShapeError."""
    places = model_weights(model, input_shape)
    return sum(prod(place.tensor.shape) for place in places if place.tensor.trainable)
