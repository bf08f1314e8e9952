"""Trains jobs with Likewise's own adapter, in float64: what a program with the advice in it has to come to.

python reference.py FRAMEWORK JOBS.json OUT.npz
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan, accumulated
from likewise.shared.learning_rates import learning_rates
from likewise.shared.program import compile_job
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.trainer import Batch, Block
from likewise.worker.training.monitor import Patience


def trained(
    job: Job, data: dict[str, np.ndarray], weights: dict[str, np.ndarray], framework: str
) -> np.ndarray:
    """The outputs, in evaluation, after the training."""
    x = data["x"]
    program = compile_job(job, x.shape[1:])
    batch = Batch(x, data["y"], data.get("w"))
    trainer = load_adapter(framework).build(program, job, weights=weights, samples=batch)
    plan = BatchPlan.of(job.training, len(x))
    plateau = (
        job.optimizer.schedule if getattr(job.optimizer.schedule, "type", "") == "reduce_on_plateau" else None
    )
    patience = Patience(plateau) if plateau else None
    plateaus = step = 0
    for _ in range(job.training.epochs):
        total = 0.0
        for first in range(0, plan.samples_per_epoch, plan.batch_size):
            rows = np.arange(first, min(first + plan.batch_size, len(x)))[None]
            rates = learning_rates(
                job.optimizer,
                first_step=step,
                steps=1,
                steps_per_epoch=plan.steps_per_epoch,
                plateaus=plateaus,
            )
            gathered = accumulated(job.training, plan, first_step=step, steps=1)
            block = Block(indices=rows, learning_rates=rates, first_step=step, accumulation=gathered)
            total += float(trainer.train(block)[0]) * rows.size
            step += 1
        if (
            patience is not None
            and not patience.improved(total / plan.samples_per_epoch)
            and patience.exhausted
        ):
            plateaus += 1
            patience.begin_anew()
    if job.optimizer.use_ema:
        trainer.swap_average()
    in_training = job.training.evaluation_mode == "training"
    return np.asarray(trainer.outputs(x, {}) if in_training else trainer.outputs(x))


def main(framework: str, jobs: Path, out: Path) -> None:
    document = json.loads(jobs.read_text())
    load_adapter(framework).start(device="cpu", threads=1)
    with np.load(document["arrays"]) as archive:
        arrays = dict(archive)
    results = {}
    for name, one in document["jobs"].items():
        data = {
            key: arrays[f"{one['data']}/{key}"] for key in ("x", "y", "w") if f"{one['data']}/{key}" in arrays
        }
        prefix = f"{one['start']}/"
        weights = {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
        results[name] = trained(Job.model_validate(one["job"]), data, weights, framework)
    np.savez(out, **results)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
