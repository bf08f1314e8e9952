"""Hosts a user's PyTorch program (see `worker.port.contract`)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from likewise.worker.adapters.torch_adapter.imported_modules import CHANGEABLE, Held, Known, known
from likewise.worker.adapters.torch_adapter.imported_random import NumpyDraws
from likewise.worker.adapters.torch_adapter.imported_record import Recorder
from likewise.worker.port.contract import (
    OUTPUTS,
    Arrays,
    Call,
    Forced,
    Forward,
    ImportedProgram,
    Module,
    ProgramError,
    as_json,
)
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import UserFile, hide_packages

_OPTIMIZERS = {
    "SGD": "sgd",
    "Adam": "adam",
    "AdamW": "adamw",
    "RMSprop": "rmsprop",
    "Adagrad": "adagrad",
    "Adadelta": "adadelta",
    "NAdam": "nadam",
    "Adamax": "adamax",
}
_NUMBERS = {
    "lr": "learning_rate",
    "eps": "epsilon",
    "momentum": "momentum",
    "dampening": "dampening",
    "nesterov": "nesterov",
    "weight_decay": "weight_decay",
    "amsgrad": "amsgrad",
    "rho": "rho",
    "alpha": "rho",
    "centered": "centered",
    "initial_accumulator_value": "initial_accumulator_value",
}


def open_program(file: Path, maker: str | None, *, precision: str) -> ImportedProgram:
    """Import the user's file and make its model. Raises ProgramError."""
    hide_packages("torch")
    return TorchProgram(UserFile(file, maker), precision=precision)


class TorchProgram(ImportedProgram):
    """A model of `torch.nn`, with what else the user's file defines."""

    def __init__(self, file: UserFile, *, precision: str) -> None:
        """Make the model. Raises ProgramError where the user's code cannot."""
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        self._file = file
        self._dtype = torch.float64 if precision == "float64" else torch.float32
        model = file.call("model")
        if not isinstance(model, nn.Module):
            raise ProgramError(f"model() returned a {type(model).__name__}; it must return a torch.nn.Module")
        self._model = model.to(self._dtype).eval()
        self._known: dict[str, Known] = {}
        inside: list[str] = []
        for path, module in self._model.named_modules():
            if any(path.startswith(f"{one}.") for one in inside):
                continue
            if (found := known(module)) is not None:
                self._known[path] = found
                if found.kind != "own":
                    inside.append(path)

    def describe(self) -> dict[str, Any]:
        modules = dict(self._model.named_modules())
        return {
            "framework": "torch",
            "version": torch.__version__.partition("+")[0],
            "modules": [
                Module(
                    path=path,
                    kind=one.kind,
                    type=type(modules[path]).__name__,
                    settings=as_json_map(one.settings),
                    slots={name: held.slot() for name, held in one.held.items()},
                )
                for path, one in self._known.items()
            ],
            "optimizer": self._optimizer_settings(),
            "functions": self._file.functions,
        }

    def _optimizer_settings(self) -> dict[str, Any] | None:
        if "optimizer" not in self._file.functions:
            return None
        groups = self._new_optimizer().param_groups
        optimizer = self._new_optimizer()
        name = type(optimizer).__name__
        found: dict[str, Any] = {"type": _OPTIMIZERS.get(name, name)}
        first = groups[0]
        for own, common in _NUMBERS.items():
            if own in first:
                found[common] = as_json(first[own])
        if "betas" in first:
            found["beta_1"], found["beta_2"] = map(float, first["betas"])
        if found.get("weight_decay"):
            found["decay"] = "decoupled" if name == "AdamW" else "coupled"
        if len(groups) > 1:
            found["groups"] = len(groups)
        return found

    def _new_optimizer(self) -> Any:
        optimizer = self._file.call("optimizer", self._model)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ProgramError(
                f"optimizer(model) returned a {type(optimizer).__name__}; it must return a "
                "torch.optim.Optimizer"
            )
        return optimizer

    def input_spec(self) -> dict[str, Any] | None:
        return None

    def _held(self) -> Iterator[tuple[str, Held]]:
        for path, one in self._known.items():
            for name, held in one.held.items():
                yield f"{path}.{name}", held

    def weights(self) -> Arrays:
        return {name: held.read() for name, held in self._held()}

    def load(self, weights: Mapping[str, NDArray[Any]]) -> None:
        for name, held in self._held():
            if name in weights:
                held.write(weights[name])

    def change(self, path: str, setting: str, value: Any) -> bool:
        module = dict(self._model.named_modules()).get(path)
        if module is None or setting not in CHANGEABLE:
            return False
        own, turn = CHANGEABLE[setting]
        if not hasattr(module, own):
            return False
        setattr(module, own, turn(value))  # type: ignore[no-untyped-call]
        return True

    def forward(
        self, inputs: Arrays, *, force: Mapping[str, Forced], training: bool = False, drops: bool = False
    ) -> Forward:
        with self._kept(), torch.no_grad():
            self._model.train(training)
            randomness = self._randomness(drops=drops)
            found, _ = self._run(inputs, force, randomness)
        found.saw_draws(randomness)
        return found

    def _run(
        self, inputs: Arrays, force: Mapping[str, Forced], randomness: Randomness
    ) -> tuple[Forward, dict[str, torch.Tensor]]:
        recorder = Recorder(self._model, self._known, force, randomness)
        given = {name: self._tensor(array) for name, array in inputs.items()}
        with NumpyDraws(randomness), recorder.watching():
            outputs = self._outputs(given)
        for name, output in outputs.items():
            recorder.found.add(
                Call(path=None, kind=f"{OUTPUTS}{'.' if name else ''}{name}", line=None),
                entered=None,
                left=_array(output),
            )
        return recorder.found, outputs

    def _outputs(self, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if len(given) == 1:
            result = self._file.guarded("the forward pass", self._model, *given.values())
        else:
            result = self._file.guarded("the forward pass", self._model, **given)
        return _named(result)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor:
        tensor = torch.as_tensor(np.array(array, order="C"))
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
        whole = next(iter(outputs.values())) if len(outputs) == 1 else outputs
        value = self._file.call("loss", whole, None if targets is None else self._tensor(targets))
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            shape = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise ProgramError(
                f"loss(outputs, targets) returned {shape}; it must return one number as a tensor"
            )
        return value.reshape(())

    def gradients(self, inputs: Arrays, cotangents: Arrays, *, force: Mapping[str, Forced]) -> Arrays:
        self._model.eval()
        self._model.zero_grad(set_to_none=True)
        _, outputs = self._run(inputs, force, self._randomness(drops=False))
        total = sum((output * self._tensor(cotangents[name])).sum() for name, output in outputs.items())
        if isinstance(total, torch.Tensor) and total.requires_grad:
            total.backward()
        found = {
            name: gradient
            for name, held in self._held()
            if held.trainable and (gradient := held.read_gradient()) is not None
        }
        self._model.zero_grad(set_to_none=True)
        return found

    def update(self, gradients: Sequence[Arrays], *, common: bool) -> Arrays:
        with self._kept():
            optimizer = self._new_optimizer()
            for step, by_name in enumerate(gradients, start=1):
                for name, held in self._held():
                    if held.trainable:
                        held.write_gradient(by_name[name] if name in by_name else np.zeros_like(held.read()))
                self._step(optimizer, step if common else None)
            return self.weights()

    def _step(self, optimizer: Any, common: int | None) -> None:
        """Step once; `common` is the step's number where it follows Keras's rules."""
        if common is None:
            self._file.guarded("the optimizer's step", optimizer.step)
            return
        for _, held in self._held():
            for _, second in held.tensors[1:]:
                second.grad = None
        own = [
            {name: group[name] for name in ("lr", "eps") if name in group} for group in optimizer.param_groups
        ]
        for group in optimizer.param_groups:
            if "betas" in group and not group.get("amsgrad"):
                _follow_keras(group, common)
        self._file.guarded("the optimizer's step", optimizer.step)
        for group, numbers in zip(optimizer.param_groups, own, strict=True):
            group.update(numbers)

    def train(
        self, inputs: Arrays, targets: NDArray[Any] | None, *, steps: int, common: bool, drops: bool
    ) -> tuple[list[float], Arrays]:
        randomness = self._randomness(drops=drops)
        with self._kept(), NumpyDraws(randomness):
            optimizer = self._new_optimizer()
            self._model.train()
            losses = []
            given = {name: self._tensor(array) for name, array in inputs.items()}
            for step in range(1, steps + 1):
                optimizer.zero_grad()
                loss = self._loss(self._outputs(given), targets)
                loss.backward()
                self._step(optimizer, step if common else None)
                losses.append(float(loss.detach()))
                randomness.next_step()
            self._model.eval()
            return losses, self.weights()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Put the weights and buffers back at the end."""
        kept = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        try:
            yield
        finally:
            self._model.load_state_dict(kept)
            self._model.zero_grad(set_to_none=True)
            self._model.eval()


def _follow_keras(group: dict[str, Any], step: int) -> None:
    """Give an Adam of PyTorch, for one step, the numbers with which it moves weights as Keras's does.

    Keras adds epsilon to the root of the second moment before its bias is corrected, PyTorch after:
    divided by
    √(1 − β₂ᵗ), PyTorch's is Keras's. And Keras corrects both biases with powers of the betas as float32
    has them.
    """
    first, second = group["betas"]

    def correction(beta_1: float, beta_2: float) -> float:
        return float((1 - beta_2**step) ** 0.5 / (1 - beta_1**step))

    rounded = (float(np.float32(first)), float(np.float32(second)))
    group["lr"] *= correction(*rounded) / correction(first, second)
    group["eps"] /= (1 - second**step) ** 0.5


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
