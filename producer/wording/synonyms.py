"""Rules on layers that have two words, or are a part of the layer behind them. Pure.

A zero padding before a convolution is padding of the convolution, and before an average that counts padding,
of that. It is the padding of a maximum, which is lower than any number, only where no number is below 0.
"""

from __future__ import annotations

from math import prod
from typing import Any, TypeGuard

from likewise.producer.wording.form import Form, InShape, Renamed
from likewise.producer.wording.layers import Forms, kinds
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.basic import Dense, Flatten, Reshape
from likewise.shared.job.layers.convolution import (
    Convolution,
    DepthwiseConvolution,
    LocallyConnected,
    SeparableConvolution,
)
from likewise.shared.job.layers.gates import Glu, Prelu, Swiglu
from likewise.shared.job.layers.normalization import GroupNorm, InstanceNorm, LayerNorm, RmsNorm
from likewise.shared.job.layers.pooling import AveragePooling, GlobalPooling, MaxPooling
from likewise.shared.job.layers.space import ZeroPadding
from likewise.shared.job.layers.windows import Sides, by_side
from likewise.shared.job.shape import Shape
from likewise.shared.program import Stage

NEVER_BELOW_0 = (
    *("relu", "relu6", "sigmoid", "hard_sigmoid", "softplus", "softmax", "softmin", "sparsemax"),
    *("exponential", "squareplus", "sparse_plus", "sparse_sigmoid"),
)
"""Functions that give nothing below 0, and pass no gradient where they give 0."""
CONVOLUTIONS = (Convolution, DepthwiseConvolution, SeparableConvolution, LocallyConnected)


def padded_within(reference: Form, other: Form) -> Forms | None:
    """Write zero padding that is a layer of its own as padding of the layer behind it, in both."""
    changed = padded_loosely(reference, other)
    return changed if changed is not None and kinds(changed[0]) == kinds(changed[1]) else None


def padded_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `padded_within`, whatever else the layers are."""
    if kinds(reference) == kinds(other):
        return None
    one, two = _absorbed(reference), _absorbed(other)
    return (one, two) if (one, two) != (reference, other) else None


def _absorbed(form: Form) -> Form:
    """Return the form without the zero paddings that the one layer behind them can do."""
    program, model = form.program, form.job.model
    if program is None:
        return form
    documents = form.document["model"]["layers"]
    kept: list[dict[str, Any]] = []
    renamed: dict[str, str] = {}
    waiting: tuple[Sides, dict[str, Any]] | None = None
    for index, (layer, document) in enumerate(zip(model.layers, documents, strict=True)):
        behind = only_reader(form, index)
        if _is_padding(layer) and behind is not None and waiting is None:
            sides = by_side(layer.padding, layer.axes)
            stage = program.stages[behind]
            low = isinstance(stage.layer, MaxPooling) and not _is_never_below_0(form, index)
            if not low and _with_padding(stage, documents[behind], sides) is not None:
                waiting = sides, document
                continue
        if waiting is not None:
            sides, padding = waiting
            changed = _with_padding(program.stages[index], document, sides)
            waiting = None
            kept.append((changed or document) | {"inputs": padding["inputs"]})
        else:
            kept.append(document)
        if layer.name is None:
            renamed[f"layers.{index}"] = f"layers.{len(kept) - 1}"
    return (
        form if len(kept) == len(documents) else form.with_layers(kept).weights_changed(Renamed.of(renamed))
    )


def _is_padding(layer: Layer) -> TypeGuard[ZeroPadding]:
    """Return whether a layer pads with zeros and does nothing else."""
    return isinstance(layer, ZeroPadding) and layer.activity_regularizer is None


def only_reader(form: Form, index: int) -> int | None:
    """Return the next layer, where it alone takes a layer's output and nothing else."""
    model = form.job.model
    if index in model.output_layers:
        return None
    readers = [at for at in range(len(model.layers)) if index + 1 in model.sources(at)]
    return index + 1 if readers == [index + 1] and model.sources(index + 1) == (index + 1,) else None


def _with_padding(stage: Stage, document: dict[str, Any], more: Sides) -> dict[str, Any] | None:
    """Return a layer's document with more padding of its own; None where that is something else."""
    layer = stage.layer
    if isinstance(layer, CONVOLUTIONS):
        own = layer.sides(stage.inputs[0])
        sides = [[before + mine[0], after + mine[1]] for (before, after), mine in zip(more, own, strict=True)]
        return document | {"padding": sides}
    even = all(before == after for before, after in more)
    if isinstance(layer, AveragePooling | MaxPooling) and even and layer.padding in ("valid", 0):
        counted = {"count_include_pad": True} if isinstance(layer, AveragePooling) else {}
        within = all(2 * before <= size for (before, _), size in zip(more, layer.window, strict=True))
        padding = [before for before, _ in more]
        number = padding[0] if len(set(padding)) == 1 else padding
        return document | {"padding": number, **counted} if within else None
    return None


def _is_never_below_0(form: Form, index: int) -> bool:
    """Return whether what a layer gets has passed a function that gives nothing below 0 as the last."""
    model = form.job.model
    (place,) = model.sources(index)
    while place > 0:
        passed = model.layers[place - 1].last_activation
        if passed is not None:
            return passed in NEVER_BELOW_0
        place = model.sources(place - 1)[0]
    return False


def named_otherwise(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for a layer that has two, such as a group norm with a group a channel."""
    programs = reference.program, other.program
    if programs[0] is None or programs[1] is None or len(kinds(reference)) != len(kinds(other)):
        return None
    if any(stage.padding for stage in (*programs[0].stages, *programs[1].stages)):
        return None  # a dense layer says behind it which steps are padding, and a convolution does not
    wanted, found = (form.document["model"]["layers"] for form in (reference, other))
    changed, weights = False, other
    for index, stages in enumerate(zip(programs[0].stages, programs[1].stages, strict=True)):
        mine, theirs = map(_meaning, stages)
        if mine is not None and mine == theirs and wanted[index] != found[index]:
            own = {name: found[index][name] for name in ("name", "inputs")}
            changed = changed or wanted[index] | own != found[index]
            found[index] = wanted[index] | own
            for one, two in zip(stages[0].weights, stages[1].weights, strict=True):
                if one.shape != two.shape:
                    weights = weights.weights_changed(InShape(two.name, one.shape))
    return (reference, weights.with_layers(found)) if changed else None


def _meaning(stage: Stage) -> dict[str, Any] | None:
    """Return what a layer computes, by one word for its kind; None for a kind that has one word alone."""
    layer, shape = stage.layer, stage.inputs[0]
    told: dict[str, Any] = layer.model_dump(
        mode="json", exclude={"type", "name", "inputs", "groups", "axis", "shared_axes"}
    )
    meaning: dict[str, Any] | None = None
    match layer:
        case GroupNorm(groups=1) if len(shape) == 1:
            meaning = told | {"kind": "layer_norm", "places": (0,)}
        case GroupNorm() | InstanceNorm():
            meaning = {"affine": True} | told | {"kind": "group_norm", "groups": layer.count(shape)}
        case LayerNorm() | RmsNorm():
            meaning = told | {"kind": layer.type, "places": layer.places(shape)}
        case Prelu():
            meaning = told | {"kind": layer.type, "alphas": stage.weights[0].shape}
        case Glu() | Swiglu():
            activation = layer.activation.model_dump(mode="json")
            meaning = told | {"kind": "glu", "activation": activation}
        case Flatten() | Reshape() if getattr(layer, "order", "channels_last") == "channels_last":
            penalty = told["activity_regularizer"]
            meaning = {"kind": "reshape", "shape": stage.output, "activity_regularizer": penalty}
        case GlobalPooling() if prod(shape[:-1]) == 1:
            penalty = told["activity_regularizer"]
            meaning = {"kind": "reshape", "shape": stage.output, "activity_regularizer": penalty}
        case Dense():
            meaning = told | {"kind": "dense"}
        case Convolution() if meets_one_place(layer, shape):
            window = ("filters", "kernel_size", "strides", "padding", "dilation")
            own = {name: value for name, value in told.items() if name not in window}
            meaning = own | {"kind": "dense", "units": layer.filters}
    return meaning


def meets_one_place(layer: Convolution, shape: Shape) -> bool:
    """Return whether each output of a convolution is of the channels at one place, as a dense layer's is."""
    one_by_one = {*layer.window, *layer.steps, layer.groups} == {1} and not any(map(any, layer.sides(shape)))
    return one_by_one and layer.kernel_constraint is None
