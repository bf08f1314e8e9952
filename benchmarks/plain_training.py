"""The ceiling of `service.py`'s replicas: the same trainings in a plain process, without a service.

    python benchmarks/plain_training.py FRAMEWORK EPOCHS JOBS

Says `ready` when the framework is warm, waits for a line, trains and says the seconds of CPU time that took.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.trainer import Batch
from likewise.worker.training.results import Member
from likewise.worker.training.samples import RunData
from likewise.worker.training.training import OngoingTraining

JOB = {
    "data": {"type": "inline", "x": [0.0], "y": [0.0]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "execution": "eager",
}


def main() -> None:
    """Train the article's job so many times."""
    framework, epochs, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    adapter = load_adapter(framework)
    adapter.start(device="cpu", threads=1)
    x = np.arange(-1.0, 5.0, dtype=np.float32).reshape(-1, 1)
    part = Batch(x=x, y=2 * x - 1)

    def train(epochs: int) -> None:
        job = Job.model_validate_json(json.dumps(JOB | {"training": {"epochs": epochs}}))
        data = RunData(program=compile_job(job, (1,)), parts={"train": part}, predict=None)
        training = OngoingTraining([Member(seed=0, job=job)], data=data, adapter=adapter)
        while not training.finished:
            training.advance()
        training.conclude()

    train(10)
    print("ready", flush=True)
    sys.stdin.readline()
    begin = time.process_time()
    for _ in range(jobs):
        train(epochs)
    print(time.process_time() - begin, flush=True)


if __name__ == "__main__":
    main()
