"""The jobs that are trained while everything goes wrong: of many shapes, each a second or two."""

from __future__ import annotations

from typing import Any

_LINE: dict[str, Any] = {
    "data": {"type": "synthetic", "kind": "linear", "samples": 64, "features": 3},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.001},
    "training": {"epochs": 1_000},
    "execution": "eager",
}
_NETWORK: dict[str, Any] = {
    **_LINE,
    "data": {"type": "synthetic", "kind": "regression", "samples": 96, "features": 4, "noise": 0.1},
    "model": {
        "layers": [
            {"type": "dense", "units": 8, "activation": "tanh"},
            {"type": "dropout", "rate": 0.25},
            {"type": "dense", "units": 1},
        ]
    },
    "optimizer": {"type": "adam", "learning_rate": 0.001},
    "training": {"epochs": 40, "batch_size": 16, "shuffle": True},
}
_WIDE: dict[str, Any] = {
    **_LINE,
    "data": {"type": "synthetic", "kind": "regression", "samples": 8, "features": 2_000},
    "model": {"layers": [{"type": "dense", "units": 6_000}, {"type": "dense", "units": 1}]},
    "optimizer": {"type": "adam", "learning_rate": 0.0001},
    "training": {"epochs": 50},
}

JOBS: dict[str, dict[str, Any]] = {
    "line": _LINE,
    "line-in-float64": {**_LINE, "precision": "float64", "training": {"epochs": 800}},
    "sums": {
        **_LINE,
        "loss": {"type": "mse", "reduction": "sum"},
        "optimizer": {"type": "sgd", "learning_rate": 1e-5},
    },
    "network": _NETWORK,
    "compiled": {**_NETWORK, "execution": "auto"},
    "classes": {
        **_NETWORK,
        "data": {"type": "synthetic", "kind": "classification", "samples": 120, "features": 5, "classes": 3},
        "model": {
            "layers": [{"type": "dense", "units": 8, "activation": "relu"}, {"type": "dense", "units": 3}]
        },
        "loss": {"type": "categorical_crossentropy", "from_logits": True},
        "training": {"epochs": 30, "batch_size": 20, "shuffle": True},
    },
    "seeds": {**_LINE, "seeds": 6, "training": {"epochs": 150}},
    "diverges": {**_LINE, "optimizer": {"type": "sgd", "learning_rate": 50.0}, "training": {"epochs": 200}},
    "victim-own-data": {**_LINE, "data": {**_LINE["data"], "seed": 77}},
    "victim-long": {**_LINE, "training": {"epochs": 900_000}},
    "victim-limited": {**_LINE, "training": {"epochs": 900_000}, "limits": {"seconds": 1.0}},
    "victim-wide": _WIDE,
}
"""By name; those that begin with `victim` are only submitted by a fault."""
