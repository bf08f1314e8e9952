"""Hosts a user's PyTorch program (see `worker.port.contract`).

Longer than 400 lines: it is one object, which answers each question of the contract.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from likewise.worker.adapters.torch_adapter.imported_files import export, restore, save
from likewise.worker.adapters.torch_adapter.imported_modules import CHANGEABLE, is_conv1d, pad
from likewise.worker.adapters.torch_adapter.imported_parts import parts
from likewise.worker.adapters.torch_adapter.imported_passes import BackwardPasses
from likewise.worker.adapters.torch_adapter.imported_precision import (
    KeptPrecision,
    as_trained,
    keep_precision,
)
from likewise.worker.adapters.torch_adapter.imported_random import NumpyDraws
from likewise.worker.adapters.torch_adapter.imported_record import Recorder
from likewise.worker.adapters.torch_adapter.imported_timing import clocks_of, device_of
from likewise.worker.adapters.torch_adapter.imported_updates import (
    Steps,
    biased_variances,
    give,
    of_weights,
    schedule_of,
    settings_of,
    unwrapped,
)
from likewise.worker.adapters.torch_adapter.imported_weights import Buffers, Held, Known
from likewise.worker.port.contract import (
    AS_WRITTEN,
    OUTPUTS,
    OWN,
    Arrays,
    Call,
    Forced,
    Forward,
    FreeRun,
    ImportedProgram,
    Module,
    ProgramError,
    TrainingPlan,
    WrittenProgram,
    refuse_unknown,
)
from likewise.worker.port.plain import as_json, as_returned, named, positional
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import UserFile, hide_packages, noting_lines


def open_program(file: Path, maker: str | None, *, precision: str, seed: int) -> ImportedProgram:
    """Import the user's file and make its model, begun at a seed. Raises ProgramError."""
    hide_packages("torch")
    kept = keep_precision(precision)  # before the user's code makes a tensor
    return TorchProgram(UserFile(file, maker), precision=precision, seed=seed, kept=kept)


class TorchProgram(ImportedProgram):
    """A model of `torch.nn`, with what else the user's file defines."""

    def __init__(
        self, file: UserFile, *, precision: str, seed: int, kept: KeptPrecision | None = None
    ) -> None:
        """Make the model; `kept` notes the floats that the file asks for. Raises ProgramError where the
        user's code cannot.
        """
        _seed(seed)
        self._kept_precision = kept
        self._file = file
        self._dtype = torch.float64 if precision == "float64" else torch.float32
        self._lines: dict[int, str | None] = {}
        with noting_lines(nn.Module, self._lines, is_conv1d):
            self._given = file.call("model")
        self._model = _whole(self._given).eval()
        floats = [one for one in self._model.parameters() if one.is_floating_point()]
        self._device = floats[0].device if floats else torch.device("cpu")
        if precision != AS_WRITTEN:
            self._model = self._model.to(self._dtype)
        elif floats:
            self._dtype = floats[0].dtype
        self._divided: frozenset[str] = frozenset()
        self._look()

    def divide(self, paths: Sequence[str]) -> None:
        self._divided = frozenset(paths)
        self._look()

    def _look(self) -> None:
        """List the modules that are known."""
        self._buffers = Buffers(self._model)
        self._known: dict[str, Known] = {}
        self._owners: dict[str, str] = {}
        inside: list[str] = []
        tied: set[int] = set()
        for path, module in self._model.named_modules():
            if any(path.startswith(f"{one}.") for one in inside):
                continue
            found = {
                end: rest
                for end, one in parts(module, divided=path in self._divided).items()
                if (rest := one.without(tied))
            }
            tied |= {id(tensor) for one in found.values() for tensor in one.tensors}
            self._known |= {path + end: one for end, one in found.items()}
            self._owners |= {path + end: path for end in found}
            if any(one.kind != OWN for one in found.values()):
                inside.append(path)

    @property
    def functions(self) -> list[str]:
        return self._file.functions

    @property
    def lines_of_functions(self) -> dict[str, str]:
        return self._file.lines

    def describe(self) -> dict[str, Any]:
        modules = dict(self._model.named_modules())
        return {
            "framework": "torch",
            "version": torch.__version__.partition("+")[0],
            "modules": [
                Module(
                    path=path,
                    kind=one.kind,
                    type=type(modules[self._owners[path]]).__name__,
                    settings=as_json_map(one.settings),
                    slots={name: held.slot() for name, held in one.held.items()},
                    line=self._lines.get(id(modules[self._owners[path]])),
                    owner=self._owners[path],
                )
                for path, one in self._known.items()
            ],
            "optimizers": self._optimizers(),
            "several": not isinstance(self._given, nn.Module),
            "functions": self.functions,
            "asked": [] if self._kept_precision is None else sorted(self._kept_precision.asked),
        }

    def _optimizers(self) -> dict[str, Any] | None:
        """Return the settings of each optimizer by name; None where the file defines none."""
        if "optimizer" not in self._file.functions:
            return None
        lines: dict[int, str | None] = {}
        with noting_lines(torch.optim.Optimizer, lines):
            made, schedulers = self._new_optimizer()
        return {
            name: {
                **settings_of(one),
                "line": lines.get(id(one)),
                "of_weights": of_weights(one, self._held()),
                **({"schedule": schedule_of(one, schedulers)} if schedulers else {}),
            }
            for name, one in named(made, torch.optim.Optimizer).items()
        }

    def _new_optimizer(self) -> tuple[Any, list[LRScheduler]]:
        """Return what optimizer(model) does: an optimizer, with schedulers of its learning rate, or whatever
        step() takes.
        """
        given = self._file.call("optimizer", self._given)
        optimizer, schedulers = unwrapped(given)
        for name, one in named(optimizer, torch.optim.Optimizer).items():
            give(one, self._overrides.get(name, {}))
        if "step" not in self._file.functions and not isinstance(optimizer, torch.optim.Optimizer):
            raise ProgramError(
                f"optimizer(model) returned a {type(optimizer).__name__}; it must return a "
                "torch.optim.Optimizer, also with a scheduler, or define step(model, optimizer, batch), "
                "which takes anything"
            )
        return (given, []) if "step" in self._file.functions else (optimizer, schedulers)

    @property
    def declared_inputs(self) -> dict[str, dict[str, str]]:
        return self._file.inputs

    def arguments(self) -> list[str] | None:
        if not isinstance(self._given, nn.Module):
            return None
        return positional(self._given.forward)

    def input_spec(self) -> dict[str, Any] | None:
        return None

    def _held(self) -> Iterator[tuple[str, Held]]:
        for path, one in self._known.items():
            for name, held in one.held.items():
                yield f"{path}.{name}", held

    def weights(self) -> Arrays:
        self._buffers.settle()
        return {name: held.read() for name, held in self._held()}

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        held = dict(self._held())
        refuse_unknown(weights, held)
        for name, one in weights.items():
            held[name].write(one)

    def restore(self, file: Path) -> None:
        restore(self._model, file)

    def save(self, file: Path) -> None:
        save(self._model, file)

    def export(self, file: Path, shape: tuple[int, ...]) -> None:
        export(self._model, file, shape)

    def change(self, path: str, setting: str, value: Any) -> bool:
        module = dict(self._model.named_modules()).get(path)
        if module is not None and setting == "padding":
            return pad(module, value)
        if module is None or setting not in CHANGEABLE:
            return False
        own, turn = CHANGEABLE[setting]
        if not hasattr(module, own):
            return False
        setattr(module, own, turn(value))  # type: ignore[no-untyped-call]
        return True

    def feed(
        self, inputs: Arrays, targets: NDArray[Any] | None, *, target: str, more: Arrays | None = None
    ) -> None:
        super().feed(inputs, targets, target=target, more=more)
        lazy = nn.modules.lazy.LazyModuleMixin
        if any(isinstance(one, lazy) and one.has_uninitialized_params() for one in self._model.modules()):
            self.forward(inputs, force={})
            self._look()

    def forward(
        self, inputs: Arrays, *, force: Mapping[str, Forced], training: bool = False, drops: bool = False
    ) -> Forward:
        stepping = not isinstance(self._given, nn.Module)
        kept = self._kept(buffers_alone=not stepping)
        with kept, torch.set_grad_enabled(stepping):
            self._model.train(training or stepping)
            randomness = self._randomness(drops=drops)
            found, _ = self._run(inputs, force, randomness)
        found.saw_draws(randomness)
        return found

    def _run(
        self, inputs: Arrays, force: Mapping[str, Forced], randomness: Randomness
    ) -> tuple[Forward, dict[str, torch.Tensor]]:
        steps = Steps(self._held, rests=True)
        recorder = Recorder(self._model, self._known, force, randomness, steps)
        given = {name: self._tensor(array) for name, array in inputs.items()}
        with NumpyDraws(randomness), steps.watching(), recorder.watching():
            if isinstance(self._given, nn.Module):
                outputs = self._outputs(given)
            else:
                outputs = self._step(self._new_optimizer()[0], given)
        for name, output in outputs.items():
            recorder.found.add(
                Call(path=None, kind=f"{OUTPUTS}{'.' if name else ''}{name}", line=None),
                entered=None,
                left=_array(output),
            )
        return recorder.found, outputs

    def _outputs(self, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        names, values = list(given), list(given.values())
        if len(given) == 1:
            return _named(self._file.guarded("the forward pass", self._given, *values))
        taken = inspect.signature(self._given.forward).parameters
        if all(name in taken for name in names):
            return _named(self._file.guarded("the forward pass", self._given, **given))
        if len(taken) == 1:
            return _named(self._file.guarded("the forward pass", self._given, dict(given)))
        return _named(self._file.guarded("the forward pass", self._given, *values))

    def _step(self, optimizer: Any, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run the user's step on the batch; return its losses by name."""
        batch = {**given, **{name: self._tensor(array) for name, array in self._more.items()}}
        if self._targets is not None:
            batch[self._target] = self._tensor(self._targets)
        return self._losses(self._file.call("step", self._given, optimizer, batch))

    def _losses(self, result: Any) -> dict[str, torch.Tensor]:
        named = result if isinstance(result, Mapping) else {"loss": result}
        try:
            return {
                str(name): torch.as_tensor(one, dtype=self._dtype).detach().reshape(1)
                for name, one in named.items()
            }
        except (TypeError, ValueError, RuntimeError):
            raise ProgramError(
                f"step(model, optimizer, batch) returned a {type(result).__name__}; it must return a loss, "
                "or losses by name, each one number"
            ) from None

    def _tensor(self, array: NDArray[Any] | torch.Tensor) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array.to(self._device)
        tensor = torch.as_tensor(np.array(array, order="C")).to(self._device)
        if tensor.dtype == torch.bool:
            return tensor
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor.long()

    def loss(self, outputs: Arrays, targets: NDArray[Any] | None) -> tuple[float, Arrays]:
        given = {name: self._tensor(array).requires_grad_() for name, array in outputs.items()}
        with NumpyDraws(self._randomness(drops=False)):
            value = self._loss(given, targets)
        found = torch.autograd.grad(value, list(given.values()), allow_unused=True)
        return float(value.detach()), {
            name: np.zeros_like(outputs[name]) if one is None else _array(one)
            for name, one in zip(given, found, strict=True)
        }

    def _loss(self, outputs: dict[str, torch.Tensor], targets: NDArray[Any] | None) -> torch.Tensor:
        value = self._file.call(
            "loss", as_returned(outputs), None if targets is None else self._tensor(targets)
        )
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ProgramError(
                f"loss(outputs, targets) returned {shape}; it must return one number as a tensor"
            )
        whole = value.reshape(())
        return whole if self._loss_factor == 1.0 else whole * self._loss_factor

    def gradients(self, inputs: Arrays, cotangents: Arrays, *, force: Mapping[str, Forced]) -> Arrays:
        self._model.eval().zero_grad(set_to_none=True)
        _, outputs = self._run(inputs, force, self._randomness(drops=False))
        total = sum((output * self._tensor(cotangents[name])).sum() for name, output in outputs.items())
        if isinstance(total, torch.Tensor) and total.requires_grad:
            total.backward()
        read = {name: held.read_gradient() for name, held in self._held() if held.trainable}
        found = {name: gradient for name, gradient in read.items() if gradient is not None}
        self._model.zero_grad(set_to_none=True)
        return found

    def update(self, gradients: Arrays, factors: Sequence[float], *, common: bool) -> Arrays:
        with self._kept(), Steps(self._held, common=common).watching():
            optimizer, schedulers = self._new_optimizer()
            for factor in factors:
                for name, held in self._held():
                    if held.trainable:
                        given = gradients[name] if name in gradients else np.zeros_like(held.read())
                        held.write_gradient(given, factor)
                self._apply(optimizer, schedulers)
            return self.weights()

    def _apply(self, optimizer: Any, schedulers: Sequence[LRScheduler]) -> None:
        """Step, and change the learning rate for the next step."""
        self._file.guarded("the optimizer's step", optimizer.step)
        for one in schedulers:
            self._file.guarded("the scheduler's step", one.step)

    def train(self, inputs: Arrays, targets: NDArray[Any] | None, plan: TrainingPlan) -> FreeRun:
        replacing = () if plan.given is None else plan.given.applied
        applying = Steps(self._held, common=plan.common, given=replacing, rates=self._rates)
        trained = FreeRun()
        passes = BackwardPasses(self._held, plan.given)
        randomness = self._randomness(drops=plan.drops, seed=plan.seed)
        norms = biased_variances(self._model, wanted=plan.common)
        with self._kept(), NumpyDraws(randomness), applying.watching(), passes.watching(), norms:
            optimizer, schedulers = self._new_optimizer()
            self._model.train()
            for taken, expected in self.batches(inputs, targets, plan):
                given = {name: self._tensor(array) for name, array in taken.items()}
                if "step" in self._file.functions:
                    losses = self._step(optimizer, given)
                else:
                    optimizer.zero_grad()
                    loss = self._loss(self._outputs(given), expected)
                    loss.backward()
                    self._apply(optimizer, schedulers)
                    losses = {"loss": loss.detach()}
                trained.add({name: float(one) for name, one in losses.items()})
                applying.keeps = passes.keeps = False
                randomness.next_step()
            trained.weights, trained.applied, trained.rates = self.weights(), applying.applied, applying.rates
            trained.passes = passes.seen
        return trained

    def as_written(self) -> WrittenProgram:
        made: list[Any] = []

        def begin() -> None:
            made[:] = self._new_optimizer()
            self._model.train()

        def update(inputs: Mapping[str, Any], targets: Any, whole: Mapping[str, Any]) -> None:
            optimizer, schedulers = made
            if self._has("step"):
                self._file.call("step", self._given, optimizer, dict(whole))
                return
            optimizer.zero_grad()
            self._loss(self._outputs(inputs), targets).backward()
            self._apply(optimizer, schedulers)

        def infer(inputs: Mapping[str, Any]) -> None:
            self._model.eval()
            with torch.inference_mode():
                self._outputs(inputs)

        trains = self._has("step") or self._has("loss", "optimizer")
        return WrittenProgram(
            tensor=self._tensor,
            begin=begin if trains else lambda: None,
            update=update if trains else None,
            infer=infer if isinstance(self._given, nn.Module) else None,
            kept=self._kept,
            environment={
                "framework_version": torch.__version__.partition("+")[0],
                "versions": {},
                "precision": str(self._dtype).removeprefix("torch."),
                "execution": "its own step" if self._has("step") else "its own loss and optimizer",
                **device_of(self._device),
            },
            **clocks_of(self._device),
        )

    def _has(self, *functions: str) -> bool:
        return set(functions) <= set(self._file.functions)

    def as_trained(self) -> AbstractContextManager[None]:
        return as_trained()

    def data(self, split: str, *, seed: int) -> Any:
        _seed(seed)
        return self._file.call("data", split)

    def evaluate(self, *, training: bool) -> Any:
        with self._kept():
            self._model.train(training)
            return self._file.call("evaluate", self._given)

    @contextmanager
    def _kept(self, *, buffers_alone: bool = False) -> Iterator[None]:
        """Put the weights and buffers back at the end; a forward pass changes buffers alone."""
        state = dict(self._model.named_buffers()) if buffers_alone else self._model.state_dict()
        kept = {name: tensor.detach().clone() for name, tensor in state.items()}
        try:
            yield
        finally:
            self._buffers.settle()
            with torch.no_grad():
                for name, tensor in state.items():
                    tensor.copy_(kept[name])
            self._model.zero_grad(set_to_none=True)
            self._model.eval()


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _whole(given: Any) -> nn.Module:
    """Return one module of what model() returned: a module, or several by name or in order."""
    if isinstance(given, nn.Module):
        return given
    named = dict(enumerate(given)) if isinstance(given, tuple | list) else given
    if isinstance(named, Mapping) and named and all(isinstance(one, nn.Module) for one in named.values()):
        return nn.ModuleDict({str(name): one for name, one in named.items()})
    raise ProgramError(
        f"model() returned a {type(given).__name__}; it must return a torch.nn.Module, or several by name"
    )


def _named(result: Any) -> dict[str, torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return {"": result}
    if isinstance(result, Mapping):
        return {str(name): one for name, one in result.items() if isinstance(one, torch.Tensor)}
    if isinstance(result, tuple | list):
        return {str(place): one for place, one in enumerate(result) if isinstance(one, torch.Tensor)}
    raise ProgramError(f"the model returned a {type(result).__name__}; it must return tensors")


def as_json_map(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON has them."""
    return {name: as_json(value) for name, value in settings.items()}


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().cpu().numpy())
