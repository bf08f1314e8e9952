"""The shape of a sample on its way through the layers, and of the weights it meets. Pure."""

from __future__ import annotations

from math import prod

from shared.spec import Model
from shared.spec.model import Dense, Flatten

Shape = tuple[int, ...]


def layer_shapes(model: Model, input_shape: Shape) -> tuple[Shape, ...]:
    """The shape at each layer's input and, last, at the model's output; without the samples' axis."""
    shapes = [input_shape]
    for layer in model.layers:
        match layer:
            case Dense(units=units):
                shapes.append((*shapes[-1][:-1], units))
            case Flatten():
                shapes.append((prod(shapes[-1]),))
            case _:
                shapes.append(shapes[-1])
    return tuple(shapes)


def weight_shapes(model: Model, input_shape: Shape) -> dict[str, Shape]:
    """The shape of each weight by its name, in Keras's layouts."""
    shapes: dict[str, Shape] = {}
    for index, (layer, shape) in enumerate(zip(model.layers, layer_shapes(model, input_shape), strict=False)):
        if isinstance(layer, Dense):
            shapes[f"{model.layer_path(index)}.kernel"] = (shape[-1], layer.units)
            if layer.use_bias:
                shapes[f"{model.layer_path(index)}.bias"] = (layer.units,)
    return shapes


def parameter_count(model: Model, input_shape: Shape) -> int:
    """How many numbers training changes."""
    return sum(prod(shape) for shape in weight_shapes(model, input_shape).values())
