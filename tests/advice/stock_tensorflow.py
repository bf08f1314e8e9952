"""Runs a plain Keras program: layers, a functional model, `compile` and `fit`."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import keras
import numpy as np
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

Parts = dict[str, dict[str, str]]


def code(parts: Parts, place: str) -> str:
    return "\n".join(parts.get(place, {}).values())


def run(parts: Parts, task: dict[str, Any], data: dict[str, Any], weights: dict[str, Any]) -> dict[str, Any]:
    keras.backend.clear_session()
    names: dict[str, Any] = {"keras": keras, "tf": tf, "np": np, "weights": weights}
    exec(code(parts, "first"), names)
    if task["draws"]:
        return drawn(parts, task, names)
    exec(code(parts, "layer"), names)
    names["x"] = keras.Input(data["x"].shape[1:])
    start = names["x"]
    exec(code(parts, "call"), names)
    every = {name: names[f"x_{name}"] for name in task["outputs"]}
    model = keras.Model(start, every or names[task["output"]])
    y = {name: data["y"][:, slice(*place[:2])] for name, place in task["outputs"].items()} or data["y"]
    names |= {"model": model, "x": data["x"], "y": y, "weight": data.get("w")}
    for place in ("give", "loss", "optimizer", "schedule"):
        exec(code(parts, place), names)
    model.compile(
        loss=names["loss_fn"],
        loss_weights=names.get("loss_weights"),
        optimizer=names["optimizer"],
        run_eagerly=not task["graph"],
    )
    exec(code(parts, "batches"), names)
    shuffles = []
    if task["sampler"]:
        fit = model.fit
        names["model"] = type(
            "Seen", (), {"fit": lambda _, *a, **k: (shuffles.append(k["shuffle"]), fit(*a, **k))}
        )()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code(parts, "fit"), names)
    outputs = model(data["x"], training=False)
    if task["outputs"]:
        outputs = np.concatenate([outputs[name] for name in task["outputs"]], axis=1)
    found = {"outputs": np.asarray(outputs)}
    return found | ({"shuffles": np.array(shuffles[0])} if shuffles else {})


def drawn(parts: Parts, task: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """Each weight as the program draws it, many times over."""
    keras.utils.set_random_seed(1)
    every: dict[str, list[np.ndarray]] = {name: [] for name in task["draws"]}
    for _ in range(task["times"]):
        exec(code(parts, "layer"), names)
        names["x"] = keras.Input(task["shape"])
        exec(code(parts, "call"), names)
        for name, expression in task["draws"].items():
            every[name].append(np.asarray(eval(expression, names)))
    return {name: np.stack(arrays) for name, arrays in every.items()}
