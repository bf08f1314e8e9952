"""Writes a drawn clean job in two ways: what torch's side overrides, so that it computes the same.

What is drawn depends on the number of the job alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

Draw = np.random.Generator
Document = dict[str, Any]
Rewording = Callable[[Document, Draw], bool]
"""Changes the document in place; returns whether it could."""


def reworded(job: Document, number: int) -> Document:
    """The job with one to three of its settings written differently for torch."""
    draw = np.random.default_rng([number, 1])
    other = copy.deepcopy(job)
    order = [REWORDINGS[place] for place in draw.permutation(len(REWORDINGS))]
    wanted, done = int(draw.integers(1, 4)), 0
    for rewording in order:
        if done < wanted:
            done += rewording(other, draw)
    changed = {section: other[section] for section in ("loss", "optimizer") if other[section] != job[section]}
    if other["model"] != job["model"]:
        changed["model.layers"] = other["model"]["layers"]
    return job | {"overrides": {"torch": changed}}


def _head(job: Document, _: Draw) -> bool:
    """Only where no probability comes so near to 0 or 1 that the loss clips it: there the two do differ."""
    tame = job["data"]["standardize"] and not _has_own_rates(job)
    if job["loss"]["type"] != "categorical_crossentropy" or not tame:
        return False
    job["model"]["layers"][-1]["activation"] = "softmax"
    job["loss"]["from_logits"] = False
    return True


def _activations(job: Document, _: Draw) -> bool:
    layers: list[Document] = []
    for layer in job["model"]["layers"]:
        apart = layer["type"].startswith(("dense", "conv")) and "activation" in layer
        layers.append({**layer, "activation": "linear"} if apart else layer)
        if apart:
            layers.append({"type": "activation", "activation": layer["activation"]})
    done = len(layers) > len(job["model"]["layers"])
    job["model"]["layers"] = layers
    return done


def _names(job: Document, _: Draw) -> bool:
    for place, layer in enumerate(job["model"]["layers"]):
        layer["name"] = f"block{place}"
    return True


def _initializers(job: Document, _: Draw) -> bool:
    found = [layer for layer in job["model"]["layers"] if layer["type"] == "dense"]
    for layer in found:
        layer["kernel_initializer"] = {
            "type": "variance_scaling", "scale": 1.0, "mode": "fan_avg", "distribution": "uniform",
        }  # fmt: skip
    return bool(found)


def _bias(job: Document, _: Draw) -> bool:
    layers, done = job["model"]["layers"], False
    for layer, following in pairwise(layers):
        plain = layer["type"].startswith(("dense", "conv")) and layer.get("activation", "linear") == "linear"
        if plain and following["type"] == "batch_norm":
            layer["use_bias"], done = False, True
    return done


def _padding(job: Document, _: Draw) -> bool:
    done = False
    for layer in job["model"]["layers"]:
        same = layer["type"].startswith("conv") and layer["padding"] == "same" and layer["strides"] == 1
        if same and layer["kernel_size"] % 2 == 1:
            layer["padding"], done = "symmetric", True
    return done


def _decay(job: Document, _: Draw) -> bool:
    optimizer = job["optimizer"]
    if optimizer["type"] == "adamw":
        optimizer |= {"type": "adam", "weight_decay_kind": "decoupled"}
        optimizer.setdefault("weight_decay", 0.004)
        return True
    plain = optimizer["type"] == "sgd" and not optimizer.get("momentum")
    if plain:
        optimizer["weight_decay_kind"] = "decoupled"
    return bool(plain)


def _momentum(job: Document, _: Draw) -> bool:
    optimizer = job["optimizer"]
    if optimizer["type"] != "sgd" or optimizer.get("schedule"):
        return False
    optimizer["momentum_convention"] = "buffer"
    return True


def _reduction(job: Document, _: Draw) -> bool:
    optimizer, training, loss = job["optimizer"], job["training"], job["loss"]
    even = training["batch_size"] is None or training["drop_last"]
    if optimizer["type"] != "sgd" or not even or _has_own_rates(job) or "validation" in job["data"]["split"]:
        return False
    if loss["type"] in ("dice", "tversky"):  # of a whole batch, with nothing to reduce
        return False
    by_row = loss["type"].startswith("categorical") or loss["type"] == "multi_margin"
    outputs = 1 if by_row else job["model"]["layers"][-1]["units"]
    size = float((training["batch_size"] or job["data"]["samples"]) * outputs)
    factor = size if loss.get("reduction") == "sum" else 1 / size
    loss["reduction"] = "mean" if loss.get("reduction") == "sum" else "sum"
    for name, power in (("learning_rate", 1), ("weight_decay", -1), ("clip_value", -1)):
        if name in optimizer:
            optimizer[name] *= factor**power
    for name in ("clip_norm", "global_clip_norm"):
        if name in optimizer:
            optimizer[name] /= factor
    return True


def _has_own_rates(job: Document) -> bool:
    """Whether a schedule has learning rates of its own, which no other number scales."""
    return bool((job["optimizer"].get("schedule") or {}).get("type") == "piecewise")


def _idle(job: Document, draw: Draw) -> bool:
    loss, optimizer = job["loss"], job["optimizer"]
    if loss["type"] == "categorical_crossentropy" and draw.random() < 0.5:
        loss["ignore_index"] = -100
    elif "clip_norm" in optimizer or "global_clip_norm" in optimizer:
        return False
    else:
        optimizer["clip_epsilon"] = 1e-6
    return True


REWORDINGS: tuple[Rewording, ...] = (
    _head, _activations, _names, _initializers, _bias, _padding, _decay, _momentum, _reduction, _idle,
)  # fmt: skip
