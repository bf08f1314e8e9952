"""Hand-made results with honest numbers: a line fitted in NumPy, as both frameworks would return it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.compare import Background, compare
from likewise.producer.job.resolve import resolve
from likewise.producer.verdict.models import Comparison
from likewise.shared.job import Experiment
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import Environment, Failure, Hashes, RunResult, Timings
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Dataset, Run, Samples
from likewise.shared.store.arrays import ArrayRef, decode_array
from tests.listed import Seed, encoded, packed

X = np.array([-1.0, 0, 1, 2, 3, 4])
EXPERIMENT_ID = "20261123-4f7a1c"


@dataclass
class Store:
    """Arrays by content, in a dict."""

    held: dict[str, bytes] = field(default_factory=dict)

    def put(self, array: NDArray[Any]) -> ArrayRef:
        ref, data = encoded(array)
        self.held[ref.sha256] = data
        return ref

    def get(self, ref: ArrayRef) -> NDArray[Any]:
        return decode_array(ref, self.held[ref.sha256])


STORE = Store()


def experiment(**changes: Any) -> Experiment:
    job = {
        "name": "article",
        "data": {"type": "inline", "x": X.tolist(), "y": (2 * X - 1).tolist()},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": {"type": "mse"},
        "optimizer": {"type": "sgd", "learning_rate": 0.01},
        "training": {"epochs": 500},
        "predict": [10.0],
    }
    return Experiment.model_validate(job | changes)


def record(declared: Experiment) -> ExperimentRecord:
    return ExperimentRecord(
        experiment_id=EXPERIMENT_ID,
        submitted_s=1_795_392_000.0,
        experiment=declared,
        run_ids=tuple(f"run-{name}-0001" for name in declared.frameworks),
    )


def train(
    *, seed: int = 0, reduction: str = "mean", kernel: float = 0.37, epochs: int = 500, nudge: float = 0.0,
    dtype: str = "float32",
) -> Seed:  # fmt: skip
    """One seed: plain gradient descent on the line; `nudge` is added to the trained kernel."""
    kind = np.dtype(dtype).type
    x, y = X.astype(dtype), (2 * X - 1).astype(dtype)
    w, b, factor = kind(kernel + seed / 8), kind(0), kind(1 if reduction == "sum" else 1 / 6)
    start = (w, b)
    losses = []
    for _ in range(epochs):
        apart = w * x + b - y
        losses.append(float(factor * np.sum(apart * apart)))
        w = w - kind(0.01) * 2 * factor * np.sum(apart * x)
        b = b - kind(0.01) * 2 * factor * np.sum(apart)
    w = w + kind(nudge)
    return Seed(
        seed=seed,
        status="succeeded",
        epochs=epochs,
        losses=tuple(losses),
        final_loss=losses[-1],
        metrics={"train": {"mae": float(np.mean(np.abs(w * x + b - y))), "r2": 1.0}},
        predictions=STORE.put(np.array([[w * kind(10) + b]], dtype=dtype)),
        outputs=STORE.put((w * x + b).reshape(-1, 1).astype(dtype)),
        outputs_of="train",
        weights={
            "layers.0.kernel": STORE.put(np.array([[w]], dtype=dtype)),
            "layers.0.bias": STORE.put(np.array([b], dtype=dtype)),
        },
        hashes=Hashes(initial_weights=f"{float(start[0])}", batches="same"),
        timings=Timings(queue_s=0.02, build_s=0.11, compile_s=0.32, train_s=0.041, predict_s=0.006),
        peak_bytes=412 * 2**20,
    )


def failed_seed(seed: int = 0, reason: str = "diverged", epoch: int | None = 12) -> Seed:
    message = "the loss became NaN" if reason == "diverged" else "of the surroundings"
    failure = Failure.model_validate({"reason": reason, "message": message, "seed": seed, "epoch": epoch})
    return Seed(seed=seed, status="failed", failure=failure, epochs=11, losses=(8.0, 1e30))


def result(framework: str, seeds: Sequence[Seed], failure: Failure | None = None) -> RunResult:
    version = {"tensorflow": "2.21.0", "torch": "2.13.0+cpu"}.get(framework, "1.0")
    failure = failure or next((one.failure for one in seeds if one.failure), None)
    return RunResult(
        run_id=f"run-{framework}-0001",
        experiment_id=EXPERIMENT_ID,
        framework=framework,
        status="failed" if failure else "succeeded",
        failure=failure,
        arrays=packed(seeds),
        environment=Environment(
            framework=framework,
            framework_version=version,
            versions={"python": "3.11.7", "numpy": "2.4.6"},
            device="cpu",
            threads=1,
            execution="compiled (tf.function)" if framework == "tensorflow" else "eager",
            flags={"deterministic": "true"},
            platform="Linux-6.1-x86_64",
            host="atlas",
        ),
        worker=f"{framework}-1@atlas",
    )


def compared(declared: Experiment, *results: RunResult, samples: int | None = 6) -> Comparison:
    """The comparison; without `samples` the shape of the data is not known."""
    jobs = resolve(declared)
    shapes = {} if samples is None else dict.fromkeys(jobs, (samples, 1))
    return compare(
        record(declared),
        jobs,
        results,
        STORE.get,
        background=Background(data_shapes=shapes),
    )


def article() -> Comparison:
    """As written: mean against sum, each framework its own start."""
    declared = experiment(
        initial_weights={"type": "framework"}, overrides={"torch": {"loss.reduction": "sum"}}
    )
    return compared(
        declared,
        result("tensorflow", [train()]),
        result("torch", [train(reduction="sum", kernel=-0.21)]),
    )


def matched(seeds: int = 1) -> Comparison:
    """Like for like, to the bit."""
    declared = experiment(name="matched", seeds=seeds)
    return compared(
        declared,
        *(result(name, [train(seed=seed) for seed in range(seeds)]) for name in declared.frameworks),
    )


def runs(comparison: Comparison) -> tuple[Run, ...]:
    """The queued runs that the comparison's results came from."""
    y = (2 * X - 1).reshape(-1, 1)
    dataset = Dataset(
        task="regression",
        train=Samples(x=STORE.put(X.reshape(-1, 1)), y=STORE.put(y)),
        predict=STORE.put(np.array([[10.0]])),
        feature_names=("x",),
        target_names=("y",),
    )
    return tuple(
        Run(
            run_id=f"run-{framework}-0001",
            experiment_id=EXPERIMENT_ID,
            framework=framework,
            job=job,
            seeds=comparison.experiment.seed_list,
            dataset=dataset,
        )
        for framework, job in comparison.jobs.items()
    )


def tables(comparison: Comparison) -> dict[str, SeedTable]:
    return {run.side: run.table for run in comparison.runs}


def failed(message: str = "the loss became NaN") -> Comparison:
    """One framework diverges, the other does not."""
    broken = failed_seed()
    assert broken.failure is not None
    failure = broken.failure.model_copy(update={"message": message})
    return compared(
        experiment(name="steep"),
        result("tensorflow", [train()]),
        result("torch", [broken.model_copy(update={"failure": failure})]),
    )


def many_seeds() -> Comparison:
    """Three seeds, of which one parts."""
    return compared(
        experiment(name="seeds", seeds=3),
        result("tensorflow", [train(seed=seed) for seed in range(3)]),
        result("torch", [train(seed=seed, nudge=1e-3 * (seed == 1)) for seed in range(3)]),
    )
