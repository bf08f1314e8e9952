"""Rules on what ends a model and on the loss behind it: probabilities, logits, and logarithms. Pure.

Each rule takes the reference's form and the other's, and returns both in one wording, or None where it does
not apply.
"""

from __future__ import annotations

from typing import Any

from likewise.producer.wording.form import Form
from likewise.producer.wording.functions import last_word
from likewise.producer.wording.layers import HAVE_ACTIVATIONS, Forms, kinds
from likewise.shared.job.loss import BinaryLoss

SQUASHED = {
    "categorical_crossentropy": "softmax",
    "categorical_focal_crossentropy": "softmax",
    "binary_crossentropy": "sigmoid",
    "binary_focal_crossentropy": "sigmoid",
    "dice": "sigmoid",
    "tversky": "sigmoid",
}


def head(reference: Form, other: Form) -> Forms | None:
    """Write the head as the reference does: probabilities and their loss, or logits and theirs."""
    losses = reference.job.loss, other.job.loss
    if losses[0].type != losses[1].type or losses[0].type not in SQUASHED:
        return None
    squash = SQUASHED[losses[0].type]
    if _gives_logits(other) and _gives_probabilities(reference, squash):
        changed = _with_head(other, reference, squash, from_logits=False)
        return None if changed is None else (reference, changed.read(scale=squash))
    if _gives_probabilities(other, squash) and _gives_logits(reference):
        word = _last_activation(reference) or "linear"
        changed = _with_head(other, reference, word, from_logits=True)
        return None if changed is None else (reference.read(scale=squash), changed)
    return None


def logs_of_softmax(reference: Form, other: Form) -> Forms | None:
    """Write a last log-softmax before a loss that takes a softmax of its own as nothing, in both."""
    if _last_activation(reference) == _last_activation(other):
        return None
    changed = [_without_log(form) for form in (reference, other)]
    if changed[0] is reference and changed[1] is other:
        return None
    if kinds(changed[0]) != kinds(changed[1]):
        return None
    one, two = (
        form.read(scale="softmax") if form.reading.scale == "as they are" and _takes_logits(form) else form
        for form in changed
    )
    return one, two


def _takes_logits(form: Form) -> bool:
    loss: Any = form.job.loss
    return loss.type in _OF_SOFTMAX and getattr(loss, "from_logits", True)


def _without_log(form: Form) -> Form:
    if not _takes_logits(form) or _last_activation(form) != "log_softmax":
        return form
    return form.with_layer(_head_layer(form), activation={"type": "linear"})


_OF_SOFTMAX = ("categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence")
"""Losses that take the softmax of logits, which is the same of the logarithm of their softmax."""


def _head_layer(form: Form) -> int:
    """Return the last layer; before a loss on single outputs, the last that does not only move numbers."""
    last = len(form.job.model.layers) - 1
    model = form.job.model
    while (
        isinstance(form.job.loss, BinaryLoss)
        and model.layers[last].keeps_numbers
        and model.sources(last) == (last,)
        and last > 0
    ):
        last -= 1
    return last


def _last_activation(form: Form) -> str | None:
    """Return the activation that the outputs passed last; None where the layer is of a kind without one."""
    layer = form.job.model.layers[_head_layer(form)]
    if layer.activity_regularizer is not None:  # it is of probabilities or of logits
        return "penalized"
    activation = getattr(layer, "activation", None)
    known = activation and layer.type in (*HAVE_ACTIVATIONS, "activation")
    return last_word(form, _head_layer(form)) if known else None


def _gives_logits(form: Form) -> bool:
    loss: Any = form.job.loss
    last = _last_activation(form)
    return loss.from_logits and (last in (None, "linear") or (last == "log_softmax" and _takes_logits(form)))


def _gives_probabilities(form: Form, squash: str) -> bool:
    loss: Any = form.job.loss
    return not loss.from_logits and _last_activation(form) == squash


def _with_head(form: Form, like: Form, activation: str, *, from_logits: bool) -> Form | None:
    """Return the form with another last activation, in a layer of its own where the reference has one."""
    layers = form.document["model"]["layers"]
    mine, wanted = len(layers), len(like.job.model.layers)
    word = {"type": activation}
    if mine == wanted + 1 and layers[-1]["type"] == "activation":
        layers = layers[:-1]
    elif mine == wanted - 1 and like.job.model.layers[-1].type == "activation":
        layers = [*layers, like.document["model"]["layers"][-1] | {"inputs": None}]
    elif mine == wanted and kinds(form) == kinds(like):
        place = _head_layer(form)
        layers = [*layers[:place], layers[place] | {"activation": word}, *layers[place + 1 :]]
    else:
        return None
    return form.with_layers(layers).with_section("loss", from_logits=from_logits)
