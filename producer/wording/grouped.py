"""The rule on convolutions whose groups are single channels, which are depthwise convolutions. Pure.

PyTorch writes a depthwise convolution as one with as many groups as channels. Both kernels have the same
numbers in the same order, and other fans, by which most initializers scale them.
"""

from __future__ import annotations

from typing import Any

from likewise.producer.wording.form import Form
from likewise.producer.wording.initializers import CUT_AT_TWO, distribution
from likewise.producer.wording.layers import Forms, as_many, kinds
from likewise.producer.wording.reordered import with_weights_of
from likewise.shared.job.layers.convolution import Convolution
from likewise.shared.program import Stage


def by_channel(reference: Form, other: Form) -> Forms | None:
    """Write a convolution with a group a channel as a depthwise one, in both."""
    changed = by_channel_loosely(reference, other)
    if changed is None or kinds(changed[0]) == kinds(changed[1]):
        return changed
    return changed if as_many(changed) and not as_many((reference, other)) else None


def by_channel_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `by_channel`, whatever else the layers are."""
    if kinds(reference) == kinds(other):
        return None
    one, two = _by_channel(reference), _by_channel(other)
    return (one, two) if (one, two) != (reference, other) else None


def _by_channel(form: Form) -> Form:
    before = form.program
    if before is None:
        return form
    layers = form.document["model"]["layers"]
    found = [_depthwise(stage, layer) or layer for stage, layer in zip(before.stages, layers, strict=False)]
    if found == layers:
        return form
    changed = form.with_layers(found)
    after = changed.program
    if after is None:
        return form
    starts = [_same_start(stage, new) for stage, new in zip(before.stages, after.stages, strict=True)]
    if None in starts:
        return form
    written = changed.document["model"]["layers"]
    started = [layer | (start or {}) for layer, start in zip(written, starts, strict=False)]
    changed = changed.with_layers(started)
    return with_weights_of(changed, before, after)


def _depthwise(stage: Stage, layer: dict[str, Any]) -> dict[str, Any] | None:
    """Return the depthwise convolution that a convolution is; None where it is none."""
    of = stage.layer
    if not isinstance(of, Convolution) or of.axes > 2 or of.kernel_constraint is not None:
        return None
    channels = stage.inputs[0][-1]
    if of.groups != channels or channels == 1:
        return None
    own = {name: value for name, value in layer.items() if name not in ("filters", "groups", "type")}
    return own | {"type": f"depthwise_conv{of.axes}d", "depth_multiplier": of.filters // channels}


def _same_start(old: Stage, new: Stage) -> dict[str, Any] | None:
    """Return the initializer by which a kernel with other fans starts as before; None where there is none."""
    if not old.weights or old.weights[0].shape == new.weights[0].shape:
        return {}
    was, now = (distribution(stage.weights[0]) for stage in (old, new))
    if was[0] in ("orthogonal", "identity"):
        return None
    if was == now:
        return {}
    words: dict[str, Any] = {
        "uniform": {"type": "random_uniform", "minval": was[1][0], "maxval": was[1][-1]},
        "untruncated_normal": {"type": "random_normal", "stddev": was[1][-1]},
        "truncated_normal": {"type": "truncated_normal", "stddev": was[1][-1] / CUT_AT_TWO},
    }
    return {"kernel_initializer": words[was[0]]} if was[0] in words else None
