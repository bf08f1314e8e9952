"""Pays a framework's first-use costs once, at a worker's start, by training a toy job through an adapter."""

from __future__ import annotations

import json

import numpy as np

from shared.job import Job
from shared.program import compile_job
from worker.adapters.base import Batch, Block, FrameworkAdapter

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
    job = Job.model_validate_json(json.dumps(_TOY))
    program = compile_job(job, (1,))
    weights = {weight.name: np.zeros(weight.shape, np.float32) for weight in program.weights}
    trainer = adapter.build(program, job, weights=weights, samples=Batch(x, x))
    trainer.train(Block(indices=np.zeros((2, 2), np.int64), learning_rates=np.full(2, 0.01), first_step=0))
    trainer.outputs(x)
