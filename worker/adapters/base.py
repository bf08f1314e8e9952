"""The contract of a framework adapter: arithmetic only.

The runner (`worker.training`) owns data, batches, masks, schedules, clocks, progress, metrics and
cancellation, all in NumPy; an adapter turns a job into the framework's own model, loss and update
rule and runs blocks of steps: `trainer.py` has the contract of what it builds. Every adapter folder
`<name>_adapter/` has the same files:

    adapter.py      the FrameworkAdapter, exported as `ADAPTER`; devices, versions, flags, errors
    model.py        the stages one after another, and the Observer, which computes them one by one
    layers.py       each kind of stage as the framework's own; `convolution.py` the convolutions
    activations.py  the formulas of `shared.job.activations`
    losses.py       the formulas of `shared.job.loss`
    optimizers.py   the formulas of `shared.job.optimizer`, one operation at a time
    training.py     the Trainer: the compiled or eager loop over a block
    ensemble.py     the EnsembleTrainer: many trainings as one program, where the framework can

and others that only its framework needs.

Nothing outside an adapter's folder names its framework, and only these folders import one. A package
elsewhere is an adapter too, where it names its `ADAPTER` as an entry point of the group `likewise.adapters`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.experiment import Precision
from likewise.shared.job.weights import FrameworkWeights
from likewise.shared.names import DeviceKind
from likewise.shared.program import ProgramSpec
from likewise.shared.results.run_result import Reason
from likewise.worker.adapters.trainer import Batch, EnsembleTrainer, Observer, StockTrainer, Trainer, Weights


class BadShapeError(ValueError):
    """Arrays do not fit together; the message names both shapes."""


class UnsupportedError(RuntimeError):
    """This framework, version or machine cannot do what the job asks; the message says what would help."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an adapter says of its process, for `shared.results.run_result.Environment`."""

    framework_version: str
    versions: dict[str, str]
    device: str
    flags: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a stock program begins with."""

    weights: Weights
    samples: Batch
    seed: int
    """What the framework's own draws begin at."""


Capability = Literal[
    "together",
    "observing",
    "default_weights",
    "compiled",
    "stock",
    "accumulation",
    "average",
    "training_outputs",
    "activity_regularizer",
]
"""What an adapter may lack: `build_ensemble`, `observer`, `default_weights`, programs for
`execution: compiled`, `build_stock`, blocks with an accumulation, `swap_average`, outputs in training
mode, or penalties of layers' outputs."""


class FrameworkAdapter(ABC):
    """One framework in one process. `start` is called once, before anything else.

    An adapter must start, describe itself and build Trainers. Whatever else it cannot do it declares in
    `lacks`; what needs that is then left out, or refused, in the words given there.
    """

    name: ClassVar[str]
    """The framework's word in job files and queues; the folder is `<name>_adapter`."""
    lacks: ClassVar[Mapping[Capability, str]] = {}
    """What this adapter cannot do, each with the reason as the end of a sentence."""
    shared_from: ClassVar[int] = 10_000_000
    """More than one thread is quicker where a batch's `shared_out` has this many multiply-adds."""

    def check(self, job: Job) -> None:
        """Raise UnsupportedError where the job asks for something that this adapter lacks."""
        asked: dict[Capability, bool] = {
            "compiled": job.execution == "compiled",
            "stock": job.execution == "stock",
            "default_weights": isinstance(job.initial_weights, FrameworkWeights),
            "accumulation": job.training.gradient_accumulation_steps > 1,
            "average": job.optimizer.use_ema,
            "training_outputs": job.training.evaluation_mode == "training",
            "activity_regularizer": any(layer.activity_regularizer for layer in job.model.layers),
        }
        for capability, wanted in asked.items():
            if wanted and capability in self.lacks:
                raise self._lacking(capability)

    def _lacking(self, capability: Capability) -> UnsupportedError:
        return UnsupportedError(self.lacks.get(capability, f"{self.name} has no {capability} of its own"))

    @abstractmethod
    def start(self, *, device: DeviceKind, threads: int) -> None:
        """Import the framework, pick the device, pin what changes numbers, and warm up.

        Of NVIDIA's GPUs the process sees one alone, its own. `threads` is the most that `use_threads` will
        ask for later. Raises RuntimeError with a plain reason when the device cannot be had.
        """

    def shared_out(self, program: ProgramSpec, job: Job, *, samples: int) -> float:
        """Return how many of a sample's multiply-adds threads share out at a time: all of its way forward.

        `samples` is how many the job trains on.
        """
        return program.multiply_adds

    @abstractmethod
    def use_threads(self, threads: int) -> int:
        """Train with this many CPU threads from now on; return how many it will really be.

        A framework that cannot change the number keeps that of `start`.
        """

    @abstractmethod
    def describe(self) -> Description:
        """Return the versions, the device and the flags as they are now."""

    def default_weights(self, program: ProgramSpec, *, precision: Precision, seed: int) -> Weights:
        """Draw the program's weights from `seed` by the framework's own default initializers."""
        raise self._lacking("default_weights")

    @abstractmethod
    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        """Make a Trainer of the program.

        Args:
            program: What is trained. Layers, shapes and weights are asked here, never of the job.
            job: How it is trained: an adapter reads its loss, optimizer, training, precision and execution.
            weights: What training starts from, by the names and in the shapes of `program.weights`.
            samples: All that it trains on; batches are rows of them.

        Raises:
            BadShapeError: Weights or samples do not fit the program.
            UnsupportedError: This framework cannot train it; the message says what would help.
        """

    def build_ensemble(
        self,
        program: ProgramSpec,
        job: Job,
        *,
        optimizers: Sequence[Optimizer],
        weights: Weights,
        samples: Batch,
    ) -> EnsembleTrainer:
        """Make an EnsembleTrainer with one member for each of `optimizers`, which replace the job's own.

        All optimizers have the same `shared.job.optimizer.structure`; `worker.adapters.constants`
        stacks their numbers. `weights` are (members, *shape); the samples are the same for every member.
        Raises UnsupportedError, with a plain reason, for a job that this framework cannot vectorise;
        its members are then trained one after another.
        """
        raise self._lacking("together")

    def build_stock(
        self, names: dict[str, Any], program: ProgramSpec, job: Job, *, start: Start
    ) -> StockTrainer:
        """Make a StockTrainer of a printed program, whose module has these names.

        Raises UnsupportedError, with a plain reason, for what it cannot run, or read the weights of.
        """
        raise self._lacking("stock")

    def observer(self, program: ProgramSpec, job: Job) -> Observer:
        """Make an Observer of the program's steps, as `build` would train them, on the started device."""
        raise self._lacking("observing")

    def reason_of(self, error: BaseException) -> Reason | None:
        """Return the typed reason of an exception that came out of this adapter; None for an unknown one.

        These are the reasons that hold everywhere; an adapter adds those of its framework's exceptions.
        """
        match error:
            case MemoryError():
                return "out_of_memory"
            case BadShapeError():
                return "bad_shape"
            case UnsupportedError() | NotImplementedError():
                return "unsupported"
        return None

    def forget_programs(self) -> None:  # noqa: B027 -- an adapter without programs has none to forget
        """Forget all compiled programs: the next training compiles its own, as in a new process.

        Trainers that exist are not affected, and what `start` warmed up stays warm.
        """

    def synchronize(self) -> None:  # noqa: B027 -- the CPU has done what its calls have returned from
        """Return when the device has done all that was asked of it: each clock is read after that."""

    def reset_device_peak(self) -> None:  # noqa: B027 -- the CPU has no memory of its own
        """Forget the accelerator's memory peak."""

    def device_peak_bytes(self) -> int | None:
        """Return the accelerator's memory peak since the reset; None on the CPU."""
        return None
