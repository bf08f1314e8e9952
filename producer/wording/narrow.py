"""The rule on layers over an axis that has one place: what they do along the other axis alone. Pure.

A convolution over (steps, 1, channels) whose window is one wide is a convolution over (steps, channels), and
so is a pooling. The shapes that are given before and behind it are dealt with by the rules on shapes.
"""

from __future__ import annotations

from typing import Any

from likewise.producer.wording.form import Form
from likewise.producer.wording.layers import Forms, as_many, kinds
from likewise.producer.wording.reordered import with_weights_of
from likewise.shared.job.layers.convolution import Convolution, DepthwiseConvolution
from likewise.shared.job.layers.pooling import AveragePooling, MaxPooling
from likewise.shared.job.layers.windows import by_axis
from likewise.shared.job.shape import Shape
from likewise.shared.program import Stage

_ALONG_AXES = ("kernel_size", "pool_size", "strides", "dilation", "padding")


def along_one_axis(reference: Form, other: Form) -> Forms | None:
    """Write a layer over two axes, one of which has one place, as one over the other axis, in both."""
    changed = along_one_axis_loosely(reference, other)
    if changed is None or kinds(changed[0]) == kinds(changed[1]):
        return changed
    return changed if as_many(changed) and not as_many((reference, other)) else None


def along_one_axis_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `along_one_axis`, whatever else the layers are."""
    if kinds(reference) == kinds(other):
        return None
    one, two = _narrowed(reference), _narrowed(other)
    return (one, two) if (one, two) != (reference, other) else None


def _narrowed(form: Form) -> Form:
    before, model = form.program, form.job.model
    layers = form.document["model"]["layers"]
    if before is None or model.outputs is not None:
        return form
    read = {name for layer in layers for name in layer["inputs"] or ()}
    kept: list[dict[str, Any]] = []
    for stage, layer in zip(before.stages, layers, strict=False):
        axis = _idle_axis(stage)
        if axis is None or layer["name"] in read or stage.padding:
            kept.append(layer)
            continue
        shape = _without(stage.inputs[0], axis)
        kept += [
            {"type": "reshape", "target_shape": list(shape), "inputs": layer["inputs"]},
            _over_the_rest(layer, 1 - axis) | {"inputs": None},
            {"type": "reshape", "target_shape": list(stage.output)},
        ]
    if len(kept) == len(layers):
        return form
    changed = form.with_layers(kept)
    after = changed.program
    return form if after is None else with_weights_of(changed, before, after)


def _idle_axis(stage: Stage) -> int | None:
    """Return the axis of one place along which a layer over two axes does nothing, if there is one."""
    layer, shape = stage.layer, stage.inputs[0]
    if not isinstance(layer, Convolution | DepthwiseConvolution | MaxPooling | AveragePooling):
        return None
    if layer.axes != 2 or getattr(layer, "kernel_constraint", None) is not None:
        return None
    axes = [axis for axis in (1, 0) if shape[axis] == 1 and not any(layer.sides(shape)[axis])]
    return axes[0] if axes else None


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _over_the_rest(layer: dict[str, Any], axis: int) -> dict[str, Any]:
    """Return the layer over one axis of the two alone."""
    own = {
        name: by_axis(value if isinstance(value, int) else tuple(value), 2)[axis]
        for name, value in layer.items()
        if name in _ALONG_AXES and isinstance(value, int | list | tuple)
    }
    return layer | own | {"type": layer["type"].replace("2d", "1d")}
