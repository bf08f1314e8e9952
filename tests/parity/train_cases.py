"""Trains the cases of a JSON file in one framework and writes what came out as one npz archive.

    python train_cases.py FRAMEWORK CASES.json OUT.npz

Run by this folder's conftest in each framework's own environment. A case with `steps` drives a
Trainer by hand, one with `epochs` goes through the worker's runner as a queued run would.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from likewise.shared.job import Job
from likewise.shared.job.data import is_weighted
from likewise.shared.learning_rates import learning_rates
from likewise.shared.program import compile_job
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Run
from likewise.shared.store.arrays import decode_array, encode_array
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.base import FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.trainer import Batch, Block, EnsembleBlock, EnsembleTrainer
from likewise.worker.training.feeds import MaskSource
from likewise.worker.training.run_trainer import RunServices
from likewise.worker.training.runner import Attempt, train_run


def samples(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """x and y in float64 (class numbers int64), from the case's name alone."""
    if "x" in case:
        return np.array(case["x"], np.float64), np.array(case["y"], np.float64)
    draw = np.random.default_rng(sum(case.get("data_of", case["name"]).encode()))
    x = draw.standard_normal((case["samples"], *case["input_shape"]))
    if case.get("zeros"):
        x[:, ::2] = 0.0
    match case["task"]:
        case "multiclass":
            y = draw.integers(0, case["outputs"], case["samples"])
        case "counts":
            y = draw.integers(0, 5, (case["samples"], case["outputs"])).astype(np.float64)
        case "probabilities":
            y = draw.dirichlet(np.full(case["outputs"], 0.5), case["samples"])
        case "binary":
            y = draw.integers(0, 2, (case["samples"], case["outputs"])).astype(np.float64)
        case _:
            y = draw.standard_normal((case["samples"], case["outputs"]))
    return x, y


def start_weights(case: dict[str, Any], job: Job) -> dict[str, np.ndarray]:
    """Random kernels and biases, or zeros where the case asks for them."""
    draw = np.random.default_rng(len(case.get("data_of", case["name"])))
    weights = {}
    for place in compile_job(job, tuple(case["input_shape"])).weights:
        shape = place.shape
        values = np.zeros(shape) if case.get("zeros") else draw.standard_normal(shape) / np.sqrt(shape[0])
        if place.name.endswith("moving_variance"):
            values = 1.0 + values**2
        weights[place.name] = values.astype(job.precision)
    return weights


def by_hand(case: dict[str, Any], adapter: FrameworkAdapter) -> dict[str, np.ndarray]:
    """One update on a batch of 7, the others on 8, in blocks; weights at the start, after it, at the end."""
    job = Job.model_validate_json(json.dumps(case["job"]))
    shape = tuple(case["input_shape"])
    x, y = samples(case)
    x = x.astype(job.precision)
    y = y if y.dtype == np.int64 else y.astype(job.precision)
    weights = start_weights(case, job)
    own = None
    if is_weighted(job.data):
        own = np.random.default_rng(6).uniform(0.0, 3.0, len(x)).astype(job.precision)
    given = Batch(x, y, own)
    try:
        trainer = build(case, adapter, job, weights=weights, samples=given)
    except UnsupportedError as error:
        return {"refused": np.array(str(error))}
    masks = MaskSource(compile_job(job, shape).masks, seed=case.get("mask_seed", 3), precision=job.precision)
    order = np.random.default_rng(5)
    out = {f"start/{name}": array for name, array in trainer.weights().items()}
    losses = []
    done = 0
    for steps, batch in ((1, case.get("first_batch", 7)), (3, 8), (case["steps"] - 4, 8)):
        rates = learning_rates(job.optimizer, first_step=done, steps=steps, steps_per_epoch=5)
        block = Block(
            indices=np.stack([order.permutation(len(x))[:batch] for _ in range(steps)]),
            learning_rates=rates,
            first_step=done,
            masks=masks.block(first_step=done, steps=steps, batch_size=batch),
        )
        if done == 0:
            out |= first_gradients(job, adapter, weights=weights, samples=given, block=block)
        losses.append(trainer.train(block))
        done += steps
        if done == 1:
            out |= {f"first/{name}": array for name, array in trainer.weights().items()}
    out |= {f"end/{name}": array for name, array in trainer.weights().items()}
    return {
        **out,
        "losses": np.concatenate(losses),
        "outputs": trainer.outputs(x),
        "execution": np.array(trainer.execution),
    }


def build(
    case: dict[str, Any],
    adapter: FrameworkAdapter,
    job: Job,
    *,
    weights: dict[str, np.ndarray],
    samples: Batch,
) -> Any:
    """A Trainer of the case, or one that shows a member of an ensemble. Raises UnsupportedError."""
    program = compile_job(job, samples.x.shape[1:])
    if not case.get("together"):
        return adapter.build(program, job, weights=weights, samples=samples)
    slower = job.optimizer.model_copy(update={"learning_rate": job.optimizer.learning_rate / 2})
    ensemble = adapter.build_ensemble(
        program,
        job,
        optimizers=[slower, *[job.optimizer] * (MEMBERS - 1)],
        weights={name: np.stack([array] * MEMBERS) for name, array in weights.items()},
        samples=samples,
    )
    return OneOfMany(ensemble, member=case.get("member", 1))


MEMBERS = 12
"""Of an ensemble: enough for every adapter's rule of what pays."""


class OneOfMany:
    """An ensemble as a Trainer of one of its members; the first trains at half the learning rate."""

    def __init__(self, ensemble: EnsembleTrainer, *, member: int) -> None:
        self._ensemble = ensemble
        self._member = member
        self.execution = ensemble.execution

    def train(self, block: Block) -> np.ndarray:
        """All members' updates on batches and masks of their own, here the same; the member's losses."""
        rates = np.stack([block.learning_rates] * MEMBERS)
        rates[0] /= 2
        all_members = EnsembleBlock(
            indices=np.stack([block.indices] * MEMBERS),
            learning_rates=rates,
            first_step=block.first_step,
            masks={path: np.stack([mask] * MEMBERS) for path, mask in block.masks.items()},
        )
        return self._ensemble.train(all_members)[self._member]

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """The member's."""
        return self._ensemble.outputs(x)[self._member]

    def weights(self) -> dict[str, np.ndarray]:
        """The member's."""
        return {name: array[self._member] for name, array in self._ensemble.weights().items()}


def first_gradients(
    job: Job,
    adapter: FrameworkAdapter,
    *,
    weights: dict[str, np.ndarray],
    samples: Batch,
    block: Block,
) -> dict[str, np.ndarray]:
    """The gradients of a block's first step."""
    rows = block.indices[0]
    masks = {path: mask[0] for path, mask in block.masks.items()}
    observer = adapter.observer(compile_job(job, samples.x.shape[1:]), job)
    seen = observer.observe(weights, samples.at(rows), masks=masks)
    return {f"gradient/{name}": gradient for name, gradient in seen.gradients.items()}


def through_runner(case: dict[str, Any], adapter: FrameworkAdapter) -> dict[str, np.ndarray]:
    """Train a run as a worker does."""
    blobs: dict[str, bytes] = {}

    def store(array: np.ndarray) -> Any:
        ref, data = encode_array(array)
        blobs[ref.sha256] = data
        return ref

    def load(ref: Any) -> np.ndarray:
        return decode_array(ref, blobs[ref.sha256])

    x, y = samples(case)
    held = len(x) // 5 if "early_stopping" in case["job"]["training"] else 0
    parts = {"train": (x[held:], y[held:])} | ({"validation": (x[:held], y[:held])} if held else {})
    given = case.get("given_weights")
    document = {
        "run_id": "parity-run",
        "experiment_id": "parity-experiment",
        "framework": adapter.name,
        "job": case["job"],
        "seeds": [0],
        "dataset": {
            "task": case["task"],
            **{part: {"x": dump(store(a)), "y": dump(store(b))} for part, (a, b) in parts.items()},
            "predict": dump(store(np.array(case["predict"], np.float64))) if "predict" in case else None,
            "classes": case["outputs"] if case["task"] == "multiclass" else None,
        },
        "given_weights": given and {k: dump(store(np.array(v, np.float64))) for k, v in given.items()},
    }
    result = train_run(
        Run.model_validate_json(json.dumps(document)),
        adapter=adapter,
        attempt=Attempt(worker="parity", host="here", threads=1),
        services=RunServices(load=load, store=store, report=lambda _: None, stop_requested=lambda: False),
    )
    assert result.failure is None, result.failure
    table = SeedTable.of(result, [0], arrays=load)
    out = {f"end/{name}": array[0] for name, array in table.weights().items()}
    predictions = {} if table.predictions is None else {"predictions": table.predictions[0]}
    validation = {"validation_losses": table.validation_losses[0]} if held else {}
    outputs = table.outputs()
    assert outputs is not None
    return {
        **out,
        **predictions,
        **validation,
        "losses": table.losses[0],
        "outputs": outputs[0],
        "hashes": np.array([one.tobytes().hex() for one in table.hashes[0].astype(">i8")]),
    }


def dump(ref: Any) -> Any:
    """A reference as JSON values."""
    return json.loads(ref.model_dump_json())


def plant(fault: str, framework: str) -> None:
    """Break the adapter on purpose, for the twins that must be told apart."""
    from importlib import import_module

    optimizers = import_module(f"likewise.worker.adapters.{framework}_adapter.optimizers")
    if fault == "velocity without the rate":
        # PyTorch's own momentum: b ← μ·b + g, w ← w − η·b; the same only while η is constant

        def _sgd(w: Any, g: Any, slots: Any, c: Any, *, nesterov: bool) -> None:  # noqa: ARG001
            slots["v"].mul_(c["momentum"]).add_(g)
            w.sub_(slots["v"] * c["learning_rate"])

        optimizers._sgd = _sgd
    elif fault == "epsilon in another place":
        # outside both of Adadelta's roots; in Adamax's maximum as PyTorch has it, and none after it

        def _adadelta(w: Any, g: Any, slots: Any, c: Any) -> None:
            v = optimizers._follow(slots["v"], g * g, c["one_minus_rho"])
            u = (slots["d"].sqrt() + c["epsilon"]) / (v.sqrt() + c["epsilon"]) * g
            optimizers._follow(slots["d"], u * u, c["one_minus_rho"])
            w.sub_(u * c["learning_rate"])

        def _adamax(w: Any, g: Any, slots: Any, c: Any, **_: Any) -> None:
            m = optimizers._follow(slots["m"], g, c["one_minus_beta_1"])
            u = slots["u"].mul_(c["beta_2"])
            u.copy_(u.maximum(g.abs() + c["epsilon"]))
            w.sub_(m * c["step_size"] / u)

        optimizers._adadelta, optimizers._adamax = _adadelta, _adamax
    else:
        raise ValueError(f"no fault {fault!r}")


def main(framework: str, cases: Path, out: Path) -> None:
    """Train every case."""
    document = json.loads(cases.read_text())
    adapter = load_adapter(framework)
    adapter.start(device="cpu", threads=1)
    if document["fault"]:
        plant(document["fault"], framework)
    arrays: dict[str, np.ndarray] = {}
    for case in document["cases"]:
        train = by_hand if "steps" in case else through_runner
        for name, array in train(case, adapter).items():
            arrays[f"{case['name']}/{name}"] = array
    arrays["modules"] = np.array(sorted({name.partition(".")[0] for name in sys.modules}))
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
