"""Rules on activation functions that have two names, or are a layer with a weight that stays. Pure."""

from __future__ import annotations

from typing import Any

from likewise.producer.wording.form import Form, LeftOut
from likewise.producer.wording.layers import Forms, as_many, differs, kinds, pairs_of_layers, same_start
from likewise.shared.job.activations import (
    ClippedRelu,
    HardTanh,
    LeakyRelu,
    PlainActivation,
    Softmax,
    Threshold,
    word_over,
)
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.gates import Prelu
from likewise.shared.job.weights import Constant, Ones, Zeros


def functions_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's word for an activation function that has two."""
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        if differs(mine, theirs, "activation") and _function(reference, index) == _function(other, index):
            changed = changed.with_layer(index, activation=mine.model_dump(mode="json")["activation"])
    return (reference, changed) if changed is not other else None


def last_word(form: Form, index: int) -> str:
    """Return the word of a layer's activation, which says the axis of a softmax that is not over the last."""
    layer: Any = form.job.model.layers[index]
    program = form.program
    return word_over(layer.activation, None if program is None else len(program.stages[index].output))


def _function(form: Form, index: int) -> dict[str, Any]:
    """Return an activation function's word and numbers, by one word for each function."""
    layer: Any = form.job.model.layers[index]
    function = layer.activation
    if isinstance(function, str):  # a recurrent layer takes few words, and no settings
        return {"type": function}
    if isinstance(function, Softmax) and last_word(form, index) == function.type:
        return {"type": function.type}
    if (relu := _as_clipped_relu(function)) is not None:
        return relu.model_dump(mode="json")
    if function.type == "leaky_relu" and function.negative_slope == 1:
        return {"type": "linear"}
    numbers: dict[str, Any] = function.model_dump(mode="json")
    return numbers


def fixed_alike(reference: Form, other: Form) -> Forms | None:
    """Write a PReLU that never learns as the leaky ReLU that it is, in both."""
    changed = fixed_loosely(reference, other)
    if changed is None or kinds(changed[0]) == kinds(changed[1]):
        return changed
    return changed if as_many(changed) and not as_many((reference, other)) else None


def fixed_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `fixed_alike`, whatever else the layers are."""
    if kinds(reference) == kinds(other) or not same_start(reference, other):
        return None
    one, two = _with_fixed_slopes(reference), _with_fixed_slopes(other)
    return (one, two) if (one, two) != (reference, other) else None


def _with_fixed_slopes(form: Form) -> Form:
    changed = form
    for index, layer in enumerate(form.job.model.layers):
        slope = _fixed_slope(layer)
        if slope is None:
            continue
        layers = changed.document["model"]["layers"]
        kept = {name: layers[index][name] for name in ("name", "inputs", "activity_regularizer")}
        function = {"type": "leaky_relu", "negative_slope": slope}
        layers[index] = {"type": "activation", "activation": function, **kept}
        alpha = LeftOut(f"{form.job.model.layer_path(index)}.alpha")
        changed = changed.with_layers(layers).weights_changed(alpha)
    return changed


def _fixed_slope(layer: Layer) -> float | None:
    """Return the slope below 0 of a PReLU that has one and keeps it; None where it is learnt or drawn."""
    if not isinstance(layer, Prelu) or layer.trains:
        return None
    if layer.alpha_regularizer is not None or layer.alpha_constraint is not None:
        return None
    match layer.alpha_initializer:
        case Zeros():
            return 0.0
        case Ones():
            return 1.0
        case Constant(value=value):
            return value
    return None


def _as_clipped_relu(function: Any) -> ClippedRelu | None:
    """Return a relu of any word as the one with every setting; None for another function."""
    numbers: dict[str, Any]
    match function:
        case ClippedRelu():
            return function
        case LeakyRelu(negative_slope=slope) if slope != 1:
            numbers = {"max_value": None, "negative_slope": slope}
        case HardTanh(min_value=0.0, max_value=limit):
            numbers = {"max_value": limit}
        case Threshold(threshold=begins, value=0.0) if begins >= 0:
            numbers = {"max_value": None, "threshold": begins}
        case PlainActivation(type="relu"):
            numbers = {"max_value": None}
        case PlainActivation(type="relu6"):
            numbers = {"max_value": 6.0}
        case _:
            return None
    return ClippedRelu(type="clipped_relu", **numbers)
