"""Pays a framework's first-use costs once, at a worker's start, by training a toy job through an adapter."""

from __future__ import annotations

import json

import numpy as np

from shared.job import Job
from worker.adapters.base import Block, FrameworkAdapter

_TOY = {
    "name": "warm-up",
    "data": {"type": "inline", "x": [0.0, 1.0], "y": [0.0, 1.0]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": "sgd",
    "training": {"epochs": 2},
}


def warm_up(adapter: FrameworkAdapter) -> None:
    """Build and train the toy job, so that the first real run does not wait for lazy imports."""
    x = np.array([[0.0], [1.0]], np.float32)
    trainer = adapter.build(
        Job.model_validate_json(json.dumps(_TOY)),
        input_shape=(1,),
        weights={"layers.0.kernel": np.zeros((1, 1), np.float32), "layers.0.bias": np.zeros(1, np.float32)},
        x=x,
        y=x,
    )
    trainer.train(Block(indices=np.zeros((2, 2), np.int64), learning_rates=np.full(2, 0.01), first_step=0))
    trainer.outputs(x)
