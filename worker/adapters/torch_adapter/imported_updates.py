"""What a user's PyTorch optimizers say of themselves, and what reaches them when they step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from likewise.worker.adapters.torch_adapter.imported_weights import Held
from likewise.worker.port.contract import STEPS_OF_SCHEDULE, Arrays
from likewise.worker.port.plain import as_json, rounded_rate

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


def settings_of(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimizer's type and numbers, by Keras's names; and whether its rule is the user's own."""
    stock: Any = next(one for one in type(optimizer).__mro__ if one.__module__.startswith("torch."))
    name = stock.__name__
    hooks = [*optimizer._optimizer_step_pre_hooks, *optimizer._optimizer_step_post_hooks]
    own = type(optimizer).step.__qualname__ != stock.step.__qualname__ or bool(hooks)
    found: dict[str, Any] = {"type": _OPTIMIZERS.get(name, name), **({"own_rule": True} if own else {})}
    first = optimizer.param_groups[0]
    for own, common in _NUMBERS.items():
        if own in first:
            found[common] = as_json(first[own])
    if "betas" in first:
        found["beta_1"], found["beta_2"] = map(float, first["betas"])
    if "weight_decay" in found:  # groups without it may come first
        found["weight_decay"] = max(float(one["weight_decay"]) for one in optimizer.param_groups)
    if found.get("weight_decay"):
        found["decay"] = "decoupled" if name == "AdamW" else "coupled"
    return found


def give(optimizer: torch.optim.Optimizer, numbers: Mapping[str, Any]) -> None:
    """Give an optimizer that has not stepped other numbers, by Keras's names; what it has not is left out."""
    for group in optimizer.param_groups:
        for name, value in numbers.items():
            for own in [own for own, common in _NUMBERS.items() if common == name and own in group]:
                group[own] = value
        if "betas" in group:
            first, second = group["betas"]
            group["betas"] = (numbers.get("beta_1", first), numbers.get("beta_2", second))


def of_weights(
    optimizer: torch.optim.Optimizer, held: Iterable[tuple[str, Held]]
) -> dict[str, dict[str, Any]]:
    """Return the learning rate and the decay of each weight, where groups of weights have their own."""
    groups, named = optimizer.param_groups, list(held)
    found: dict[str, dict[str, Any]] = {}
    for own, common in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
        if len({group.get(own) for group in groups}) < 2:
            continue
        by_tensor = {id(one): float(group[own]) for group in groups for one in group["params"]}
        found[common] = {
            name: by_tensor[id(one.tensors[0][1])]
            for name, one in named
            if id(one.tensors[0][1]) in by_tensor
        }
    return found


def unwrapped(given: Any) -> tuple[Any, list[LRScheduler]]:
    """Return what optimizer(model) did without the schedulers that came beside one optimizer."""
    several = list(given) if isinstance(given, tuple | list) else [given]
    schedulers = [one for one in several if isinstance(one, LRScheduler)]
    rest = [one for one in several if not isinstance(one, LRScheduler)]
    if not schedulers or len(rest) > 1:
        return given, []
    return rest[0] if rest else schedulers[0].optimizer, schedulers


def schedule_of(optimizer: torch.optim.Optimizer, schedulers: Sequence[LRScheduler]) -> list[float]:
    """Return the learning rates of the first updates; those of a scheduler that is stepped after each."""
    rates = []
    for _ in range(STEPS_OF_SCHEDULE if schedulers else 0):
        rates.append(rounded_rate(optimizer.param_groups[0]["lr"]))
        optimizer._opt_called = True  # or a scheduler would warn that it steps first
        for one in schedulers:
            one.step()
    return rates


class Steps:
    """Watches every optimizer's step: what gradients reach it, and by whose rules it moves weights."""

    def __init__(
        self,
        held: Callable[[], Iterable[tuple[str, Held]]],
        *,
        common: bool = False,
        rests: bool = False,
        given: Sequence[Arrays] = (),
        rates: Sequence[float] = (),
    ) -> None:
        """Take the weights by name; `common` is as in `worker.port.contract`.

        No weight moves if it `rests`. What is `given` replaces the gradients, update by update, and `rates`
        the learning rates.
        """
        self.applied: list[Arrays] = []
        """The gradients that reached the optimizers, step by step, while `keeps` is set."""
        self.rates: list[float] = []
        """The learning rate of each step."""
        self.keeps = True
        self.running = False
        self._held = held
        self._common = common
        self._rests = rests
        self._given = given
        self._replacing_rates = rates
        self._own_rates: list[float] = []
        self._counts: dict[int, int] = {}
        self._rates: dict[int, float] = {}
        self._own: list[dict[str, Any]] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the steps of all optimizers while it is entered."""
        before = register_optimizer_step_pre_hook(self._before)
        after = register_optimizer_step_post_hook(self._after)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _before(self, optimizer: Any, _: Any, __: Any) -> None:
        self.running = True
        with torch._C.DisableTorchFunction():
            if self.keeps:
                self._keep(optimizer)
            self._replace_rates(optimizer)
            self.rates.append(rounded_rate(optimizer.param_groups[0].get("lr", 0.0)))
            if self._common:
                self._follow_keras(optimizer)
            if self._rests:
                optimizer.zero_grad(set_to_none=True)

    def _replace_rates(self, optimizer: Any) -> None:
        """Let an update have another learning rate; that of each group in its proportion to the first."""
        groups, place = optimizer.param_groups, len(self.rates)
        self._own_rates = [group.get("lr", 0.0) for group in groups]
        if place < len(self._replacing_rates):
            first = self._own_rates[0]
            for group, own in zip(groups, self._own_rates, strict=True):
                group["lr"] = self._replacing_rates[place] * (own / first if first else 1.0)

    def _keep(self, optimizer: Any) -> None:
        own = {id(one) for group in optimizer.param_groups for one in group["params"]}
        self.applied.append(
            {
                name: gradient
                for name, held in self._held()
                if id(held.tensors[0][1]) in own and (gradient := held.read_gradient()) is not None
            }
        )
        place = len(self.applied) - 1
        replacing = self._given[place] if place < len(self._given) else {}
        for name, held in self._held():
            if name in self.applied[-1] and name in replacing:
                held.write_gradient(replacing[name])

    def _follow_keras(self, optimizer: Any) -> None:
        """Let the second biases rest, and give an Adam and a momentum the numbers with which they move
        weights as Keras's do.
        """
        for _, held in self._held():
            for _, second in held.tensors[1:]:
                second.grad = None
        step = self._counts[id(optimizer)] = self._counts.get(id(optimizer), 0) + 1
        groups = optimizer.param_groups
        self._own = [{name: one[name] for name in ("lr", "eps") if name in one} for one in groups]
        for group in groups:
            if "betas" in group and not group.get("amsgrad"):
                _follow_keras(group, step)
            if group.get("momentum") and isinstance(optimizer, torch.optim.SGD):
                self._keep_pace(optimizer, group)

    def _keep_pace(self, optimizer: torch.optim.SGD, group: dict[str, Any]) -> None:
        """Scale momentum by the change of the learning rate: Keras's holds steps, PyTorch's gradients."""
        for one in group["params"]:
            buffer = optimizer.state.get(one, {}).get("momentum_buffer")
            if buffer is not None and group["lr"]:
                buffer.mul_(self._rates.get(id(one), group["lr"]) / group["lr"])
            self._rates[id(one)] = group["lr"]

    def _after(self, optimizer: Any, _: Any, __: Any) -> None:
        self.running = False
        if self._common:
            for group, numbers in zip(optimizer.param_groups, self._own, strict=True):
                group.update(numbers)
        if self._replacing_rates:  # a scheduler goes on with its own
            for group, own in zip(optimizer.param_groups, self._own_rates, strict=True):
                group["lr"] = own


def _follow_keras(group: dict[str, Any], step: int) -> None:
    """Give an Adam of PyTorch, for one step, the numbers with which it moves weights as Keras's does.

    Keras adds epsilon to the root of the second moment before its bias is corrected, PyTorch after:
    divided by √(1 − β₂ᵗ), PyTorch's is Keras's. And Keras corrects both biases with powers of the betas as
    float32 has them.
    """
    first, second = group["betas"]

    def correction(beta_1: float, beta_2: float) -> float:
        return float((1 - beta_2**step) ** 0.5 / (1 - beta_1**step))

    rounded = (float(np.float32(first)), float(np.float32(second)))
    group["lr"] *= correction(*rounded) / correction(first, second)
    group["eps"] /= (1 - second**step) ** 0.5


@contextmanager
def biased_variances(model: torch.nn.Module, *, wanted: bool) -> Iterator[None]:
    """Let batch norms keep the biased variance of a batch, as Keras's do, where that is wanted."""
    norms = [
        one for one in model.modules() if wanted and isinstance(one, torch.nn.modules.batchnorm._BatchNorm)
    ]
    before: dict[int, torch.Tensor] = {}

    def keep(norm: torch.nn.Module, _: Any) -> None:
        if norm.training and isinstance(norm.running_var, torch.Tensor):
            before[id(norm)] = norm.running_var.clone()

    def correct(norm: Any, inputs: Any, _: Any) -> None:
        old = before.pop(id(norm), None)
        if old is None or not isinstance(norm.momentum, float):  # a momentum of None is a plain average
            return
        samples = inputs[0].numel() // inputs[0].shape[1]
        kept = (1 - norm.momentum) * old
        biased = kept + (norm.running_var - kept) * (samples - 1) / samples
        norm.running_var.data.copy_(biased)  # the way back is not to see it

    hooks = [one.register_forward_pre_hook(keep) for one in norms]
    hooks += [one.register_forward_hook(correct) for one in norms]
    try:
        yield
    finally:
        for one in hooks:
            one.remove()
