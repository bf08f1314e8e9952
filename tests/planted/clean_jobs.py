"""Jobs in which nothing differs, drawn at random: models, losses, optimizers, schedules, batches.

Two frameworks that train such a job must never be said to differ. What is drawn depends on the number of
the job alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Draw = np.random.Generator
Document = dict[str, Any]

_ACTIVATIONS = (
    "linear", "relu", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus", "tanh", "sigmoid",
    "relu6", "hard_sigmoid", "hard_silu", "celu", "log_sigmoid", "squareplus",
)  # fmt: skip
_REGRESSION = ("mse", "mae", "huber", "log_cosh")
_OF_TWO = ("binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge", "dice", "tversky")
_OF_CLASSES = ("categorical_focal_crossentropy", "categorical_hinge", "multi_margin")


def clean_job(number: int) -> Document:
    """The job of a number: a job file's document that trains in well under a second."""
    draw = np.random.default_rng(number)
    task = str(draw.choice(["regression", "classification"]))
    features, classes = int(draw.choice([4, 6, 12, 16, 36])), int(draw.integers(2, 5))
    two = task == "classification" and classes == 2 and _coin(draw)
    units = 1 if task == "regression" or two else classes
    document: Document = {
        "name": f"clean-{number}",
        "data": {
            "type": "synthetic", "kind": task, "samples": int(draw.integers(17, 40)), "features": features,
            "classes": classes, "noise": 0.5, "seed": number,
            "split": {"validation": 0.2} if draw.random() < 0.3 else {}, "standardize": _coin(draw),
        },
        "model": {"layers": [*_body(draw, features), {"type": "dense", "units": units}]},
        "loss": _loss(draw, "two classes" if two else task, classes),
        "optimizer": _optimizer(draw),
        "training": {
            "epochs": int(draw.integers(1, 5)),
            "batch_size": _one_of(draw, [None, 4, 7, 8]),
            "shuffle": _one_of(draw, [True, False, "once"]),
            "drop_last": bool(draw.random() < 0.2),
            "evaluation_mode": "training" if draw.random() < 0.1 else "evaluation",
            **_gathering(draw),
        },
    }  # fmt: skip
    return _two_heads(draw, document) if number % 12 == 4 else document  # none that is written in two ways


def _two_heads(draw: Draw, document: Document) -> Document:
    """The job with two inputs beside each other and two outputs, on samples of its own."""
    data, body = document["data"], document["model"]["layers"][:-1]
    samples, features = data["samples"], data["features"]
    x = draw.standard_normal((samples, features + 2)).round(3)
    kinds, sizes = draw.integers(0, 3, samples), draw.standard_normal(samples).round(3)
    inputs = [
        {"type": "input", "name": "beside", "shape": [2]},
        {"type": "input", "name": "row", "shape": [features]},
    ]
    heads = [
        {"type": "dense", "units": 4, "activation": "tanh", "name": "trunk"},
        {"type": "concatenate", "inputs": ["beside", "trunk"], "name": "both"},
        {"type": "dense", "units": 3, "name": "kind", "inputs": ["both"]},
        {"type": "dense", "units": 1, "name": "size", "inputs": ["both"]},
    ]
    weight, reduction = float(draw.choice([0.2, 1.0, 3.0])), _reduction(draw)
    return document | {
        "data": {
            "type": "inline",
            "x": {"row": x[:, 2:].tolist(), "beside": x[:, :2].tolist()},
            "y": {"kind": kinds.tolist(), "size": sizes.tolist()},
            "split": data["split"],
            "standardize": ["row"] if data["standardize"] else False,
        },
        "model": {"layers": [*inputs, *body, *heads], "outputs": ["size", "kind"]},
        "loss": {
            "kind": {"type": "categorical_crossentropy", "reduction": reduction},
            "size": {"type": str(draw.choice(_REGRESSION)), "weight": weight},
        },
    }


def _body(draw: Draw, features: int) -> list[Document]:
    kinds = {"dense": _dense, "recurrent": _recurrent, "convolution": _convolution}
    layers = kinds[str(draw.choice(list(kinds)))](draw, features)
    if draw.random() < 0.4:
        place = int(draw.integers(1, len(layers) + 1))
        layers.insert(place, {"type": "dropout", "rate": float(draw.choice([0.1, 0.3, 0.5]))})
    return layers


def _dense(draw: Draw, _: int) -> list[Document]:
    layers: list[Document] = []
    for _depth in range(int(draw.integers(1, 4))):
        layers.append({"type": "dense", "units": int(draw.integers(2, 9)), "activation": _activation(draw)})
        if draw.random() < 0.3:
            layers.append({"type": str(draw.choice(["batch_norm", "layer_norm"]))})
        if draw.random() < 0.15:
            layers[-1]["trainable"] = False
    return layers


def _recurrent(draw: Draw, features: int) -> list[Document]:
    kind = str(draw.choice(["lstm", "gru", "simple_rnn"]))
    layer: Document = {"type": kind, "units": int(draw.integers(2, 6))}
    if draw.random() < 0.3:
        layer = {"type": "bidirectional", "layer": layer}
    steps: list[Document] = [{"type": "reshape", "target_shape": [features // 2, 2]}]
    if draw.random() < 0.3:
        steps += [{"type": "activation", "activation": "relu"}, {"type": "masking"}]
    return [*steps, layer]


def _convolution(draw: Draw, features: int) -> list[Document]:
    side = int(np.sqrt(features))
    common = {"padding": str(draw.choice(["same", "valid"])), "activation": _activation(draw)}
    size, strides = int(draw.integers(1, min(side, 3) + 1)), int(draw.integers(1, 3))
    filters = int(draw.integers(1, 5))
    if side * side == features and draw.random() < 0.7:
        shape, kind = [side, side, 1], "2d"
    else:
        shape, kind = [features // 2, 2], "1d"
        size = min(size, features // 2)
    layers: list[Document] = [
        {"type": "reshape", "target_shape": shape},
        {"type": f"conv{kind}", "filters": filters, "kernel_size": size, "strides": strides, **common},
    ]
    if draw.random() < 0.3:
        groups, sides = 1 + int(filters % 2 == 0), [1] * int(kind[0])
        own = {"filters": 2 * filters, "kernel_size": 2, "strides": 1, "padding": sides, "dilation": 2}
        layers.append({"type": f"conv{kind}", "groups": groups, **own})
    if draw.random() < 0.2:
        larger: Document = {"type": f"upsampling{kind}", "size": 2}
        if kind == "2d":
            larger |= {"interpolation": "bilinear", "align_corners": _coin(draw)}
        layers += [{"type": f"zero_padding{kind}", "padding": 1}, larger]
    if draw.random() < 0.4:
        layers.append({"type": "batch_norm"})
    if draw.random() < 0.5:
        pool = str(draw.choice(["max_pooling", "average_pooling"]))
        layers.append({"type": f"{pool}{kind}", "pool_size": 2, "padding": "same"})
    return [*layers, {"type": "flatten"}]


def _activation(draw: Draw) -> str:
    return str(draw.choice(_ACTIVATIONS))


def _loss(draw: Draw, task: str, classes: int) -> Document:
    if task == "regression":
        return {"type": str(draw.choice(_REGRESSION)), "reduction": _reduction(draw)}
    if task == "two classes":
        return {"type": str(draw.choice(_OF_TWO)), "reduction": _reduction(draw)}
    if draw.random() < 0.3:
        return {"type": str(draw.choice(_OF_CLASSES)), "reduction": _reduction(draw)}
    loss: Document = {"type": "categorical_crossentropy", "reduction": _reduction(draw)}
    if draw.random() < 0.3:
        loss["label_smoothing"] = 0.1
    if draw.random() < 0.3:
        loss["class_weights"] = [float(weight) for weight in draw.uniform(0.5, 2, classes).round(2)]
    return loss


def _reduction(draw: Draw) -> str:
    return "sum" if draw.random() < 0.15 else "mean"


def _optimizer(draw: Draw) -> Document:
    optimizer: Document = {
        "sgd": lambda: {"type": "sgd", "learning_rate": 0.02},
        "momentum": lambda: {"type": "sgd", "learning_rate": 0.01, "momentum": 0.9, "nesterov": _coin(draw)},
        "adam": lambda: {"type": "adam", "learning_rate": 0.005, "amsgrad": _coin(draw)} | _corrected(draw),
        "adamw": lambda: {"type": "adamw", "learning_rate": 0.005} | _corrected(draw),
        "adamax": lambda: {"type": "adamax", "learning_rate": 0.005} | _corrected(draw),
        "nadam": lambda: {"type": "nadam", "learning_rate": 0.005} | _corrected(draw),
        "rmsprop": lambda: {
            "type": "rmsprop",
            "learning_rate": 0.002,
            "centered": _coin(draw),
            "initial_accumulator_value": float(draw.choice([0.0, 1.0])),
        },
        "adagrad": lambda: {"type": "adagrad", "learning_rate": 0.02},
        "adadelta": lambda: {"type": "adadelta"},
    }[
        str(
            draw.choice(
                ["sgd", "momentum", "adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "adadelta"]
            )
        )
    ]()
    if draw.random() < 0.3:
        optimizer[str(draw.choice(["clip_value", "clip_norm", "global_clip_norm"]))] = 0.5
    if draw.random() < 0.3:
        optimizer["weight_decay"] = 0.01
        if draw.random() < 0.4:
            optimizer["exclude_from_weight_decay"] = _one_of(draw, [["bias"], ["dense"], ["kernel"]])
    if draw.random() < 0.15:
        optimizer |= {"use_ema": True, "ema_momentum": 0.7, "ema_use": _one_of(draw, ["end", "evaluation"])}
    if draw.random() < 0.4:
        optimizer["schedule"] = _schedule(draw)
    return optimizer


def _gathering(draw: Draw) -> Document:
    if draw.random() < 0.8:
        return {}
    return {
        "gradient_accumulation_steps": 2,
        "accumulation": _one_of(draw, ["mean", "samples", "sum"]),
        "accumulation_remainder": "update",
    }


def _corrected(draw: Draw) -> Document:
    return {"bias_correction": bool(draw.random() < 0.7)}


def _schedule(draw: Draw) -> Document:
    schedules: list[Document] = [
        {"type": "step", "step_size": 3, "gamma": 0.5},
        {"type": "exponential", "decay_steps": 4, "decay_rate": 0.5},
        {"type": "cosine", "decay_steps": 9},
        {"type": "piecewise", "boundaries": [2, 5], "values": [0.01, 0.005, 0.001]},
        {"type": "constant"},
    ]
    return schedules[int(draw.integers(len(schedules)))] | {"warmup": int(draw.choice([0, 0, 3]))}


def _coin(draw: Draw) -> bool:
    return bool(draw.random() < 0.5)


def _one_of(draw: Draw, values: list[Any]) -> Any:
    return values[int(draw.integers(len(values)))]
