"""Trains linear dense layers on mse by plain SGD in NumPy, behind the adapter contract.

It does the least that an adapter must, and declares what it lacks. Anything else that a job asks is refused.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from math import sqrt
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.job.layers.basic import Dense
from likewise.shared.job.loss import MeanSquaredError
from likewise.shared.job.optimizer import Sgd
from likewise.shared.names import DeviceKind
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.base import Capability, Description, FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.common import check_inputs, check_samples, check_weights, warm_up
from likewise.worker.adapters.trainer import Batch, Block, Floats, State, Trainer, Weights


class NumpyTrainer(Trainer):
    """A stack of dense layers: gradients by hand, batches by rows of the samples."""

    execution = "eager (NumPy)"
    compiles = False

    def __init__(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> None:
        _refuse(program, job, samples)
        check_samples(program, samples)
        check_weights(program.weight_shapes, weights)
        self._program = program
        self._mean = job.loss.reduction == "mean"
        self._samples = samples
        self._precision = job.precision
        self._weights = {name: array.copy() for name, array in weights.items()}

    def train(self, block: Block) -> NDArray[np.float64]:
        rates = block.learning_rates.astype(self._precision)
        with np.errstate(all="ignore"):  # the runner judges what overflows
            losses = [self._update(*step) for step in zip(block.indices, rates, strict=True)]
        return np.array(losses, np.float64)

    def _update(self, rows: NDArray[np.int64], rate: np.floating[Any]) -> float:
        batch = self._samples.at(rows)
        inputs = [self._program.rescale.apply(batch.x, self._precision)]
        for stage in self._program.stages:
            inputs.append(self._applied(stage.path, inputs[-1]))
        error = inputs.pop() - batch.y
        slope = error * error.dtype.type(2.0 / error.size if self._mean else 2.0)
        for stage, x in zip(reversed(self._program.stages), reversed(inputs), strict=True):
            kernel = self._weights[f"{stage.path}.kernel"]
            before = slope @ kernel.T
            kernel -= rate * (x.T @ slope)
            if f"{stage.path}.bias" in self._weights:
                self._weights[f"{stage.path}.bias"] -= rate * slope.sum(axis=0)
            slope = before
        squares = error * error
        return float(squares.mean() if self._mean else squares.sum())

    def _applied(self, path: str, x: Floats) -> Floats:
        outputs: Floats = x @ self._weights[f"{path}.kernel"]
        return outputs + self._weights[f"{path}.bias"] if f"{path}.bias" in self._weights else outputs

    def outputs(self, x: Floats) -> Floats:
        check_inputs(self._program.input_shape, x)
        with np.errstate(all="ignore"):
            x = self._program.rescale.apply(x, self._precision)
            for stage in self._program.stages:
                x = self._applied(stage.path, x)
        return x

    def weights(self) -> Weights:
        return {name: array.copy() for name, array in self._weights.items()}

    def load_weights(self, weights: Weights) -> None:
        check_weights(self._program.weight_shapes, weights)
        self._weights = {name: array.copy() for name, array in weights.items()}

    def state(self) -> State:
        return self.weights()

    def load_state(self, state: State) -> None:
        self.load_weights(dict(state))


def _refuse(program: ProgramSpec, job: Job, samples: Batch) -> None:
    """Raise UnsupportedError for whatever is more than linear regression by plain SGD."""
    for stage in program.stages:
        if not isinstance(stage.layer, Dense) or stage.layer.activation.type != "linear":
            raise UnsupportedError(
                f"the NumPy adapter has linear dense layers alone, and {stage.path} is none"
            )
    if not isinstance(job.loss, MeanSquaredError) or job.loss.reduction not in ("mean", "sum"):
        raise UnsupportedError(f"the NumPy adapter has no loss {job.loss.type} like that")
    if samples.weights is not None:
        raise UnsupportedError("the NumPy adapter does not weigh samples")
    plain = Sgd(type="sgd", learning_rate=job.optimizer.learning_rate, schedule=job.optimizer.schedule)
    if job.optimizer != plain:
        raise UnsupportedError("the NumPy adapter has plain sgd alone")


class NumpyAdapter(FrameworkAdapter):
    name = "numpy"
    lacks: ClassVar[Mapping[Capability, str]] = {
        "together": "the NumPy adapter has no program of many",
        "observing": "the NumPy adapter does not lay an update open",
        "accumulation": "the NumPy adapter makes an update of each batch",
        "average": "the NumPy adapter keeps no average of the weights",
        "training_outputs": "the NumPy adapter evaluates in evaluation mode alone",
        "activity_regularizer": "the NumPy adapter penalizes no layer's output",
        "compiled": "the NumPy adapter compiles nothing; use execution: auto",
    }

    def start(self, *, device: DeviceKind, threads: int) -> None:  # noqa: ARG002
        if device != "cpu":
            raise RuntimeError("NumPy trains on the CPU: give this worker the device cpu")
        warm_up(self)

    def use_threads(self, threads: int) -> int:  # noqa: ARG002
        return 1

    def describe(self) -> Description:
        versions = {"numpy": np.__version__, "python": platform.python_version()}
        return Description(
            framework_version=np.__version__,
            versions=versions,
            device="cpu",
            flags={"determinism": "inherent"},
        )

    def default_weights(self, program: ProgramSpec, *, precision: Precision, seed: int) -> Weights:
        draw = np.random.default_rng(seed)
        return {
            weight.name: (draw.uniform(-1, 1, weight.shape) / sqrt(weight.fan_in)).astype(precision)
            for weight in program.weights
        }

    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        return NumpyTrainer(program, job, weights=weights, samples=samples)


ADAPTER = NumpyAdapter()
