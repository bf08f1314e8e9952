"""A framework in twenty lines: a line fitted by gradient descent in NumPy, as the runs of a plan ask for it.

Its numbers are honest: it trains what each run's job says, so shares are of real gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.blame.attribution import explain
from likewise.producer.blame.evidence import TrainedRun
from likewise.producer.blame.explanation import Explanation
from likewise.producer.blame.plan import Extent, Plan, identity, plan
from likewise.producer.job.resolve import resolve
from likewise.shared.job import Experiment
from likewise.shared.results.run_result import Failure, RunResult
from likewise.shared.run import Dataset, Run, Samples
from likewise.shared.store.arrays import ArrayRef, decode_array
from tests.listed import Seed, encoded, packed

X = np.array([-1.0, 0, 1, 2, 3, 4])
SEEDS = (0, 1, 2, 3, 4)
OWN = {"tensorflow": 1.0, "torch": -1.0}
"""Where each framework's own weights start; the seed adds to it."""


class Store:
    """Arrays by content, in a dict."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def put(self, array: NDArray[Any]) -> ArrayRef:
        ref, data = encoded(array)
        self._held[ref.sha256] = data
        return ref

    def get(self, ref: ArrayRef) -> NDArray[Any]:
        return decode_array(ref, self._held[ref.sha256])


class Bench:
    """Declares two jobs on the line, trains a plan's runs and explains."""

    def __init__(self) -> None:
        self.store = Store()
        self.trained: list[Run] = []

    def ends(self, overrides: Mapping[str, Any], **changes: Any) -> tuple[Run, Run]:
        document = {
            "name": "line",
            "data": {"type": "inline", "x": X.tolist(), "y": (2 * X - 1).tolist()},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "loss": {"type": "mse"},
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": 60, "batch_size": 4},  # uneven: no one factor makes a sum of a mean
            "predict": [10.0],
            "overrides": {"torch": dict(overrides)},
            **changes,
        }
        y = self.store.put((2 * X - 1).reshape(-1, 1))
        data = Dataset(
            task="regression",
            train=Samples(x=self.store.put(X.reshape(-1, 1)), y=y),
            predict=self.store.put(np.array([[10.0]])),
        )
        mine, theirs = (
            Run(
                run_id=f"run-{name}", experiment_id="experiment", framework=name, job=job, seeds=(0,),
                dataset=data,
            )
            for name, job in resolve(Experiment.model_validate(document)).items()
        )  # fmt: skip
        return mine, theirs

    def plan(
        self, overrides: Mapping[str, Any], *, seeds: tuple[int, ...] = SEEDS, most_combined: int = 4,
        most_factors: int | None = None, **changes: Any,
    ) -> Plan:  # fmt: skip
        ends = self.ends(overrides, **changes)
        return plan(*ends, Extent(seeds=seeds, most_combined=most_combined, most_factors=most_factors))

    def explain(
        self,
        planned: Plan,
        *,
        spoil: Callable[[Run, Seed], Seed] = lambda run, seed: seed,  # noqa: ARG005
    ) -> Explanation:
        """Trains every run of the plan; `spoil` may change what came of a seed."""
        trained = {}
        for place, run in enumerate(planned.runs()):
            named = run.model_copy(update={"run_id": f"run-{place:04d}"})
            seeds = [spoil(named, self._train(named, seed)) for seed in run.seeds]
            result = RunResult(
                run_id=named.run_id, experiment_id="experiment", framework=run.framework,
                arrays=packed(seeds),
                status="failed" if any(seed.failure for seed in seeds) else "succeeded",
            )  # fmt: skip
            trained[identity(run)] = TrainedRun.of(named, result, self.store.get)
            self.trained.append(named)
        return explain(planned, trained, self.store.get, experiment_id="4f7a1c4f7a1c4f7a1c4f", name="line")

    def _train(self, run: Run, seed: int) -> Seed:
        job = run.job
        start = OWN[run.framework] if job.initial_weights.type == "framework" else 0.3
        w, b, velocity = start + seed / 8, 0.0, np.zeros(2)
        y = 2 * X - 1
        factor = 1.0 if job.loss.reduction == "sum" else 1 / len(X)
        optimizer: Any = job.optimizer
        for epoch in range(job.training.epochs):
            apart = w * X + b - y
            gradient = 2 * factor * np.array([apart @ X, apart.sum()])
            velocity = optimizer.momentum * velocity - optimizer.learning_rate * gradient
            w, b = w + velocity[0], b + velocity[1]
            if not abs(w) + abs(b) < 1e6:
                failure = Failure(
                    reason="diverged", message="a weight became infinite", seed=seed, epoch=epoch + 1
                )
                return Seed(seed=seed, status="failed", failure=failure, epochs=epoch)
        outputs = (w * X + b).reshape(-1, 1)
        return Seed(
            seed=seed, status="succeeded", epochs=job.training.epochs, outputs=self.store.put(outputs),
            outputs_of="train", predictions=self.store.put(np.array([[w * 10 + b]])),
            metrics={"train": {"mae": float(np.abs(outputs[:, 0] - y).mean())}},
        )  # fmt: skip
