"""What a host gives of a user's program, whatever its framework.

A module of the program that is known (a dense layer, a convolution …) speaks one language in both frameworks:
its weights have Keras's names and layouts, its samples come first and their channels last, its settings have
Keras's names and conventions. A module that is not known, with weights of its own, is of kind `own`: its
weights go as they are. A weight is addressed as `<module path>.<name>`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.port.wire import nth_call
from likewise.worker.port.randomness import Arrangement, Randomness, RandomSite

Arrays = dict[str, NDArray[Any]]
OWN = "own"
"""The kind of a module with weights that no table knows."""
STEPS_OF_SCHEDULE = 5
"""The learning rates of so many first updates are told of an optimizer with a schedule."""
AS_WRITTEN = "as_written"
"""The precision of a program that is timed: whatever its own code makes, with nothing widened or watched."""
WHOLE, SAMPLES_FIRST, STEPS_FIRST, ONE_BY_ONE = "whole", "samples first", "steps first", "one by one"
"""The ways in which what wraps a layer may give it the steps of a sequence: all in their own axis, among the
samples (those of a sample, or those of a step, one behind the other), or in a call for each step.
"""
PROJECTIONS = ("query", "key", "value")
"""The parts of an attention that are kept in one tensor, in this order."""
OUTPUTS = "outputs"
"""The program's outputs among the calls: a call without a module."""


class ProgramError(Exception):
    """The user's program cannot do what was asked; the message says where, and what would be right."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One weight of a module, in the common language."""

    own: str
    """The framework's own name, or names joined by ` + `."""
    transform: str
    """How the own array becomes the common one, in words; empty where it is the same."""
    shape: tuple[int, ...]
    trainable: bool


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module of the program: with weights, or with settings that matter."""

    path: str
    kind: str
    type: str
    """The name of its class."""
    settings: dict[str, Any]
    slots: dict[str, Slot]
    line: str | None = None
    """Where the user's code makes or calls it, as `file.py:12`."""
    owner: str = ""
    """The path of the module of the user's that it is a part of, where it is one; else its own."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call in the forward pass. Its arrays are `<index>.in` and `<index>.out` of the answer."""

    path: str | None
    """The module's path; None for a function such as `torch.relu`."""
    kind: str
    line: str | None
    zeros: list[list[int]] | None = None
    """The zeros that a function pads with before and after each spatial axis."""
    in_place: bool = False
    """Whether it has written what it gives over what it was given."""


@dataclass(frozen=True, kw_only=True)
class Forced:
    """A module's input and output that replace its own, in the common layout, where they have its shapes.

    Of a call that is forced by its number (see `nth_call`) only what leaves is replaced.

    Gradients still pass through the module as if they were its own.
    """

    input: NDArray[Any] | None = None
    output: NDArray[Any] | None = None


@dataclass
class Forward:
    """A forward pass: the calls in order, with their arrays."""

    calls: list[Call] = field(default_factory=list)
    arrays: Arrays = field(default_factory=dict)
    sites: list[RandomSite] = field(default_factory=list)
    force: dict[str, Forced] = field(default_factory=dict)
    """What is forced in this pass, by the paths of modules and by `nth_call`."""
    """Where the program drew random numbers. What entered a dropout is `<key>.entered` of the arrays."""

    def add(self, call: Call, *, entered: NDArray[Any] | None, left: NDArray[Any]) -> None:
        """Append a call with what left it, and what entered a module."""
        place = len(self.calls)
        self.calls.append(call)
        if entered is not None:
            self.arrays[f"{place}.in"] = entered
        self.arrays[f"{place}.out"] = left

    def replace_last(self, call: Call, *, left: NDArray[Any]) -> None:
        """Let a call be the last one in place of what was, with what left it."""
        self.calls[-1] = call
        self.arrays[f"{len(self.calls) - 1}.out"] = left

    def add_forced(
        self, call: Call, *, entered: NDArray[Any] | None, left: NDArray[Any]
    ) -> NDArray[Any] | None:
        """Append a call as `add` does; return what is forced to leave it, if anything is."""
        forced = self.force.pop(nth_call(len(self.calls)), Forced()).output
        if call.path is not None:
            by_path = self.force.pop(call.path, Forced()).output
            forced = by_path if forced is None else forced
        self.add(call, entered=entered, left=left)
        return forced

    def saw_draws(self, randomness: Randomness) -> None:
        """Take over the sites of the pass, with what entered its dropouts."""
        self.sites = list(randomness.sites)
        self.arrays |= {f"{key}.entered": array for key, array in randomness.entered.items()}


@dataclass
class FreeRun:
    """What a training came to."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    """Each named loss, step by step."""
    weights: Arrays = field(default_factory=dict)
    applied: list[Arrays] = field(default_factory=list)
    """The gradients that reached the optimizers in the first step, by weight, one entry an update."""

    passes: list[Arrays] = field(default_factory=list)
    """What each backward pass of the first step adds to the gradients, by weight, where that was asked."""
    rates: list[float] = field(default_factory=list)
    """The learning rate of each update of an optimizer, in order."""

    def add(self, losses: Mapping[str, float]) -> None:
        """Append the losses of a step."""
        for name, one in losses.items():
            self.losses.setdefault(name, []).append(one)


@dataclass(frozen=True, kw_only=True)
class GivenGradients:
    """Gradients by weight that replace a step's own in its first run, each where there is one in its place.

    So what comes behind them is judged by itself, whatever is wrong before.
    """

    passes: Sequence[Arrays] = ()
    """What each backward pass adds to the gradients."""
    applied: Sequence[Arrays] = ()
    """What reaches the optimizers, update by update."""


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a program is trained."""

    steps: int
    order: NDArray[np.int64] | None = None
    """The rows of the batch that each step takes, (steps, rows); None for all of them in each."""
    seed: int = 0
    """What the masks and the noise are drawn from."""
    common: bool = False
    """Whether rules that differ between the frameworks by design are the same, as for `update`; a batch norm
    then keeps the biased variance of a batch, as in Keras."""
    drops: bool = False
    """Whether dropout drops, as for `forward`."""
    given: GivenGradients | None = None
    """What replaces gradients of the first step; only where it is given backward passes are told."""


@dataclass(frozen=True, kw_only=True)
class WrittenProgram:
    """A program as its user wrote it, to be timed: opened with `AS_WRITTEN`."""

    tensor: Callable[[Any], Any]
    """Makes of an array what the program is fed; a tensor stays as it is."""
    begin: Callable[[], None]
    """Makes ready for a training, before its clock starts."""
    update: Callable[[Mapping[str, Any], Any, Mapping[str, Any]], object] | None
    """Trains on a model's inputs and the targets, or, with a step of the user's own, on the whole batch."""
    infer: Callable[[Mapping[str, Any]], object] | None
    """Runs forward in evaluation mode; None where there are several models."""
    synchronize: Callable[[], None]
    """Waits until the device has done what it was asked."""
    kept: Callable[[], AbstractContextManager[None]]
    """Puts the weights back on exit."""
    reset_device_peak: Callable[[], None]
    device_peak_bytes: Callable[[], int | None]
    environment: Mapping[str, Any]
    """What it runs on: `framework_version`, `versions`, `device`, `threads`, `execution` and `precision`."""


class ImportedProgram(ABC):
    """A user's program on one framework. Not thread-safe."""

    _arrangements: Mapping[str, Arrangement] = {}
    _seed = 0
    _overrides: Mapping[str, Mapping[str, Any]] = {}
    _rates: Sequence[float] = ()
    _loss_factor = 1.0
    _targets: NDArray[Any] | None = None
    _target = "y"
    _more: Mapping[str, NDArray[Any]] = {}

    def arrange(self, arrangements: Mapping[str, Arrangement], *, seed: int = 0) -> None:
        """Give sites of random numbers those of the other program, drawn from this seed, from now on."""
        self._arrangements, self._seed = dict(arrangements), seed

    @abstractmethod
    def divide(self, paths: Sequence[str]) -> None:
        """Take these dense layers alone as three from now on: `PROJECTIONS`, one behind the other."""

    def lay_steps(self, chosen: Mapping[str, str]) -> None:  # noqa: B027 -- most frameworks have no such wrappers
        """Give the layers within these wrappers their steps in another way (see `WHOLE`) from now on.

        `describe` tells the `wrappers` by path, with the ways that each has, of which the first is its own.
        """

    def override(
        self,
        optimizers: Mapping[str, Mapping[str, Any]],
        *,
        rates: Sequence[float] = (),
        loss_factor: float = 1.0,
    ) -> None:
        """Give optimizers that are made from now on these numbers, by the names of `describe`.

        A training's updates have these learning rates then, as far as there are some, and the loss is
        multiplied.
        """
        self._overrides, self._rates, self._loss_factor = optimizers, rates, loss_factor

    def feed(
        self,
        inputs: Arrays,  # noqa: ARG002 -- a host may build its model by it
        targets: NDArray[Any] | None,
        *,
        target: str,
        more: Arrays | None = None,
    ) -> None:
        """Take the batch's targets, and their name in it, for a step of the user's own; build the model.

        `more` are arrays of the batch that the step alone takes.
        """
        self._targets, self._target, self._more = targets, target, more or {}

    def _randomness(self, *, drops: bool, seed: int = 0) -> Randomness:
        """Return the draws of a pass or of a training, with dropout or without."""
        return Randomness(drops=drops, seed=seed or self._seed, arrangements=self._arrangements)

    @property
    @abstractmethod
    def functions(self) -> list[str]:
        """Return which functions the user's file defines."""

    @property
    @abstractmethod
    def lines_of_functions(self) -> dict[str, str]:
        """Return where the user's file defines each of its functions, as `file.py:12`."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what JSON can of `framework`, `version`, `modules`, `optimizers` by name, `functions`, and
        `several`: whether model() gave more than one; `asked` are other precisions that the program sets.
        """

    @property
    @abstractmethod
    def declared_inputs(self) -> dict[str, dict[str, str]]:
        """Return what the user's file says of the batch's arrays, by their names there: the model's `name`
        for one, and the `layout` in which the model takes it.
        """

    @abstractmethod
    def arguments(self) -> list[str] | None:
        """Return the names of the model's inputs in order; None where it takes any, or one mapping."""

    @abstractmethod
    def input_spec(self) -> dict[str, Any] | None:
        """Return `shape` (without the samples) and `below` (a limit of whole numbers, or None) if known."""

    @abstractmethod
    def weights(self) -> Arrays:
        """Return every weight in the common layout, float64 or as it is."""

    @abstractmethod
    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        """Replace the weights that are given. Raises ProgramError for a name that no weight has."""

    @abstractmethod
    def restore(self, file: Path) -> None:
        """Replace the weights by those of a checkpoint. Raises ProgramError where they do not fit."""

    @abstractmethod
    def save(self, file: Path) -> None:
        """Write the weights as a checkpoint, whose kind its ending says. Raises ProgramError."""

    def export(self, file: Path, shape: tuple[int, ...]) -> None:  # noqa: ARG002
        """Write the model as ONNX by the framework's own exporter; `shape` is that of a sample.

        Raises ProgramError where it cannot, and ImportError where the exporter is not installed.
        """
        raise ProgramError("this framework has no exporter to ONNX")

    @abstractmethod
    def change(self, path: str, setting: str, value: Any) -> bool:
        """Change a setting of a live module; return whether that is possible."""

    @abstractmethod
    def forward(
        self, inputs: Arrays, *, force: Mapping[str, Forced], training: bool = False, drops: bool = False
    ) -> Forward:
        """Run in evaluation or training mode and record the calls and the random draws.

        `force` goes by module path, for its first call. Dropout leaves everything as it is unless `drops`.
        """

    @abstractmethod
    def loss(self, outputs: Arrays, targets: NDArray[Any] | None) -> tuple[float, Arrays]:
        """Return the user's loss of these outputs, and its gradient with respect to each."""

    @abstractmethod
    def gradients(self, inputs: Arrays, cotangents: Arrays, *, force: Mapping[str, Forced]) -> Arrays:
        """Return the gradients of the sum of outputs times cotangents, by trainable weight."""

    @abstractmethod
    def update(self, gradients: Arrays, factors: Sequence[float], *, common: bool) -> Arrays:
        """Let a new optimizer step once with each factor of the gradients; return the weights.

        The old weights are put back. Weights without a gradient have zeros. With `common`, rules that differ
        between the frameworks by design are the same: Adam's epsilon is added before the bias correction, as
        in Keras; of a bias that PyTorch keeps as a sum of two the second one rests; and a row of an embedding
        has one gradient, where Keras's optimizers square that of each occurrence by itself.
        """

    @abstractmethod
    def train(self, inputs: Arrays, targets: NDArray[Any] | None, plan: TrainingPlan) -> FreeRun:
        """Train freely, in training mode, by the user's step where there is one; put the old weights back."""

    @abstractmethod
    def as_written(self) -> WrittenProgram:
        """Return the program as it is timed. It was opened with `AS_WRITTEN`."""

    def batches(
        self, inputs: Arrays, targets: NDArray[Any] | None, plan: TrainingPlan
    ) -> Iterator[tuple[Arrays, NDArray[Any] | None]]:
        """Yield the inputs and the targets of each step, and have those of a step of the user's own ready."""
        whole = self._targets, self._more
        try:
            for step in range(plan.steps):
                if plan.order is None:
                    yield inputs, targets
                    continue
                rows = plan.order[step]
                self._targets = None if whole[0] is None else _rows(whole[0], rows)
                self._more = {name: _rows(array, rows) for name, array in whole[1].items()}
                taken = {name: _rows(array, rows) for name, array in inputs.items()}
                yield taken, None if targets is None else _rows(targets, rows)
        finally:
            self._targets, self._more = whole

    def as_trained(self) -> AbstractContextManager[None]:
        """Let the program make the floats that it asks for while this is entered, as when it loads data."""
        return nullcontext()

    @abstractmethod
    def data(self, split: str, *, seed: int) -> Any:
        """Return what the user's data(split) does, with every generator begun at the seed."""

    @abstractmethod
    def evaluate(self, *, training: bool) -> Any:
        """Return what the user's evaluate(model) does, begun in training mode or in evaluation mode."""


def _rows(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return rows of an array; a number by itself is of every row."""
    found: NDArray[Any] = array[rows] if array.ndim else array
    return found


def refuse_unknown(weights: Mapping[str, Any], there: Mapping[str, Any]) -> None:
    """Raise ProgramError where a weight is to be replaced that the program does not have."""
    unknown = [name for name in weights if name not in there]
    if unknown:
        several = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        listed = ", ".join(list(there)[:5])
        raise ProgramError(f"the program has no weight {unknown[0]}{several}; its first ones are {listed}")
