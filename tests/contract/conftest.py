"""The adapter under test, and a NumPy model in float64 that knows nothing of it.

The suite runs in a worker's environment and tests the adapters whose framework is installed there. Longer
than 400 lines: it has a formula for each loss, activation and optimizer.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.activations import (
    Activation,
    Celu,
    ClippedRelu,
    Elu,
    HardSigmoid,
    HardTanh,
    LeakyRelu,
    Shrink,
    Softmax,
    Softplus,
    Sparsemax,
    Squareplus,
    Threshold,
)
from likewise.shared.job.data import is_weighted
from likewise.shared.job.layers.basic import ActivationLayer, Dense, Dropout, Flatten
from likewise.shared.job.model import Model
from likewise.shared.losses import loss_value
from likewise.shared.names import kind_of
from likewise.shared.program import compile_job
from likewise.worker.adapters import adapter_names, load_adapter
from likewise.worker.adapters.base import Capability, FrameworkAdapter
from likewise.worker.adapters.trainer import Batch, Block, EnsembleTrainer, Observer, Trainer

Weights = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Weighted:
    """Targets with a weight a sample; rows are taken of both."""

    y: np.ndarray
    weights: np.ndarray

    def __getitem__(self, rows: Any) -> Weighted:
        return Weighted(self.y[rows], self.weights[rows])


Targets = np.ndarray | Weighted
Problem = tuple[np.ndarray, Any, Weights]


def batch(x: np.ndarray, y: Targets) -> Batch:
    """The samples as an adapter takes them."""
    return Batch(x, y.y, y.weights) if isinstance(y, Weighted) else Batch(x, y)


@pytest.fixture(scope="session", params=adapter_names())
def framework(request: pytest.FixtureRequest) -> str:
    """Each framework installed here; the package is named as the framework."""
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed in this environment")
    return name


@pytest.fixture(scope="session")
def kit(framework: str) -> Kit:
    """The framework's adapter, started with one thread, and what tests make with it.

    It is started on the CPU, or on what `tests/gpu` names.
    """
    adapter = load_adapter(framework)
    adapter.start(device=kind_of(os.environ.get("LIKEWISE_TEST_DEVICE", "cpu")), threads=1)
    return Kit(adapter)


class Kit:
    """Makes small jobs, problems, blocks and trainers for one adapter."""

    def __init__(self, adapter: FrameworkAdapter) -> None:
        self.adapter = adapter

    def job(self, **changes: Any) -> Job:
        """A job in float64: one linear layer of 2 units, mse, plain descent; with changes to its parts."""
        document = {
            "data": {"type": "inline", "x": [0.0], "y": [0.0]},
            "model": {"layers": changes.pop("layers", [{"type": "dense", "units": 2}])},
            "loss": "mse",
            "optimizer": {"type": "sgd", "learning_rate": 0.1},
            "training": {"epochs": 1},
            "precision": "float64",
        }
        return Job.model_validate_json(json.dumps(document | changes))

    def problem(self, job: Job, *, input_shape: tuple[int, ...] = (3,), seed: int = 0) -> Problem:
        """(x, y, weights) for a job, random: 12 samples, two targets or classes, with weights if declared."""
        draw = np.random.default_rng(seed)
        x = draw.standard_normal((12, *input_shape)).astype(job.precision)
        match job.loss.task if job.loss.task != "regression" else job.loss.type:
            case "multiclass":
                y = draw.integers(0, 2, 12)
            case "binary":
                y = draw.integers(0, 2, (12, 2)).astype(job.precision)
            case "poisson":
                y = draw.integers(0, 5, (12, 2)).astype(job.precision)
            case "kl_divergence":
                y = draw.dirichlet([0.5, 1.0], 12).astype(job.precision)
                y[:2] = [[1, 0], [0, 1]]
            case _:
                y = draw.standard_normal((12, 2)).astype(job.precision)
        if is_weighted(job.data):
            return (
                x,
                self.weighted(y, draw.uniform(0.0, 3.0, 12).astype(job.precision)),
                random_weights(job, input_shape, draw),
            )
        return x, y, random_weights(job, input_shape, draw)

    def build(self, job: Job, **changes: Any) -> Trainer:
        """A trainer of the job on its problem."""
        x, y, weights = self.problem(job, **changes)
        return self.trainer(job, weights=weights, x=x, y=y)

    def trainer(
        self,
        job: Job,
        *,
        weights: Weights,
        x: np.ndarray,
        y: Targets,
        zero_gradients: tuple[str, ...] = (),
    ) -> Trainer:
        """A trainer of the job on these samples, whose updates take some weights' gradients for zero."""
        if job.execution == "compiled":
            self.needs("compiled")
        program = compile_job(job, x.shape[1:]).with_zero_gradients(zero_gradients)
        return self.adapter.build(program, job, weights=weights, samples=batch(x, y))

    def ensemble(
        self, job: Job, *, optimizers: list[Optimizer], weights: Weights, x: np.ndarray, y: Targets
    ) -> EnsembleTrainer:
        """An ensemble of the job on these samples."""
        self.needs("together")
        program = compile_job(job, x.shape[1:])
        return self.adapter.build_ensemble(
            program, job, optimizers=optimizers, weights=weights, samples=batch(x, y)
        )

    def observer(self, job: Job, *, input_shape: tuple[int, ...]) -> Observer:
        """An observer of the job's steps."""
        self.needs("observing")
        return self.adapter.observer(compile_job(job, input_shape), job)

    def default_weights(self, job: Job, *, input_shape: tuple[int, ...], seed: int) -> Weights:
        """The framework's own initial weights for the job."""
        self.needs("default_weights")
        return self.adapter.default_weights(compile_job(job, input_shape), precision=job.precision, seed=seed)

    def needs(self, capability: Capability) -> None:
        """Skip the test where the adapter declares that it lacks this, in its words."""
        if capability in self.adapter.lacks:
            pytest.skip(self.adapter.lacks[capability])

    @staticmethod
    def weighted(y: np.ndarray, weights: np.ndarray) -> Weighted:
        """Targets with a weight a sample."""
        return Weighted(y, weights)

    def block(
        self, steps: int, *, batch: int = 5, first_step: int = 0, rate: float = 0.1, **more: Any
    ) -> Block:
        """Consecutive steps on random batches of the 12 samples."""
        rows = [np.random.default_rng(first_step + i).permutation(12)[:batch] for i in range(steps)]
        return Block(
            indices=np.stack(rows), learning_rates=np.full(steps, rate), first_step=first_step, **more
        )

    def reference(self, job: Job) -> Reference:
        """The NumPy model of a job."""
        return Reference(job)

    def formula(self, optimizer: Optimizer) -> NumPyOptimizer:
        """The NumPy formula of an optimizer, at its start."""
        return NumPyOptimizer(optimizer)


def random_weights(job: Job, shape: tuple[int, ...], draw: np.random.Generator) -> Weights:
    """Normal kernels and biases in the job's precision."""
    weights = {}
    for index, layer in enumerate(job.model.layers):
        if isinstance(layer, Flatten):
            shape = (math.prod(shape),)
        if isinstance(layer, Dense):
            path = job.model.layer_path(index)
            weights[f"{path}.kernel"] = draw.standard_normal((shape[-1], layer.units))
            if layer.use_bias:
                weights[f"{path}.bias"] = draw.standard_normal(layer.units)
            shape = (*shape[:-1], layer.units)
    return {name: array.astype(job.precision) for name, array in weights.items()}


_ERF = np.vectorize(math.erf)


def _expm1_below(x: np.ndarray) -> np.ndarray:
    return np.expm1(np.minimum(x, 0))


def _sparsemax(x: np.ndarray) -> np.ndarray:
    """The nearest row that sums to 1 with nothing below 0: by halving where the threshold lies."""
    low, high = x.min(axis=-1, keepdims=True) - 1, x.max(axis=-1, keepdims=True)
    for _ in range(200):
        middle = (low + high) / 2
        above = np.maximum(x - middle, 0).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.maximum(x - high, 0)


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "selu": lambda x: 1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * _expm1_below(x), x),
    "gelu": lambda x: 0.5 * x * (1 + _ERF(x / np.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "tanh_shrink": lambda x: x - np.tanh(x),
    "exponential": np.exp,
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "sparse_plus": lambda x: np.where(x < 1, np.maximum(x + 1, 0) ** 2 / 4, x),
}


def _keras_sparsemax(x: np.ndarray) -> np.ndarray:
    """Row by row: the threshold is of the cumulative sums of the numbers that sparsemax would keep."""
    rows = x.reshape(-1, x.shape[-1])
    kept = [np.sort(row[own > 0])[::-1] for row, own in zip(rows, _sparsemax(rows), strict=True)]
    thresholds = [(np.cumsum(one).sum() - 1) / len(one) for one in kept]
    return np.maximum(rows - np.array(thresholds)[:, None], 0).reshape(x.shape)


def _of_softmax(activation: Softmax, x: np.ndarray) -> np.ndarray:
    """The softmax along its axis, its logarithm, or that of −x."""
    x = -x if activation.type == "softmin" else x
    log = x - np.logaddexp.reduce(x, axis=activation.axis, keepdims=True)
    return log if activation.type == "log_softmax" else np.exp(log)


def _in_parts(activation: Activation, x: np.ndarray) -> np.ndarray:
    """A function that is a line on each of its parts."""
    match activation:
        case ClippedRelu(max_value=limit, negative_slope=slope, threshold=begins):
            leaks = np.where(x > begins, x, slope * (x - begins))
            return leaks if limit is None else np.minimum(leaks, limit)
        case LeakyRelu(negative_slope=slope):
            return np.where(x < 0, slope * x, x)
        case HardTanh(min_value=low, max_value=high):
            return np.clip(x, low, high)
        case Threshold(threshold=threshold, value=value):
            return np.where(x > threshold, x, value)
    raise ValueError(activation)


def activated(  # noqa: PLR0911 -- one return a kind
    activation: Activation, x: np.ndarray
) -> np.ndarray:
    """The function of x."""
    match activation:
        case LeakyRelu() | ClippedRelu() | HardTanh() | Threshold():
            return _in_parts(activation, x)
        case Elu(alpha=alpha):
            return np.where(x < 0, alpha * _expm1_below(x), x)
        case Celu(alpha=alpha):
            return np.where(x < 0, alpha * _expm1_below(x / alpha), x)
        case HardSigmoid(slope=slope):
            return np.clip(slope * x + 0.5, 0, 1)
        case Softplus(beta=beta):
            return np.logaddexp(0, beta * x) / beta
        case Shrink(type=word, threshold=threshold):
            moved = x - threshold * np.sign(x) if word == "soft_shrink" else x
            return np.where(np.abs(x) > threshold, moved, 0)
        case Sparsemax(sums="largest"):
            return _sparsemax(x)
        case Sparsemax():
            return _keras_sparsemax(x)
        case Squareplus(b=b):
            return (x + np.sqrt(x**2 + b)) / 2
        case Softmax():
            return _of_softmax(activation, x)
        case _:
            return ACTIVATIONS[activation.type](x)


class Reference:
    """A model's outputs, loss and gradients in float64, by the formulas alone."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def outputs(
        self, weights: Weights, x: np.ndarray, masks: Mapping[str, np.ndarray] | None = None
    ) -> np.ndarray:
        """The model's outputs; in training with masks."""
        model: Model = self._job.model
        for index, layer in enumerate(model.layers):
            path = model.layer_path(index)
            match layer:
                case Dense():
                    x = x @ weights[f"{path}.kernel"] + weights.get(f"{path}.bias", 0)
                    x = activated(layer.activation, x)
                case Flatten():
                    x = x.reshape(len(x), -1)
                case ActivationLayer():
                    x = activated(layer.activation, x)
                case Dropout() if masks is not None and layer.rate > 0:
                    x = x * masks[path]
        return x

    def loss(self, weights: Weights, x: np.ndarray, y: Targets, masks: Any = None) -> float:
        """The loss of one batch."""
        outputs = self.outputs(weights, x, masks)
        if isinstance(y, Weighted):
            return loss_value(self._job.loss, outputs, y.y, y.weights)
        return loss_value(self._job.loss, outputs, y)

    def gradients(self, weights: Weights, x: np.ndarray, y: Targets, masks: Any = None) -> Weights:
        """By central differences, good to about 1e-9."""
        result = {}
        for name, array in weights.items():
            result[name] = np.empty_like(array)
            for place in np.ndindex(array.shape):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = array.copy()
                    moved[place] += step
                    sides.append(self.loss({**weights, name: moved}, x, y, masks))
                result[name][place] = (sides[0] - sides[1]) / 2e-6
        return result


exact = np.vectorize(Fraction, otypes=[object])
"""Makes fractions of floats, in which no difference loses a digit."""


@dataclasses.dataclass
class NumPyOptimizer:
    """The formulas of `shared.job.optimizer`, written out again."""

    spec: Any
    state: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def clipped(self, gradients: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        o = self.spec
        norms = {name: np.linalg.norm(g) for name, g in gradients.items()}
        whole = np.sqrt(sum(norm**2 for norm in norms.values()))
        if o.clip_value:
            return {name: np.clip(g, -o.clip_value, o.clip_value) for name, g in gradients.items()}
        if o.clip_norm:
            return {
                name: g * min(1, o.clip_norm / (norms[name] + o.clip_epsilon))
                for name, g in gradients.items()
            }
        if o.global_clip_norm:
            factor = min(1, o.global_clip_norm / (whole + o.clip_epsilon))
            return {name: g * factor for name, g in gradients.items()}
        return gradients

    def update(
        self, weights: dict[str, np.ndarray], gradients: dict[str, np.ndarray], *, t: int, rate: float
    ) -> None:
        o = self.spec
        for name, clipped in self.clipped(gradients).items():
            w, g = weights[name], clipped
            word = name.rpartition(".")[2]
            included = o.include_in_weight_decay or (() if word in o.exclude_from_weight_decay else (word,))
            decay = o.weight_decay if word in included else 0.0
            if o.weight_decay_kind == "decoupled":
                w = w - rate * decay * w
            else:
                g = g + decay * w
            weights[name] = w - self.step(name, g, t=t, rate=rate)

    def step(  # noqa: PLR0911 -- one return a formula
        self, name: str, g: np.ndarray, *, t: int, rate: float
    ) -> np.ndarray:
        o = self.spec
        inside = getattr(o, "epsilon_placement", "") == "inside"
        if o.type == "sgd" and o.momentum_convention == "buffer":
            b = self.keep(f"b {name}", lambda b: o.momentum * b + g, g)
            return rate * (g + o.momentum * b if o.nesterov else b)
        if o.type == "sgd":
            v = self.keep(f"v {name}", lambda v: o.momentum * v - rate * g, g)
            return rate * g - o.momentum * v if o.nesterov else -v
        if o.type == "rmsprop":
            # v − a² of gradients that hardly change has few digits in any float, and all in fractions
            wide, share = exact(g), 1 - Fraction(o.rho)
            start = Fraction(o.initial_accumulator_value)
            v = self.keep(f"v {name}", lambda v: v + share * (wide * wide - v), wide, start=start)
            if o.centered:
                v = v - self.keep(f"a {name}", lambda a: a + share * (wide - a), wide) ** 2
            v = v.astype(np.float64)
            u = g / (np.sqrt(v + o.epsilon) if inside else np.sqrt(v) + o.epsilon)
            if o.momentum_convention == "velocity":
                return self.keep(f"s {name}", lambda s: o.momentum * s + rate * u, g)
            return rate * self.keep(f"b {name}", lambda b: o.momentum * b + u, g)
        if o.type == "adagrad":
            v = self.keep(f"v {name}", lambda v: v + g * g, g, start=o.initial_accumulator_value)
            return rate * g / (np.sqrt(v + o.epsilon) if inside else np.sqrt(v) + o.epsilon)
        if o.type == "adadelta":
            v = self.keep(f"v {name}", lambda v: v + (1 - o.rho) * (g * g - v), g)
            d = self.state.get(f"d {name}", 0.0)
            u = np.sqrt((d + o.epsilon) / (v + o.epsilon)) * g
            self.keep(f"d {name}", lambda d: d + (1 - o.rho) * (u * u - d), g)
            return rate * u
        return self.adam_step(name, g, t=t, rate=rate)

    def adam_step(self, name: str, g: np.ndarray, *, t: int, rate: float) -> np.ndarray:
        o = self.spec
        m = self.keep(f"m {name}", lambda m: m + (1 - o.beta_1) * (g - m), g)
        if o.type == "adamax":
            within = o.epsilon if o.epsilon_placement == "inside" else 0.0
            u = self.keep(f"u {name}", lambda u: np.maximum(o.beta_2 * u, np.abs(g) + within), g)
            return rate / (1 - o.beta_1**t * o.bias_correction) * m / (u + o.epsilon - within)
        v = self.keep(f"v {name}", lambda v: v + (1 - o.beta_2) * (g * g - v), g)
        # a hatted epsilon stands where the correction has not been divided out yet
        corrected = np.sqrt(1 - o.beta_2**t * o.bias_correction)
        epsilon = o.epsilon / corrected if o.epsilon_placement == "hat" else o.epsilon
        if o.type == "nadam":
            mu = o.beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * o.momentum_decay))
            missing = (mu.prod() * o.bias_correction, mu[:t].prod() * o.bias_correction)
            step = mu[t] * m / (1 - missing[0]) + (1 - mu[t - 1]) * g / (1 - missing[1])
            return rate * step / (np.sqrt(v) / corrected + epsilon)
        if o.amsgrad:
            v = self.keep(f"h {name}", lambda h: np.maximum(h, v), g)
        return rate / (1 - o.beta_1**t * o.bias_correction) * m / (np.sqrt(v) / corrected + epsilon)

    def keep(self, slot: str, change: Any, like: np.ndarray, *, start: Any = 0) -> np.ndarray:
        self.state[slot] = change(self.state.get(slot, np.full_like(like, start)))
        return self.state[slot]
