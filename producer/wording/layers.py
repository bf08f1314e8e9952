"""Rules on layers: the same model, written with other layers or other words. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply. The other's job takes on the reference's words; both jobs change only where both are rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod
from typing import Any

from likewise.producer.wording.form import BiasInMean, Centred, Form, Renamed
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.base import BaseLayer
from likewise.shared.job.layers.basic import Flatten, Reshape
from likewise.shared.job.layers.convolution import TransposedConvolution
from likewise.shared.job.layers.normalization import BatchNorm
from likewise.shared.job.layers.pooling import AveragePooling, MaxPooling
from likewise.shared.job.layers.windows import Spatial, Windowed, by_side
from likewise.shared.job.loss import ClassCrossentropy, KlDivergence
from likewise.shared.job.optimizer import is_decoupled
from likewise.shared.job.weights import (
    Constant,
    InitializerWeights,
    Ones,
    SharedWeights,
    Zeros,
)

Forms = tuple[Form, Form]
HAVE_BIAS_A_CHANNEL = (
    "dense",
    *(f"conv{axes}d{end}" for axes in (1, 2, 3) for end in ("", "_transpose")),
    *(f"{word}_conv{axes}d" for word in ("depthwise", "separable") for axes in (1, 2)),
)
HAVE_ACTIVATIONS = (*HAVE_BIAS_A_CHANNEL, "locally_connected1d", "locally_connected2d")
"""Layers whose `activation` is applied to their whole output, as a layer of its own would."""
NOT_WORDS = ("type", "name", "inputs")


def kinds(form: Form) -> list[str]:
    """Return the types of the layers."""
    return [layer.type for layer in form.job.model.layers]


def as_many(forms: Forms) -> bool:
    """Return whether both models have as many layers."""
    return len(kinds(forms[0])) == len(kinds(forms[1]))


def folded(reference: Form, other: Form) -> Forms | None:
    """Write an activation that is a layer of its own as its layer's activation, in both."""
    changed = folded_loosely(reference, other)
    if changed is None:
        return None
    one, two = map(kinds, changed)
    return changed if one == two or _but_for_the_last(one, two) else None


def folded_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `folded`, whatever else the layers are."""
    if kinds(reference) == kinds(other):
        return None
    one, two = _folded(reference), _folded(other)
    return (one, two) if (one, two) != (reference, other) else None


def _but_for_the_last(one: list[str], two: list[str]) -> bool:
    """Return whether one list is the other with an activation behind it."""
    short, long = sorted((one, two), key=len)
    return [*short, "activation"] == long


def _folded(form: Form) -> Form:
    model = form.job.model
    document = form.document["model"]["layers"]
    readers = [0] * (len(model.layers) + 1)
    for index in range(len(model.layers)):
        for place in model.sources(index):
            readers[place] += 1
    kept: list[dict[str, Any]] = []
    renamed: dict[str, str] = {}
    handles: dict[str, str] = {}
    held_by: dict[int, int] = {}
    for index, layer in enumerate(model.layers):
        before = kept[-1] if kept else _SAMPLES
        follows = model.sources(index) == (index,) and held_by.get(index - 1, -1) == len(kept) - 1
        nothing = _does_nothing(layer, before) or _gives_what_it_gets(form, index)
        is_all = not kept and index + 1 == len(model.layers)
        if follows and layer.name is None and nothing and not is_all:
            held_by[index] = len(kept) - 1
            kept[-1:] = [_with_penalty(before, layer)] if kept else []
            continue
        if follows and readers[index] == 1 and _goes_into(layer, before):
            kept[-1] = _with_penalty(kept[-1] | {"activation": document[index]["activation"]}, layer)
            held_by[index] = len(kept) - 1
            if layer.name:
                handles[layer.name] = kept[-1]["name"]
            continue
        held_by[index] = len(kept)
        if layer.name is None:
            renamed[f"layers.{index}"] = f"layers.{len(kept)}"
        kept.append(document[index])
    if len(kept) == len(document):
        return form
    for place, one in enumerate(kept):
        if one["inputs"]:
            kept[place] = one | {"inputs": [handles.get(name, name) for name in one["inputs"]]}
    changed = form.with_layers(kept)
    return changed.weights_changed(Renamed.of(renamed))


_SAMPLES: dict[str, Any] = {"type": "input", "activity_regularizer": None}
"""What stands for the samples where a layer is asked for that is before the first."""


def _gives_what_it_gets(form: Form, index: int) -> bool:
    """Return whether a layer gives its input another shape, and that is the one it has."""
    layer, program = form.job.model.layers[index], form.program
    if program is None or not isinstance(layer, Flatten | Reshape) or layer.activity_regularizer is not None:
        return False
    stage = program.stages[index]
    return getattr(layer, "order", "channels_last") == "channels_last" and stage.output == stage.inputs[0]


def _goes_into(layer: Layer, before: dict[str, Any]) -> bool:
    """Return whether an activation can be written as that of the layer before it."""
    return (
        layer.type == "activation"
        and before["type"] in HAVE_ACTIVATIONS
        and before["activation"] == {"type": "linear"}
        and before["activity_regularizer"] is None
        and (layer.name is None or before["name"] is not None)
    )


def _with_penalty(document: dict[str, Any], layer: Layer) -> dict[str, Any]:
    """Return a layer's document with the penalty of the output of a layer behind it, which goes into it."""
    if layer.activity_regularizer is None:
        return document
    return document | {"activity_regularizer": layer.activity_regularizer.model_dump(mode="json")}


def _does_nothing(layer: Layer, before: dict[str, Any]) -> bool:
    """Return whether a layer gives what it gets, and any penalty of it can stand in the layer before it."""
    if layer.activity_regularizer is not None and (
        before["type"] == "input" or before["activity_regularizer"] is not None
    ):
        return False
    if layer.type == "dropout":
        return layer.rate == 0
    return layer.type == "activation" and layer.activation.type == "linear"


def named_alike(reference: Form, other: Form) -> Forms | None:
    """Give layers the reference's names, where each takes the same layers' outputs."""
    mine, theirs = reference.job.model, other.job.model
    if kinds(reference) != kinds(other) or not _drawn(reference, other):
        return None
    if any(mine.sources(index) != theirs.sources(index) for index in range(len(mine.layers))):
        return None
    layers = [
        layer | {"name": named["name"], "inputs": named["inputs"]}
        for layer, named in zip(
            other.document["model"]["layers"], reference.document["model"]["layers"], strict=True
        )
    ]
    if layers == other.document["model"]["layers"]:
        return None
    renamed = {theirs.layer_path(index): mine.layer_path(index) for index in range(len(layers))}
    return reference, other.with_layers(layers).weights_changed(Renamed.of(renamed))


def same_start(reference: Form, other: Form) -> bool:
    """Return whether both draw their weights from one stream, by what each layer declares."""
    mine, theirs = reference.job.initial_weights, other.job.initial_weights
    return isinstance(mine, SharedWeights | InitializerWeights) and mine == theirs


def _drawn(reference: Form, other: Form) -> bool:
    """Return whether no weight is given by its name."""
    kinds_of = {form.job.initial_weights.type for form in (reference, other)}
    return kinds_of <= {"shared", "initializers", "framework"}


def pairs_of_layers(reference: Form, other: Form) -> Iterator[tuple[int, Any, Any]]:
    """Yield the place and both layers, where the two models have the same kinds of layers."""
    if kinds(reference) == kinds(other):
        layers = zip(reference.job.model.layers, other.job.model.layers, strict=True)
        yield from ((index, *both) for index, both in enumerate(layers))


def numbers_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's way to write a number for every axis, or for both sides of each."""
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        if not isinstance(mine, Spatial):
            continue
        alike = {
            name: getattr(mine, name)
            for name in type(mine).model_fields
            if differs(mine, theirs, name)
            and _every_side(getattr(mine, name), mine.axes) == _every_side(getattr(theirs, name), mine.axes)
        }
        if isinstance(mine, MaxPooling | AveragePooling) and (mine.window, mine.steps) == (
            theirs.window,
            theirs.steps,
        ):
            alike["strides"] = mine.strides  # which may be left out where it is the pool size
        if any(getattr(theirs, name) != value for name, value in alike.items()):
            changed = changed.with_layer(index, **alike)
    return (reference, changed) if changed is not other else None


def _every_side(value: Any, axes: int) -> Any:
    return by_side(value, axes) if isinstance(value, int | tuple) and not isinstance(value, bool) else value


def padded_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for padding where windows stand in the same places."""
    program = reference.program
    if program is None or other.program is None:
        return None
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        words = [
            name for name in ("padding", "output_padding", "count_include_pad") if differs(mine, theirs, name)
        ]
        shapes = program.stages[index].inputs, other.program.stages[index].inputs
        slides = isinstance(mine, Windowed | TransposedConvolution)
        if not words or not slides or shapes[0] != shapes[1]:
            continue
        rest = [
            name for name in type(mine).model_fields
            if name not in (*words, *NOT_WORDS) and differs(mine, theirs, name)
        ]  # fmt: skip
        places = [_windows(layer, shapes[0][0]) for layer in (mine, theirs)]
        other_windows = any(name in ("kernel_size", "pool_size", "strides", "dilation") for name in rest)
        if other_windows or places[0] != places[1]:
            continue
        if "count_include_pad" in words and _reaches_beyond(mine, shapes[0][0]):
            continue
        changed = changed.with_layer(index, **{name: getattr(mine, name) for name in words})
    return (reference, changed) if changed is not other else None


def differs(mine: BaseLayer, theirs: BaseLayer, name: str) -> bool:
    """Return whether two layers have other values of a field."""
    return getattr(mine, name, None) != getattr(theirs, name, None)


def _windows(layer: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Return what says for each axis where the windows stand, or which outputs of the whole are kept."""
    if isinstance(layer, TransposedConvolution):
        return layer.places(shape)
    before = (sides[0] for sides in layer.sides(shape))
    return tuple(zip(layer.grid(shape), before, strict=True))


def _reaches_beyond(layer: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a window holds anything but values."""
    axes = zip(layer.grid(shape), layer.sides(shape), shape, layer.reaches, layer.steps, strict=False)
    return any(before or (count - 1) * step + reach > size for count, (before, _), size, reach, step in axes)


def flattened_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's order of a flatten that has only one order."""
    program = other.program
    if program is None:
        return None
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        if isinstance(mine, Flatten) and mine.order != theirs.order:
            (shape,) = program.stages[index].inputs
            if shape[-1] == 1 or prod(shape[:-1]) == 1:
                changed = changed.with_layer(index, order=mine.order)
    return (reference, changed) if changed is not other else None


def frozen_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for what a frozen layer would do, of one that is not frozen."""
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        trained = isinstance(mine, BatchNorm) and mine.trainable and theirs.trainable
        if trained and differs(mine, theirs, "frozen_mode"):
            changed = changed.with_layer(index, frozen_mode=mine.frozen_mode)
    return (reference, changed) if changed is not other else None


def bias_before_batch_norm(reference: Form, other: Form) -> Forms | None:
    """Leave out a bias that starts at 0 and that a batch normalization takes off again with the mean."""
    if not same_start(reference, other):
        return None
    one, two = reference, other
    for index, mine, theirs in pairs_of_layers(reference, other):
        if not differs(mine, theirs, "use_bias"):
            continue
        biased = reference if mine.use_bias else other
        normalization = _normalized_by(biased, index)
        if normalization is None or not isinstance(
            (mine if mine.use_bias else theirs).bias_initializer, Zeros
        ):
            continue
        model = biased.job.model
        path, mean = (model.layer_path(place) for place in (index, normalization))
        change = BiasInMean(bias=f"{path}.bias", mean=f"{mean}.moving_mean")
        if mine.use_bias:
            one = one.weights_changed(change)
        else:
            two = two.weights_changed(change)
        two = two.with_layer(
            index, use_bias=mine.use_bias, bias_initializer=mine.bias_initializer.model_dump(mode="json")
        )
    return (one, drawn_otherwise(two)) if two is not other else None


def _normalized_by(form: Form, index: int) -> int | None:
    """Return the batch normalization that alone takes a layer's output as it is, before any activation."""
    model = form.job.model
    if model.layers[index].type not in HAVE_BIAS_A_CHANNEL:
        return None
    layer: Any = model.layers[index]
    if not layer.trains:  # one that is given, and stays, is no matter of the moving mean
        return None
    takers = [one for one in range(len(model.layers)) if index + 1 in model.sources(one)]
    if layer.activation.type != "linear" or len(takers) != 1 or layer.activity_regularizer is not None:
        return None
    normalization = model.layers[takers[0]]
    return takers[0] if isinstance(normalization, BatchNorm) and normalization.uses_batch else None


def drawn_otherwise(form: Form) -> Form:
    """Note that the form's weights are drawn the same only up to rounding, or in part not at all."""
    return replace(form, other_draws=True)


def head_shifted(reference: Form, other: Form) -> Forms | None:
    """Take the reference's start of the logits' bias where the two are a constant apart in every class."""
    if not same_start(reference, other) or kinds(reference) != kinds(other):
        return None
    mine, theirs = (form.job.model.layers[-1] for form in (reference, other))
    if mine.type != "dense" or theirs.type != "dense" or not differs(mine, theirs, "bias_initializer"):
        return None
    if not (mine.use_bias and theirs.use_bias and _sees_no_shift(reference) and _sees_no_shift(other)):
        return None
    constants = (Zeros, Ones, Constant)
    if not all(isinstance(layer.bias_initializer, constants) for layer in (mine, theirs)):
        return None
    last = len(reference.job.model.layers) - 1
    name = f"{reference.job.model.layer_path(last)}.bias"
    changed = other.with_layer(last, bias_initializer=mine.bias_initializer.model_dump(mode="json"))
    one, two = (
        form.read(scale="centred") if form.reading.scale == "as they are" else form
        for form in (reference, changed)
    )
    return one.weights_changed(Centred(name)), drawn_otherwise(two.weights_changed(Centred(name)))


def _sees_no_shift(form: Form) -> bool:
    """Return whether a constant that is added to every logit changes no gradient, and decays by itself."""
    loss, optimizer = form.job.loss, form.job.optimizer
    softmax = isinstance(loss, KlDivergence) or (isinstance(loss, ClassCrossentropy) and loss.from_logits)
    last: Any = form.job.model.layers[-1]
    if last.activity_regularizer is not None:
        return False
    undecayed = optimizer.weight_decay == 0 or is_decoupled(optimizer) or optimizer.type == "sgd"
    if last.bias_regularizer is not None or last.bias_constraint is not None:
        return False
    return softmax and last.activation.type == "linear" and undecayed
