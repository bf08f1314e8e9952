"""Pairs of jobs that differ in one setting: every word there is for a layer, a loss, an optimizer, a
schedule, an initializer and a training, so that the advice for each is run in both directions.

Longer than 400 lines: it has a place for each field that can be declared.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from likewise.producer.job.resolve import leaves
from likewise.shared.job import Job
from likewise.shared.job.activations import Activation
from likewise.shared.job.layers import Layer
from likewise.shared.job.loss import Loss
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.schedule import Schedule
from likewise.shared.job.weights import Initializer
from likewise.shared.program import compile_job

FLAT, STEPS, IMAGE, VOLUME = (6,), (5, 4), (5, 6, 4), (4, 3, 5, 2)
SAMPLES = 12


@dataclass(frozen=True)
class Pair:
    """A job, one that has another value of a setting, and the shape of a sample."""

    path: str
    one: dict[str, Any]
    other: dict[str, Any]
    shape: tuple[int, ...]
    kind: str
    """The setting as `<kind>.<type>.<field>`."""


def members(union: Any) -> dict[str, Any]:
    """The models of a discriminated union, by each of their words."""
    return {
        word: model
        for model in get_args(get_args(union)[0])
        for word in get_args(model.model_fields["type"].annotation)
    }


def dense(units: int = 3, **more: Any) -> dict[str, Any]:
    return {"type": "dense", "units": units, **more}


LAYERS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "input": (FLAT, {"shape": [6]}),
    "dense": (FLAT, {"units": 5, "activation": "tanh"}),
    "flatten": (IMAGE, {}),
    "reshape": (FLAT, {"target_shape": [2, 3]}),
    "permute": ((3, 4), {"dims": [2, 1]}),
    "repeat_vector": (FLAT, {"n": 3}),
    "unit_normalization": (STEPS, {}),
    "dropout": (FLAT, {"rate": 0.0}),
    "activation": (FLAT, {"activation": "tanh"}),
    "conv1d": (STEPS, {"filters": 3, "kernel_size": 2}),
    "conv2d": (IMAGE, {"filters": 3, "kernel_size": 3, "activation": "tanh"}),
    "conv3d": (VOLUME, {"filters": 2, "kernel_size": 2}),
    "depthwise_conv1d": (STEPS, {"kernel_size": 2}),
    "depthwise_conv2d": (IMAGE, {"kernel_size": 3}),
    "separable_conv1d": (STEPS, {"filters": 2, "kernel_size": 2}),
    "separable_conv2d": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "locally_connected1d": (STEPS, {"filters": 2, "kernel_size": 2}),
    "locally_connected2d": (IMAGE, {"filters": 2, "kernel_size": 3}),
    "conv1d_transpose": (STEPS, {"filters": 2, "kernel_size": 3, "strides": 2}),
    "conv2d_transpose": (IMAGE, {"filters": 2, "kernel_size": 3, "strides": 2}),
    "conv3d_transpose": (VOLUME, {"filters": 2, "kernel_size": 3, "strides": 2}),
    "max_pooling1d": (STEPS, {}),
    "max_pooling2d": (IMAGE, {}),
    "max_pooling3d": (VOLUME, {}),
    "average_pooling1d": (STEPS, {}),
    "average_pooling2d": (IMAGE, {}),
    "average_pooling3d": (VOLUME, {}),
    "global_average_pooling": (IMAGE, {}),
    "global_max_pooling": (IMAGE, {}),
    "layer_norm": (STEPS, {"epsilon": 0.001}),
    "rms_norm": (STEPS, {"epsilon": 0.001}),
    "group_norm": (IMAGE, {"groups": 2, "epsilon": 0.001}),
    "instance_norm": (IMAGE, {"epsilon": 0.001}),
    "prelu": (IMAGE, {}),
    "glu": (FLAT, {}),
    "swiglu": (FLAT, {}),
    "position_embedding": (STEPS, {"sequence_length": 7}),
    "batch_norm": (FLAT, {"epsilon": 0.001, "momentum": 0.9}),
    "embedding": ((5,), {"input_dim": 7, "output_dim": 3}),
    "masking": ((5, 1), {}),
    "sinusoidal_position": (STEPS, {}),
    "simple_rnn": (STEPS, {"units": 3}),
    "lstm": (STEPS, {"units": 3}),
    "gru": (STEPS, {"units": 3}),
    "bidirectional": (STEPS, {"layer": {"type": "lstm", "units": 3}}),
    "multi_head_attention": (STEPS, {"num_heads": 1, "key_dim": 4}),
    "add": (FLAT, {"inputs": ["input", "input"]}),
    "subtract": (FLAT, {"inputs": ["input", "input"]}),
    "multiply": (FLAT, {"inputs": ["input", "input"]}),
    "average": (FLAT, {"inputs": ["input", "input"]}),
    "maximum": (FLAT, {"inputs": ["input", "input"]}),
    "minimum": (FLAT, {"inputs": ["input", "input"]}),
    "concatenate": (IMAGE, {"inputs": ["start", "start"]}),
    "stack": (STEPS, {"inputs": ["input", "input"]}),
    "dot": (STEPS, {"inputs": ["input", "input"], "axes": 2}),
    "zero_padding1d": (STEPS, {"padding": 1}),
    "zero_padding2d": (IMAGE, {"padding": 1}),
    "zero_padding3d": (VOLUME, {"padding": 1}),
    "cropping1d": (STEPS, {"cropping": 1}),
    "cropping2d": (IMAGE, {"cropping": 1}),
    "cropping3d": (VOLUME, {"cropping": 1}),
    "upsampling1d": (STEPS, {"interpolation": "linear"}),
    "upsampling2d": (IMAGE, {"interpolation": "bilinear"}),
    "upsampling3d": (VOLUME, {"interpolation": "trilinear"}),
}
"""An example of each kind of layer: the shape of its samples and its fields."""

VALUES: dict[str, list[Any]] = {
    "units": [4],
    "activation": ["softmax", {"type": "leaky_relu", "negative_slope": 0.25}],
    "use_bias": [False],
    "filters": [4],
    "kernel_size": [1],
    "strides": [2],
    "pool_size": [3],
    "padding": ["same", "symmetric", 1],
    "dilation": [2],
    "groups": [2],
    "output_padding": [1],
    "depth_multiplier": [2],
    "count_include_pad": [True],
    "epsilon": [0.1],
    "momentum": [0.8],
    "moving_variance": ["unbiased"],
    "order": ["channels_first"],
    "target_shape": [[3, 2]],
    "dims": [[1, 2]],
    "n": [4],
    "input_dim": [9],
    "output_dim": [4],
    "embeddings_initializer": [],
    "return_sequences": [True],
    "unit_forget_bias": [],
    "reset_after": [False],
    "num_heads": [2],
    "key_dim": [1],
    "value_dim": [3],
    "use_causal_mask": [True],
    "layout": ["halves"],
    "max_wavelength": [100.0],
    "axis": [1, -2],
    "axes": [1, [1, 1]],
    "normalize": [True],
    "cropping": [[1, 0]],
    "size": [3],
    "interpolation": ["nearest"],
    "align_corners": [True],
    "trainable": [False],
    "affine": [False],
    "shared_axes": ["all", [1, 2]],
    "gate": ["first", "second"],
    "sequence_length": [],
    "offset": [1],
}
"""Other values of each field of a layer. What draws weights is looked at by itself."""
ELSEWHERE = {
    *("type", "name", "inputs", "shape", "rate", "seed", "layer"),
    *("mask_zero", "mask_value", "zero_output_for_mask", "use_padding_mask"),  # see `padding_pairs`
}
"""Fields of layers that have no value here: a rate draws masks, the others are no settings of code."""

THREE = [[1.0, 3.0, 0.5]]
LOSSES: dict[str, dict[str, Any]] = {
    "reduction": {"*": ["sum", "sum_of_means"]},
    "weighting": {"*": ["by_weights"]},
    "weight": {"*": []},  # of one of several losses
    "targets": {"*": ["broadcast"]},
    "delta": {"huber": [0.5]},
    "quantile": {"*": [0.75]},
    "from_logits": {"*": [False]},
    "label_smoothing": {"*": [0.1]},
    "class_weights": {
        **dict.fromkeys(
            ("multi_margin", "categorical_crossentropy", "categorical_focal_crossentropy"), THREE
        ),
        "*": [[1.0, 3.0]],
    },
    "ignore_index": {"*": [2]},
    "gamma": {"*": [1.0]},
    "alpha": {"*": [0.75]},
    "beta": {"*": [0.75]},
    "apply_class_balancing": {"*": [True]},
    "labels": {"*": ["as_given"]},
    "per": {"*": ["sample"]},
    "smooth": {"*": [1.0]},
    "epsilon": {"*": [0.5]},
    "p": {"*": [2]},
    "margin": {"*": [0.5]},
}
BESIDE_IN_LOSSES: dict[tuple[str, str], dict[str, Any]] = {
    ("binary_focal_crossentropy", "alpha"): {"apply_class_balancing": True},
    **{
        (kind, name): {"per": "sample"} for kind in ("dice", "tversky") for name in ("reduction", "weighting")
    },
}
"""What a loss has beside a field, for that to mean anything."""

OPTIMIZERS: dict[str, list[Any]] = {
    "learning_rate": [0.03125],
    "weight_decay": [0.125],
    "weight_decay_kind": ["coupled", "decoupled"],
    "clip_value": [0.015625],
    "clip_norm": [0.015625],
    "global_clip_norm": [0.015625],
    "clip_epsilon": [0.015625],
    "momentum": [0.5],
    "nesterov": [True],
    "momentum_convention": ["velocity", "buffer"],
    "beta_1": [0.5],
    "beta_2": [0.75],
    "epsilon": [0.25],
    "epsilon_placement": ["outside", "hat", "inside"],
    "amsgrad": [True],
    "momentum_decay": [0.25],
    "rho": [0.5],
    "centered": [True],
    "initial_accumulator_value": [0.5],
    "bias_correction": [False],
    "use_ema": [True],
    "ema_momentum": [0.5],
    "ema_start": ["initial_weights", "corrected"],
    "ema_use": [],
    "ema_buffers": [],
    "exclude_from_weight_decay": [["bias"], ["hidden"], ["head.bias"]],
    "include_in_weight_decay": [["kernel"], ["head"]],
}
EXACT = {
    "epsilon": 0.015625,
    "beta_1": 0.875,
    "beta_2": 0.984375,
    "rho": 0.875,
    "momentum_decay": 0.5,
    "weight_decay": 0.0,
    "initial_accumulator_value": 0.125,
}
"""Constants that float32 has exactly: Keras keeps its own in that, whatever the model's precision."""
BESIDE: dict[str, dict[str, Any]] = {
    "nesterov": {"momentum": 0.875},
    "momentum_convention": {"momentum": 0.875, "schedule": {"type": "step", "step_size": 2, "gamma": 0.5}},
    "weight_decay_kind": {"weight_decay": 0.125, "momentum": 0.5},
    "clip_epsilon": {"clip_norm": 0.015625},
    "exclude_from_weight_decay": {"weight_decay": 0.125},
    "use_ema": {"ema_momentum": 0.75},
    "ema_momentum": {"use_ema": True, "ema_momentum": 0.75},
    "ema_start": {"use_ema": True, "ema_momentum": 0.75},
    "include_in_weight_decay": {"weight_decay": 0.125, "weight_decay_kind": "decoupled"},
}
"""What an optimizer has beside a field, for that to mean anything."""

SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {"warmup": 3},
    "step": {"step_size": 2, "gamma": 0.5},
    "exponential": {"decay_steps": 3, "decay_rate": 0.5},
    "cosine": {"decay_steps": 5},
    "cosine_restarts": {"decay_steps": 3},
    "polynomial": {"decay_steps": 5},
    "piecewise": {"boundaries": [2], "values": [0.1, 0.02]},
    "reduce_on_plateau": {"monitor": "loss", "patience": 1, "min_delta": 0.5, "factor": 0.5},
}
IN_SCHEDULES: dict[str, list[Any]] = {
    "per": ["epoch"],
    "warmup": [2],
    "warmup_start": [0.5],
    "offset": [1],
    "step_size": [3],
    "gamma": [0.3],
    "decay_steps": [4],
    "decay_rate": [0.3],
    "alpha": [0.2],
    "growth": [2],
    "end_learning_rate": [0.05],
    "power": [2.0],
    "factor": [0.2],
    "patience": [2],
    "patience_rule": ["exceeded"],
    "min_delta": [1e-6],
    "min_delta_kind": ["relative"],
    "min_learning_rate": [0.09375],
    "boundaries": [[3]],
    "values": [[0.1, 0.05]],
    "boundary": ["after"],
}
PLATEAU_ONLY_LOSS = {"monitor", "per", "warmup", "warmup_start", "offset"}
"""Of reduce_on_plateau, fields that these small trainings have nothing to show of."""

TRAINING: dict[str, list[Any]] = {"epochs": [3], "batch_size": [6], "drop_last": [True]}
"""Order and masks are drawn; how losses are reported and where it stops early is no line of a program."""


def job(layers: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "data": {"type": "synthetic", "kind": "linear"},
        "model": {"layers": layers},
        "loss": {"type": "mse"},
        "optimizer": {"type": "sgd", "learning_rate": 0.015625},
        "training": {"epochs": 2, "batch_size": 5},
        "precision": "float64",
        **changes,
    }


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with another value at a path."""
    found = copy.deepcopy(document)
    *above, last = path.split(".")
    here: Any = found
    for part in above:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    here[int(last) if isinstance(here, list) else last] = value
    return found


def around(kind: str, layer: dict[str, Any], shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """A model with the layer in its middle: what it learns from, and a head of three outputs."""
    mine = {"type": kind, "name": "middle", **layer}
    before = [{"type": "conv2d", "filters": 4, "kernel_size": 1, "name": "start"}] if shape == IMAGE else []
    after = [dense(2, name="each")] if kind == "reshape" else []
    return [*before, mine, *after, {"type": "flatten"}, dense(name="head")]


def layer_pairs() -> Iterator[Pair]:
    """Each field of each layer, with its other values."""
    for kind, model in members(Layer).items():
        shape, fields = LAYERS[kind]
        layers = around(kind, fields, shape)
        place = next(index for index, layer in enumerate(layers) if layer.get("name") == "middle")
        inner = "layer." if kind == "bidirectional" else ""
        names = members(Layer)[fields["layer"]["type"]].model_fields if inner else model.model_fields
        base = job(layers)
        for name in names:
            if (
                name == "frozen_mode"
                or name in ELSEWHERE
                or name.endswith(("_initializer", *HELD))
                or name == "count_include_pad"
            ):
                continue
            path = f"model.layers.{place}.{inner}{name}"
            for value in OF_KIND.get((kind, name), VALUES[name]):
                yield Pair(path, base, changed(base, path, value), shape, f"layer.{kind}.{name}")


OF_KIND: dict[tuple[str, str], list[Any]] = {
    ("simple_rnn", "activation"): ["relu"],
    **{(f"conv{axes}d", "filters"): [4] for axes in (1, 2, 3)},
    **{(f"conv{axes}d_transpose", "padding"): ["same", "symmetric", 1] for axes in (1, 2, 3)},
    **{(f"conv{axes}d_transpose", "strides"): [1] for axes in (1, 2, 3)},
    **{(f"conv{axes}d", "groups"): [] for axes in (1, 2, 3)},
    ("dot", "axes"): [1],
    ("layer_norm", "axis"): [[1, 2]],
    ("rms_norm", "axis"): [[-2, -1]],
    ("group_norm", "groups"): [1, -1],
    ("unit_normalization", "axis"): [1],
    ("unit_normalization", "epsilon"): [8.0],
    ("glu", "gate"): ["first"],
    ("swiglu", "gate"): ["second"],
    ("stack", "axis"): [1],
    ("zero_padding1d", "padding"): [[[0, 2]]],
    ("zero_padding2d", "padding"): [[2, [0, 1]]],
    ("zero_padding3d", "padding"): [[0, [0, 1], 2]],
    ("cropping1d", "cropping"): [[[0, 2]]],
    ("cropping2d", "cropping"): [[2, [0, 1]]],
    ("cropping3d", "cropping"): [[0, [0, 2], 1]],
    **{(f"{kind}_pooling{rank}d", "strides"): [1] for kind in ("max", "average") for rank in (1, 2, 3)},
}
"""Other values of a field in one kind of layer, where those of `VALUES` are none of it, or change nothing."""


HELD: dict[str, list[Any]] = {
    "activity_regularizer": [
        {"type": "l2", "l2": 0.015625},
        {"type": "l1", "l1": 0.0078125, "reduction": "sum"},
        {"type": "l1_l2", "l1": 0.03125, "l2": 0.015625},
    ],
    "_regularizer": ["l2", {"type": "l1_l2", "l1": 0.125, "l2": 0.25}, {"type": "l1", "l1": 0.125}],
    "_constraint": [
        {"type": "max_norm", "max_value": 0.25},
        "unit_norm",
        {"type": "min_max_norm", "min_value": 0.5, "max_value": 0.75, "rate": 0.5},
        "non_neg",
    ],
}
"""What keeps a weight or an output small, by the end of the field that says so."""


def learns(document: dict[str, Any], place: int, shape: tuple[int, ...]) -> bool:
    """Whether a layer's output changes in training: it, or a layer before it, has weights."""
    stages = compile_job(Job.model_validate(document), shape).stages
    found: list[bool] = [False]
    for stage in stages[: place + 1]:
        found.append(bool(stage.weights) or any(found[source] for source in stage.sources))
    return found[-1] and stages[place].kind != "input"


def held_pairs() -> Iterator[Pair]:
    """What keeps each weight of each layer small: each kind of it in turn, over all axes of some."""
    numbers = dict.fromkeys(HELD, 0)
    for kind, model in members(Layer).items():
        shape, fields = LAYERS[kind]
        layers = around(kind, fields, shape)
        place = next(index for index, layer in enumerate(layers) if layer.get("name") == "middle")
        inner = "layer." if kind == "bidirectional" else ""
        names = members(Layer)[fields["layer"]["type"]].model_fields if inner else model.model_fields
        for name in names:
            end = next((end for end in HELD if name.endswith(end)), None)
            if end is None or (name == "activity_regularizer" and not learns(job(layers), place, shape)):
                continue
            within = "" if name == "activity_regularizer" else inner
            path, value = f"model.layers.{place}.{within}{name}", HELD[end][numbers[end] % len(HELD[end])]
            if (kind, name) == ("gru", "bias_constraint"):  # two biases in PyTorch
                value = "non_neg"
            elif name == "gamma_constraint":  # gammas are above 0 here
                value = "unit_norm"
            elif "norm" in str(value) and name.startswith(("kernel", "depthwise", "pointwise")):
                several = kind.rpartition("_")[2].startswith("conv") and "depthwise" not in kind + name
                axes = list(range(len(shape))) if several else [0]
                value = ({"type": value} if isinstance(value, str) else value) | {"axis": axes}
            numbers[end] += 1
            yield Pair(path, job(layers), changed(job(layers), path, value), shape, f"layer.{kind}.{name}")


def window_pairs() -> Iterator[Pair]:
    """Padding where windows move by more than one, what counts in a mean at the edge, and flattening."""
    for kind in ("conv2d", "depthwise_conv2d", "conv2d_transpose", "max_pooling2d", "average_pooling2d"):
        shape, fields = LAYERS[kind]
        strided = job(around(kind, {**fields, "strides": 2}, shape))
        for value in OF_KIND.get((kind, "padding"), VALUES["padding"]):
            path = "model.layers.1.padding"
            yield Pair(path, strided, changed(strided, path, value), shape, f"layer.{kind}.padding")
    for kind, shape in (("conv1d", STEPS), ("conv2d", IMAGE), ("conv3d", VOLUME)):
        own = (
            {"filters": 4, "kernel_size": 2, "dilation": 2}
            if kind != "conv3d"
            else {"filters": 2, "kernel_size": 2}
        )
        one = job(around(kind, own, shape))
        place = next(
            index for index, layer in enumerate(one["model"]["layers"]) if layer.get("name") == "middle"
        )
        path = f"model.layers.{place}.groups"
        yield Pair(path, one, changed(one, path, 2), shape, f"layer.{kind}.groups")
    uneven = job(around("conv2d", {"filters": 3, "kernel_size": 3, "strides": 2}, IMAGE))
    path = "model.layers.1.padding"
    yield Pair(path, uneven, changed(uneven, path, [1, [0, 2]]), IMAGE, "layer.conv2d.padding")
    for kind in ("average_pooling1d", "average_pooling2d", "average_pooling3d"):
        shape, fields = LAYERS[kind]
        layers = around(kind, fields, shape)
        place = next(index for index, layer in enumerate(layers) if layer.get("name") == "middle")
        for padding in ("same", "symmetric"):
            padded = changed(job(layers), f"model.layers.{place}.padding", padding)
            path = f"model.layers.{place}.count_include_pad"
            yield Pair(path, padded, changed(padded, path, True), shape, f"layer.{kind}.count_include_pad")
    behind = [{"type": "conv1d", "filters": 3, "kernel_size": 2}, {"type": "flatten"}, dense(name="head")]
    first = changed(job(behind), "model.layers.1.order", "channels_first")
    yield Pair("model.layers.1.order", job(behind), first, STEPS, "layer.flatten.order")


def padding_pairs() -> Iterator[Pair]:
    """What says which steps are padding, and every layer that leaves them out."""
    words = {"type": "embedding", "input_dim": 7, "output_dim": 4, "name": "words"}
    padded = {**words, "mask_zero": True}
    seen = {"type": "multi_head_attention", "num_heads": 1, "key_dim": 4, "name": "seen"}
    mean, flat = {"type": "global_average_pooling", "name": "mean"}, {"type": "flatten"}
    bodies: list[list[dict[str, Any]]] = [[seen, mean], [seen | {"num_heads": 2}, mean], [mean]]
    bodies += [[{"type": kind, "units": 3, "name": "memory"}] for kind in ("simple_rnn", "lstm", "gru")]
    for kind, sequences in (("lstm", False), ("gru", True)):
        cell = {"type": kind, "units": 3, "return_sequences": sequences}
        both = {"type": "bidirectional", "layer": cell, "name": "memory"}
        bodies.append([both, *([flat] if sequences else [])])
    for body in bodies:
        one = job([words, *body, dense(name="head")])
        path = "model.layers.0.mask_zero"
        yield Pair(path, one, changed(one, path, True), (5,), "layer.embedding.mask_zero")
    for kind in ("simple_rnn", "lstm", "gru"):
        cell = {"type": kind, "units": 3, "return_sequences": True, "name": "memory"}
        one, path = job([padded, cell, flat, dense(name="head")]), "model.layers.1.zero_output_for_mask"
        yield Pair(path, one, changed(one, path, True), (5,), f"layer.{kind}.zero_output_for_mask")
    one, path = job([padded, seen, mean, dense(name="head")]), "model.layers.1.use_padding_mask"
    yield Pair(path, one, changed(one, path, False), (5,), "layer.multi_head_attention.use_padding_mask")
    steps = [
        {"type": "activation", "activation": "relu"},
        {"type": "masking", "name": "skip"},
        {"type": "lstm", "units": 3, "name": "memory"},
    ]
    one, path = job([*steps, dense(name="head")]), "model.layers.1.mask_value"
    yield Pair(path, one, changed(one, path, 1.0), (5, 1), "layer.masking.mask_value")


def activation_pairs() -> Iterator[Pair]:
    for word, model in members(Activation).items():
        words: dict[str, tuple[Any, Any]] = {
            "sums": ("largest", "cumulative"),
            "min_value": (-0.5, -0.25),
            "max_value": (0.75, 0.625),
            "axis": (-1, 1),
        }
        exact = {name: words.get(name, (0.25,))[0] for name in model.model_fields if name != "type"}
        layers = [
            dense(4, name="start"),
            {"type": "activation", "activation": "linear", "name": "middle"},
            dense(name="head"),
        ]
        if word != "linear":
            yield Pair(
                "model.layers.1.activation.type",
                job(layers),
                changed(job(layers), "model.layers.1.activation", {"type": word, **exact}),
                FLAT,
                f"activation.{word}",
            )
        for name in model.model_fields:
            if name == "axis":
                yield from softmax_pairs(word)
            elif name != "type":
                one = changed(job(layers), "model.layers.1.activation", {"type": word, **exact})
                yield Pair(
                    f"model.layers.1.activation.{name}",
                    one,
                    changed(one, f"model.layers.1.activation.{name}", words.get(name, (0.25, 0.5))[1]),
                    FLAT,
                    f"activation.{word}.{name}",
                )


def softmax_pairs(word: str) -> Iterator[Pair]:
    """A softmax over another axis, behind a dense layer and behind convolutions."""
    for start, shape in (
        (dense(4, name="start"), STEPS),
        ({"type": "conv1d", "filters": 3, "kernel_size": 2, "name": "start"}, STEPS),
        ({"type": "conv2d", "filters": 3, "kernel_size": 2, "name": "start", "activation": word}, IMAGE),
    ):
        middle = {"type": "activation", "activation": word, "name": "middle"}
        one = job([start, middle, {"type": "flatten"}, dense(name="head")])
        for place, axis in ((1, 1), (1, -2), *([(0, 2)] if "activation" in start else [])):
            path = f"model.layers.{place}.activation.axis"
            kind = f"activation.{word}.axis"
            yield Pair(path, one, changed_axis(one, place, word, axis), shape, kind)


def changed_axis(document: dict[str, Any], place: int, word: str, axis: int) -> dict[str, Any]:
    return changed(document, f"model.layers.{place}.activation", {"type": word, "axis": axis})


def image_pairs() -> Iterator[Pair]:
    """Settings behind a convolution, where the channels stand elsewhere, and layers of several inputs."""
    images = [
        {"type": "conv2d", "filters": 4, "kernel_size": 2, "name": "start"},
        {"type": "batch_norm", "name": "middle", "momentum": 0.9, "epsilon": 0.001},
        {"type": "activation", "activation": "softmax"},
        {"type": "flatten"},
        dense(name="head"),
    ]
    for name in ("epsilon", "momentum", "moving_variance"):
        yield Pair(
            f"model.layers.1.{name}",
            job(images),
            changed(job(images), f"model.layers.1.{name}", VALUES[name][0]),
            IMAGE,
            f"layer.batch_norm.{name}",
        )
    for variance in ("biased", "unbiased"):
        frozen = [
            dense(4, name="start"),
            {**images[1], "trainable": False, "moving_variance": variance},
            dense(name="head"),
        ]
        yield Pair(
            "model.layers.1.frozen_mode",
            job(frozen),
            changed(job(frozen), "model.layers.1.frozen_mode", "training"),
            FLAT,
            "layer.batch_norm.frozen_mode",
        )
    two = [
        {"type": "dense", "units": 4, "name": "a"},
        {"type": "activation", "activation": "tanh", "name": "b"},
        {"type": "add", "inputs": ["a", "b"], "name": "sum"},
        dense(name="head"),
    ]
    yield Pair(
        "model.layers.2.type",
        job(two),
        changed(job(two), "model.layers.2", {"type": "concatenate", "inputs": ["a", "b"], "name": "sum"}),
        FLAT,
        "layer.add.type",
    )
    for kind in ("subtract", "multiply", "average", "maximum", "minimum", "stack"):
        other = {"type": kind, "inputs": ["a", "b"], "name": "sum"}
        ends = [{"type": "flatten"}, dense(name="head")]
        one, wanted = ([*two[:2], join, *ends] for join in (two[2], other))
        yield Pair("model.layers.2.type", job(one), job(wanted), FLAT, f"layer.{kind}.type")


def loss_pairs() -> Iterator[Pair]:
    layers = [dense(4, activation="tanh", name="hidden"), dense(name="head")]
    for word, model in members(Loss).items():
        for name in model.model_fields:
            if name == "type":
                continue
            base = job(layers, loss={"type": word, **BESIDE_IN_LOSSES.get((word, name), {})})
            values = LOSSES[name].get(word, LOSSES[name].get("*"))
            for value in values:
                one = base
                if name == "targets":
                    one = job(
                        [dense(4, activation="tanh", name="hidden"), dense(1, name="head")],
                        loss={"type": word},
                    )
                if name in {"from_logits", "ignore_index"}:
                    one = (
                        changed(base, "model.layers.1.activation", "softmax" if word[0] == "c" else "sigmoid")
                        if name == "from_logits"
                        else base
                    )
                if name == "weighting":
                    one = weighted(base)
                    if word == "categorical_crossentropy":
                        by_class = changed(base, "loss.class_weights", [1.0, 3.0, 0.5])
                        yield Pair(
                            "loss.weighting",
                            by_class,
                            changed(by_class, "loss.weighting", value),
                            FLAT,
                            f"loss.{word}.{name}",
                        )
                yield Pair(
                    f"loss.{name}", one, changed(one, f"loss.{name}", value), FLAT, f"loss.{word}.{name}"
                )
    for one, other in (
        ("mse", "mae"),
        ("mse", "huber"),
        ("mse", "log_cosh"),
        ("mae", "poisson"),
        ("mse", "cosine_similarity"),
        ("binary_crossentropy", "hinge"),
        ("hinge", "squared_hinge"),
        ("binary_crossentropy", "dice"),
        ("binary_crossentropy", "binary_focal_crossentropy"),
        ("categorical_crossentropy", "categorical_focal_crossentropy"),
        ("categorical_hinge", "multi_margin"),
    ):
        yield Pair(
            "loss.type",
            job(layers, loss={"type": one}),
            job(layers, loss={"type": other}),
            FLAT,
            f"loss.{other}",
        )


def output_pairs() -> Iterator[Pair]:
    """Settings of one of several outputs, and of what it counts beside the others."""
    layers = [
        dense(4, activation="tanh", name="hidden"),
        dense(2, name="size"),
        {**dense(3, name="kind"), "inputs": ["hidden"]},
        {**dense(1, name="sign"), "inputs": ["hidden"]},
    ]
    losses = {
        "kind": {"type": "categorical_crossentropy", "weight": 0.5},
        "size": {"type": "mse"},
        "sign": {"type": "binary_crossentropy"},
    }
    model = {"layers": layers, "outputs": ["size", "kind", "sign"]}
    one = job(layers) | {"model": model, "loss": losses}
    for path, value in (
        ("loss.kind.weight", 2.0),
        ("loss.kind.label_smoothing", 0.3),
        ("loss.size.type", "huber"),
        ("loss.size.reduction", "sum"),
        ("loss.sign.label_smoothing", 0.2),
        ("loss.sign.class_weights", [1.0, 3.0]),
        ("model.layers.1.activation.type", "tanh"),
        ("optimizer.learning_rate", 0.01),
    ):
        wanted = {**losses["size"], "type": value} if path == "loss.size.type" else value
        other = changed(one, path.removesuffix(".type"), wanted)
        yield Pair(path, one, other, FLAT, f"outputs.{path.partition('.')[2]}")


def weighted(document: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "npz", "path": "data.npz", "sample_weights": "w"}
    return {**document, "data": data}


def optimizer_pairs() -> Iterator[Pair]:
    layers = [dense(4, activation="tanh", name="hidden"), dense(name="head")]
    for word, model in members(Optimizer).items():
        small = {name: value for name, value in EXACT.items() if name in model.model_fields}
        for name, field in model.model_fields.items():
            if name in ("type", "schedule"):
                continue
            beside = {key: value for key, value in BESIDE.get(name, {}).items() if key in model.model_fields}
            settings = {"type": word, "learning_rate": 0.125, **small, **beside}
            allowed = get_args(field.annotation) if name in ("epsilon_placement",) else None
            for value in OPTIMIZERS[name]:
                if allowed and value not in allowed:
                    continue
                base = job(layers, optimizer=settings, training={"epochs": 3, "batch_size": 5})
                if getattr(Job.model_validate(base).optimizer, name) != value:
                    yield Pair(
                        f"optimizer.{name}",
                        base,
                        changed(base, f"optimizer.{name}", value),
                        FLAT,
                        f"optimizer.{word}.{name}",
                    )
        if word != "sgd":
            yield Pair(
                "optimizer.type",
                job(layers, optimizer={"type": "sgd", "learning_rate": 0.125}),
                job(layers, optimizer={"type": word, "learning_rate": 0.125, **small}),
                FLAT,
                f"optimizer.{word}.type",
            )
    rms = {"type": "rmsprop", "learning_rate": 0.125, "epsilon": 0.015625, "momentum": 0.5, "centered": True}
    base = job(layers, optimizer=rms)
    yield Pair(
        "optimizer.epsilon_placement",
        base,
        changed(base, "optimizer.epsilon_placement", "inside"),
        FLAT,
        "optimizer.rmsprop.epsilon_placement",
    )
    nest = {"type": "sgd", "learning_rate": 0.125, **BESIDE["momentum_convention"], "nesterov": True}
    yield Pair(
        "optimizer.momentum_convention",
        job(layers, optimizer=nest),
        job(layers, optimizer={**nest, "momentum_convention": "buffer"}),
        FLAT,
        "optimizer.sgd.momentum_convention",
    )
    inside = {
        "type": "rmsprop",
        "learning_rate": 0.125,
        "epsilon": 0.015625,
        "epsilon_placement": "inside",
        **BESIDE["momentum_convention"],
    }
    yield Pair(
        "optimizer.momentum_convention",
        job(layers, optimizer=inside),
        job(layers, optimizer={**inside, "momentum_convention": "velocity"}),
        FLAT,
        "optimizer.rmsprop.momentum_convention",
    )
    for kind in ("lstm", "simple_rnn", "gru"):
        cell = [{"type": kind, "units": 3, "name": "memory"}, dense(name="head")]
        clipped = job(cell, optimizer={"type": "sgd", "learning_rate": 0.125, "clip_norm": 0.05})
        other = job(cell, optimizer={"type": "sgd", "learning_rate": 0.125, "global_clip_norm": 0.05})
        yield Pair("optimizer.clip", clipped, other, STEPS, "optimizer.sgd.clip")
        both = {"type": "sgd", "learning_rate": 0.125, "global_clip_norm": 0.05}
        yield Pair(
            "optimizer.clip_epsilon",
            job(cell, optimizer=both),
            job(cell, optimizer={**both, "clip_epsilon": 1e-6}),
            STEPS,
            "optimizer.sgd.clip_epsilon",
        )
    normed = [
        dense(4, name="hidden"),
        {"type": "batch_norm", "name": "norm", "gamma_initializer": "ones"},
        dense(name="head"),
    ]
    for word, fields in {
        "adam": {"epsilon_placement": "hat", "weight_decay": 0.125, "weight_decay_kind": "decoupled"},
        "adamax": {"epsilon_placement": "inside"},
        "nadam": {"epsilon_placement": "hat"},
        "adamw": {"amsgrad": True},
    }.items():
        small = {
            name: value for name, value in EXACT.items() if name in members(Optimizer)[word].model_fields
        }
        base = job(layers, optimizer={"type": word, "learning_rate": 0.125, **small, **fields})
        yield Pair(
            "optimizer.bias_correction",
            base,
            changed(base, "optimizer.bias_correction", False),
            FLAT,
            f"optimizer.{word}.bias_correction",
        )
    for fields in ({"epsilon_placement": "inside"}, {"momentum": 0.5, "centered": True}):
        base = job(
            layers, optimizer={"type": "rmsprop", "learning_rate": 0.125, "epsilon": 0.015625, **fields}
        )
        yield Pair(
            "optimizer.initial_accumulator_value",
            base,
            changed(base, "optimizer.initial_accumulator_value", 1.0),
            FLAT,
            "optimizer.rmsprop.initial_accumulator_value",
        )
    for kind in ("coupled", "decoupled"):
        decay = {"type": "adam", "learning_rate": 0.125, "epsilon": 0.015625, "weight_decay": 0.125}
        base = job(normed, optimizer={**decay, "weight_decay_kind": kind})
        yield Pair(
            "optimizer.exclude_from_weight_decay",
            base,
            changed(base, "optimizer.exclude_from_weight_decay", ["norm", "bias"]),
            FLAT,
            "optimizer.adam.exclude_from_weight_decay",
        )
    for momentum in (0.5, 0.875):
        decay = {"type": "sgd", "learning_rate": 0.125, "momentum": momentum, "weight_decay": 0.125}
        yield Pair(
            "optimizer.weight_decay_kind",
            job(normed, optimizer=decay),
            job(normed, optimizer={**decay, "weight_decay_kind": "decoupled"}),
            FLAT,
            "optimizer.sgd.weight_decay_kind",
        )


def schedule_pairs() -> Iterator[Pair]:
    layers = [dense(4, activation="tanh", name="hidden"), dense(name="head")]
    training = {"epochs": 4, "batch_size": 6}
    for word, model in members(Schedule).items():
        settings = {"type": word, **SCHEDULES[word]}
        with_it = job(
            layers, optimizer={"type": "sgd", "learning_rate": 0.125, "schedule": settings}, training=training
        )
        without = job(layers, optimizer={"type": "sgd", "learning_rate": 0.125}, training=training)
        yield Pair("optimizer.schedule", without, with_it, FLAT, f"schedule.{word}")
        for name in model.model_fields:
            if name == "type" or (word == "reduce_on_plateau" and name in PLATEAU_ONLY_LOSS):
                continue
            one = changed(with_it, "optimizer.schedule.warmup", 3) if name == "warmup_start" else with_it
            path = f"optimizer.schedule.{name}"
            for value in IN_SCHEDULES[name]:
                yield Pair(path, one, changed(one, path, value), FLAT, f"schedule.{word}.{name}")


def training_pairs() -> Iterator[Pair]:
    layers = [dense(4, activation="tanh", name="hidden"), dense(name="head")]
    base = job(layers)
    normed = job([dense(4, name="hidden"), {"type": "batch_norm"}, dense(name="head")])
    path = "training.evaluation_mode"
    yield Pair(path, normed, changed(normed, path, "training"), FLAT, path)
    gathering = {"epochs": 4, "batch_size": 3, "gradient_accumulation_steps": 3}
    adam = {"type": "adam", "learning_rate": 0.125, "epsilon": 0.015625}
    for name, values in {
        "gradient_accumulation_steps": [2, 1],
        "accumulation": ["sum"],
        "accumulation_remainder": ["update", "keep"],
    }.items():
        for value in values:
            for optimizer in ({"type": "sgd", "learning_rate": 0.03125}, adam):
                if value == "sum" and optimizer is adam:
                    continue
                one = job(layers, optimizer=optimizer, training=gathering)
                path = f"training.{name}"
                yield Pair(path, one, changed(one, path, value), FLAT, path)
    for name, values in TRAINING.items():
        for value in values:
            yield Pair(
                f"training.{name}", base, changed(base, f"training.{name}", value), FLAT, f"training.{name}"
            )


INITIALIZERS: list[Any] = [
    *("zeros", "ones", "random_uniform", "random_normal", "glorot_uniform", "he_uniform", "lecun_uniform"),
    *("glorot_normal", "he_normal", "lecun_normal", "orthogonal", "variance_scaling"),
    {"type": "constant", "value": 0.3},
    {"type": "glorot_normal", "truncated": True},
    {"type": "orthogonal", "gain": 2.0},
    "truncated_normal",
    "identity",
    {"type": "identity", "gain": 0.5},
    {"type": "truncated_normal", "mean": 0.1, "stddev": 0.5, "low": -0.3, "high": 0.6, "limits": "absolute"},
    {"type": "truncated_normal", "stddev": 0.3, "limits": "absolute"},
    {"type": "truncated_normal", "stddev": 0.3, "low": -1.0, "high": 3.0},
    {"type": "random_uniform", "minval": 0.1, "maxval": 0.4},
    {"type": "random_normal", "mean": 1.0, "stddev": 0.2},
    {"type": "variance_scaling", "scale": 0.5, "mode": "fan_avg", "distribution": "uniform"},
    {"type": "variance_scaling", "scale": 0.5, "mode": "fan_out", "distribution": "triangular"},
    {"type": "variance_scaling", "scale": 0.5, "mode": "fan_in", "distribution": "untruncated_normal"},
]


def drawing_pairs() -> Iterator[Pair]:
    """Pairs in what draws weights: each word for a dense kernel, and each field of each layer."""
    assert {(one if isinstance(one, str) else one["type"]) for one in INITIALIZERS} == set(
        members(Initializer)
    )
    layers = [dense(5, name="middle")]
    for value in INITIALIZERS:
        one = job(layers)
        other = "zeros" if value in ("glorot_uniform",) else value
        yield Pair(
            "model.layers.0.kernel_initializer",
            one,
            changed(one, "model.layers.0.kernel_initializer", other),
            FLAT,
            "layer.dense.kernel_initializer",
        )
    for kind, model in members(Layer).items():
        shape, fields = LAYERS[kind]
        inner = "layer." if kind == "bidirectional" else ""
        names = members(Layer)[fields["layer"]["type"]].model_fields if inner else model.model_fields
        one = job([{"type": kind, "name": "middle", **fields}, {"type": "flatten"}, dense(name="head")])
        for name in names:
            path = f"model.layers.0.{inner}{name}"
            values: list[Any] = []
            if name.endswith("_initializer"):
                values = ["he_uniform", {"type": "random_uniform", "minval": -0.4, "maxval": 0.1}]
            if name == "unit_forget_bias":
                values = [False]
            for value in values:
                yield Pair(path, one, changed(one, path, value), shape, f"layer.{kind}.{name}")


def trained_pairs() -> list[Pair]:
    """Every pair that is trained."""
    return [
        *layer_pairs(),
        *held_pairs(),
        *window_pairs(),
        *padding_pairs(),
        *activation_pairs(),
        *image_pairs(),
        *loss_pairs(),
        *output_pairs(),
        *optimizer_pairs(),
        *schedule_pairs(),
        *training_pairs(),
    ]


def is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two documents are one job."""
    mine, theirs = (dict(leaves(Job.model_validate(each).model_dump(mode="json"))) for each in (one, other))
    return mine == theirs


NO_LINE = {
    *("schedule.reduce_on_plateau.monitor", "schedule.reduce_on_plateau.per"),
    *("schedule.reduce_on_plateau.warmup", "schedule.reduce_on_plateau.warmup_start"),
    *("schedule.reduce_on_plateau.offset", "layer.dropout.rate", "layer.dropout.seed"),
}
"""Fields without a pair: masks and plateaus are another training each time, or need validation data."""


NO_LINE |= {"layer.position_embedding.sequence_length"}  # rows that no step meets
NO_LINE |= {"layer.input.shape"}  # another shape is other data
NO_LINE |= {f"layer.{word}.activity_regularizer" for word in members(Layer)}  # the same lines for every kind
NO_LINE |= {f"loss.{word}.weight" for word in members(Loss)}  # of several outputs, whose pairs have their own
NO_LINE |= {f"optimizer.{word}.{name}" for word in members(Optimizer) for name in ("ema_use", "ema_buffers")}


def every_field() -> Iterator[str]:
    """Every field of every kind, as pairs name it, but for those of `NO_LINE`."""
    for prefix, union in (("layer", Layer), ("loss", Loss), ("optimizer", Optimizer), ("schedule", Schedule)):
        for word, model in members(union).items():
            for field in set(model.model_fields) - {"type", "name", "inputs", "layer"}:
                kind = f"{prefix}.{word}.{field}"
                if kind not in NO_LINE and not (field == "schedule" and prefix == "optimizer"):
                    yield kind
