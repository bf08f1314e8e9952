"""A framework without a framework: linear regression by SGD in NumPy, behind the adapter contract.

It is a real adapter, not a stand-in with answers prepared: it computes outputs, losses and gradients.
That the runner trains with it shows that the runner needs nothing of a framework.

Long, because an adapter is one piece: its trainer, its ensemble and its observer share the arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.experiment import Precision
from likewise.shared.job.layers.basic import Dense, Dropout, Flatten
from likewise.shared.ledger.records import ProgressEvent
from likewise.shared.names import DeviceKind
from likewise.shared.program import ProgramSpec
from likewise.shared.results.run_result import Reason, RunResult
from likewise.shared.run import Run
from likewise.shared.store.arrays import AnyArray, ArrayRef, InlineArray, encode_array
from likewise.worker.adapters.base import Description, FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.constants import update_constants
from likewise.worker.adapters.trainer import (
    Batch,
    Block,
    EnsembleBlock,
    EnsembleTrainer,
    Floats,
    Observed,
    Observer,
    State,
    Trainer,
    Weights,
)
from likewise.worker.training.run_trainer import RunServices
from likewise.worker.training.runner import Attempt, train_run
from tests.listed import Seed, listed


class NotLinearError(Exception):
    """The job asks for more than a linear model."""


class DeviceMemoryError(Exception):
    """As a framework says that its device is full."""


class NumpyTrainer(Trainer):
    """Dropouts and flattens, then one linear dense layer; mse; plain SGD."""

    execution = "numpy"

    def __init__(self, job: Job, *, weights: Weights, samples: Batch, programs: set[str] | None) -> None:
        *before, dense = job.model.layers
        if not isinstance(dense, Dense) or dense.activation.type != "linear" or job.loss.type != "mse":
            raise NotLinearError("only a linear model with mse")
        if not all(isinstance(layer, Dropout | Flatten) for layer in before):
            raise NotLinearError("only one dense layer")
        self._programs = programs
        self.blocks = 0
        self.updates = 0
        self._optimizer = job.optimizer
        self._mean = job.loss.reduction == "mean"
        self._path = job.model.layer_path(len(before))
        self._weights = {name: array.copy() for name, array in weights.items()}
        self._x, self._y = samples.x.reshape(len(samples.x), -1), samples.y

    @property
    def compiles(self) -> bool:  # type: ignore[override]
        return self._programs is not None and not self._programs

    def train(self, block: Block) -> NDArray[np.float64]:
        self.blocks += 1
        self.updates += len(block.indices)
        if self._programs is not None:
            self._programs.add("step")
        constants = update_constants(
            self._optimizer, learning_rates=block.learning_rates, first_step=block.first_step
        )
        with np.errstate(all="ignore"):
            losses = [
                self._step(
                    rows,
                    self._x.dtype.type(constants["learning_rate"][step]),
                    [mask[step].reshape(len(rows), -1) for mask in block.masks.values()],
                )
                for step, rows in enumerate(block.indices)
            ]
        return np.array(losses, dtype=np.float64)

    def _step(self, rows: NDArray[np.int64], rate: np.floating[Any], masks: list[Floats]) -> float:
        x, y = self._x[rows], self._y[rows]
        for mask in masks:
            x = x * mask
        error = self.outputs(x) - y
        scale = self._x.dtype.type(2.0 / error.size if self._mean else 2.0)
        self._weights[f"{self._path}.kernel"] -= rate * (scale * (x.T @ error))
        if f"{self._path}.bias" in self._weights:
            self._weights[f"{self._path}.bias"] -= rate * (scale * error.sum(axis=0))
        squares = error * error
        return float(squares.mean() if self._mean else squares.sum())

    def outputs(self, x: Floats) -> Floats:
        bias = self._weights.get(f"{self._path}.bias", 0.0)
        with np.errstate(all="ignore"):
            outputs: Floats = x.reshape(len(x), -1) @ self._weights[f"{self._path}.kernel"] + bias
        return outputs

    def weights(self) -> Weights:
        return {name: array.copy() for name, array in self._weights.items()}

    def load_weights(self, weights: Weights) -> None:
        self._weights = {name: array.copy() for name, array in weights.items()}

    def state(self) -> State:
        return self.weights()

    def load_state(self, state: State) -> None:
        self.load_weights(dict(state))


class NumpyObserver(Observer):
    """A step of the same model, layer by layer."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._paths = [job.model.layer_path(index) for index in range(len(job.model.layers))]

    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        with np.errstate(all="ignore"):
            return self._observe(weights, batch.x, batch.y, masks)

    def _observe(self, weights: Weights, x: Floats, y: NDArray[Any], masks: Mapping[str, Floats]) -> Observed:
        layers: dict[str, Floats] = {}
        for path in self._paths:
            fed = x
            layers |= self.refed(weights, {path: [x]}, masks=masks)
            x = layers[path]
        error = x - y
        mean = self._job.loss.reduction == "mean"
        slope = (2.0 / error.size if mean else 2.0) * error
        flat = fed.reshape(len(fed), -1)
        gradients = {f"{path}.kernel": flat.T @ slope, f"{path}.bias": slope.sum(axis=0)}
        squares = error * error
        return Observed(
            layers=layers,
            loss=float(squares.mean() if mean else squares.sum()),
            gradients={name: gradients[name] for name in weights},
        )

    def refed(
        self, weights: Weights, inputs: Mapping[str, Sequence[Floats]], *, masks: Mapping[str, Floats]
    ) -> dict[str, Floats]:
        layers = dict(zip(self._paths, self._job.model.layers, strict=True))
        outputs = {}
        for path, (x,) in inputs.items():
            match layers[path]:
                case Dropout():
                    outputs[path] = x * masks.get(path, x.dtype.type(1.0))
                case Flatten():
                    outputs[path] = x.reshape(len(x), -1)
                case _:
                    outputs[path] = x.reshape(len(x), -1) @ weights[f"{path}.kernel"] + weights.get(
                        f"{path}.bias", x.dtype.type(0.0)
                    )
        return outputs


class NumpyEnsemble(EnsembleTrainer):
    """Members side by side, each a trainer of its own."""

    execution = "vectorised (numpy)"

    def __init__(self, trainers: list[NumpyTrainer], *, compiles: bool) -> None:
        self.members = len(trainers)
        self.compiles = compiles
        self._trainers = trainers
        self.blocks: list[EnsembleBlock] = []

    def train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        self.blocks.append(block)
        return np.stack(
            [trainer.train(block.of_member(member)) for member, trainer in enumerate(self._trainers)]
        )

    def outputs(self, x: Floats) -> Floats:
        return np.stack([trainer.outputs(x) for trainer in self._trainers])

    def weights(self) -> Weights:
        members = [trainer.weights() for trainer in self._trainers]
        return {name: np.stack([member[name] for member in members]) for name in members[0]}

    def state(self) -> State:
        return self.weights()

    def load_state(self, state: State) -> None:
        for member, trainer in enumerate(self._trainers):
            trainer.load_weights({name: array[member] for name, array in state.items()})


class NumpyAdapter(FrameworkAdapter):
    """See the module. `compiles` only declares that a first call compiles.

    `built` keeps the trainers, `ensembles` the ensembles; `vectorises` says whether it makes them.
    """

    name = "numpy"

    def __init__(self, *, compiles: bool = False, vectorises: bool = True) -> None:
        self.programs: set[str] | None = set() if compiles else None
        self.vectorises = vectorises
        self.built: list[NumpyTrainer] = []
        self.ensembles: list[NumpyEnsemble] = []
        self.forgotten = 0
        self.threads = 1

    def forget_programs(self) -> None:
        self.forgotten += 1
        if self.programs:
            self.programs.clear()

    def start(self, *, device: DeviceKind, threads: int) -> None:
        if device != "cpu" or threads != 1:
            raise RuntimeError("NumPy trains on one thread of the CPU")

    def use_threads(self, threads: int) -> int:
        self.threads = threads
        return threads

    def describe(self) -> Description:
        return Description(
            framework_version=np.__version__,
            versions={"numpy": np.__version__},
            device="cpu",
            flags={"determinism": "always"},
        )

    def default_weights(self, program: ProgramSpec, *, precision: Precision, seed: int) -> Weights:
        kernel, bias = program.weights
        drawn = np.random.default_rng(seed).normal(size=kernel.shape)
        return {kernel.name: drawn.astype(precision), bias.name: np.zeros(bias.shape, dtype=precision)}

    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        assert samples.x.shape[1:] == program.input_shape
        trainer = NumpyTrainer(job, weights=weights, samples=samples, programs=self.programs)
        self.built.append(trainer)
        return trainer

    def observer(self, program: ProgramSpec, job: Job) -> Observer:  # noqa: ARG002
        return NumpyObserver(job)

    def build_ensemble(
        self,
        program: ProgramSpec,
        job: Job,
        *,
        optimizers: Sequence[Optimizer],
        weights: Weights,
        samples: Batch,
    ) -> EnsembleTrainer:
        if not self.vectorises:
            raise UnsupportedError("it is told not to")
        assert samples.x.shape[1:] == program.input_shape
        trainers = [
            NumpyTrainer(
                job.model_copy(update={"optimizer": optimizer}),
                weights={name: array[member] for name, array in weights.items()},
                samples=samples,
                programs=self.programs,
            )
            for member, optimizer in enumerate(optimizers)
        ]
        self.ensembles.append(NumpyEnsemble(trainers, compiles=self.programs is not None))
        return self.ensembles[-1]

    def reason_of(self, error: BaseException) -> Reason | None:
        reasons: dict[type[BaseException], Reason] = {
            NotLinearError: "unsupported",
            DeviceMemoryError: "out_of_memory",
        }
        return reasons.get(type(error))

    def reset_device_peak(self) -> None:
        return

    def device_peak_bytes(self) -> int | None:
        return None


def _never() -> bool:
    return False


@dataclass
class Lab:
    """Stores arrays in memory, makes runs, trains them."""

    adapter: NumpyAdapter
    blobs: dict[str, NDArray[Any]] = field(default_factory=dict)
    events: list[ProgressEvent] = field(default_factory=list)

    @staticmethod
    def samples(count: int, seed: int = 0) -> tuple[Any, Any]:
        """x (count, 3) and y = x·[1, −2, 3] + noise, (count, 1)."""
        numbers = np.random.default_rng(seed)
        x = numbers.normal(size=(count, 3))
        return x, x @ [[1.0], [-2.0], [3.0]] + 0.1 * numbers.normal(size=(count, 1))

    def seeds(self, result: RunResult) -> tuple[Seed, ...]:
        """The results of a run's seeds."""
        return listed(result, self.load, self.store)

    def only(self, result: RunResult) -> Seed:
        """The result of a run's single seed."""
        (seed,) = self.seeds(result)
        return seed

    def store(self, array: NDArray[Any]) -> ArrayRef:
        ref, _ = encode_array(array)
        self.blobs[ref.sha256] = array
        return ref

    def load(self, ref: AnyArray) -> NDArray[Any]:
        if isinstance(ref, InlineArray):
            return ref.array()
        data = self.blobs[ref.sha256].tobytes()
        return np.frombuffer(data, ref.dtype).reshape(ref.shape).copy()

    def run(
        self,
        job: Job,
        *,
        train: tuple[Any, Any],
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        predict: Any = None,
        seeds: tuple[int, ...] = (0,),
        optimizers: Sequence[Optimizer] | None = None,
        given: Mapping[str, Any] | None = None,
        framework: str = "numpy",
    ) -> Run:
        """Arrays go in as float64, integer targets as int64."""
        parts = {"train": train, "validation": validation, "test": test}
        dataset: dict[str, Any] = {"task": "regression"}
        for name, part in parts.items():
            if part is not None:
                dataset[name] = {"x": self._put(part[0]), "y": self._put(part[1])}
        if predict is not None:
            dataset["predict"] = self._put(predict)
        document = {
            "run_id": "run-00000001",
            "experiment_id": "exp-00000001",
            "framework": framework,
            "job": json.loads(job.model_dump_json()),
            "seeds": list(seeds),
            "dataset": dataset,
            "optimizers": None
            if optimizers is None
            else [json.loads(o.model_dump_json()) for o in optimizers],
            "given_weights": None if given is None else {k: self._put(v) for k, v in given.items()},
        }
        return Run.model_validate_json(json.dumps(document))

    def train(self, run: Run, *, adapter: FrameworkAdapter | None = None, **replaced: Any) -> RunResult:
        """Fields of an attempt or of its services may be replaced."""
        attempt = {name: replaced.pop(name) for name in ("threads", "queue_s") if name in replaced}
        services: dict[str, Any] = {
            "load": self.load,
            "store": self.store,
            "report": self.events.append,
            "stop_requested": _never,
            **replaced,
        }
        result = train_run(
            run,
            adapter=adapter or self.adapter,
            attempt=Attempt(worker="worker-1", host="host-1", **{"threads": 1, "queue_s": 0.5, **attempt}),
            services=RunServices(**services),
        )
        assert RunResult.model_validate_json(result.model_dump_json()) == result
        return result

    def _put(self, values: Any) -> dict[str, Any]:
        array = np.asarray(values)
        stored = array.astype(np.int64 if array.dtype.kind == "i" else np.float64)
        document: dict[str, Any] = self.store(stored).model_dump(mode="json")
        return document


@pytest.fixture
def lab() -> Lab:
    """A fresh store, adapter and list of events."""
    adapter = NumpyAdapter()
    adapter.start(device="cpu", threads=1)
    return Lab(adapter)


@pytest.fixture
def compiling_adapter() -> FrameworkAdapter:
    """A NumPy adapter that declares its first calls to compile."""
    return NumpyAdapter(compiles=True)


@pytest.fixture
def device_memory_error() -> type[Exception]:
    """The exception that the adapter types as out of memory."""
    return DeviceMemoryError


@pytest.fixture(scope="session")
def job_of() -> Callable[..., Job]:
    """Make a job: a linear model on mse by default, any field replaced by keyword."""

    def make(**fields: Any) -> Job:
        document = {
            "data": {"type": "inline", "x": [0.0], "y": [0.0]},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "loss": "mse",
            "optimizer": {"type": "sgd", "learning_rate": 0.05},
            "training": {"epochs": 5},
            **fields,
        }
        return Job.model_validate_json(json.dumps(document))

    return make
