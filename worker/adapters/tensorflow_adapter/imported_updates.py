"""What a user's Keras optimizers say of themselves, and what reaches them when they step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from likewise.worker.port.contract import STEPS_OF_SCHEDULE, Arrays, as_json, rounded_rate

_NUMBERS = (
    *("learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho", "centered", "amsgrad"),
    *("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "initial_accumulator_value", "use_ema"),
)


def settings_of(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return an optimizer's type and numbers, and whether it steps by a rule of the user's."""
    stock: Any = next(one for one in type(optimizer).__mro__ if one.__module__.startswith("keras."))
    own = type(optimizer).update_step is not stock.update_step
    found: dict[str, Any] = {"type": stock.__name__.lower(), **({"own_rule": True} if own else {})}
    for name in _NUMBERS:
        value = getattr(optimizer, name, None)
        if value is not None:
            found[name] = rounded_rate(value) if name == "learning_rate" else as_json(value)
    rates = optimizer._learning_rate
    if isinstance(rates, keras.optimizers.schedules.LearningRateSchedule):
        found["schedule"] = [rounded_rate(rates(step)) for step in range(STEPS_OF_SCHEDULE)]
    if found.get("weight_decay"):
        found["decay"] = "decoupled"
    return found


def of_weights(
    optimizer: keras.optimizers.Optimizer, named: Iterable[tuple[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return the decay of each weight, where some are excluded from it."""
    if not optimizer.weight_decay:
        return {}
    found = {
        name: float(optimizer.weight_decay) if optimizer._use_weight_decay(variable) else 0.0
        for name, variable in named
        if getattr(variable, "trainable", False)
    }
    return {"weight_decay": found} if len(set(found.values())) > 1 else {}


class Steps:
    """Watches every optimizer's step: what gradients reach it."""

    def __init__(
        self,
        by_name: Callable[[Sequence[Any], Sequence[Any]], Arrays],
        *,
        common: bool = False,
        rests: bool = False,
    ) -> None:
        """Take what names gradients of variables; `common` is as in `worker.port.contract`. No weight moves
        if it `rests`.
        """
        self.applied: list[Arrays] = []
        """The gradients that reached the optimizers, step by step, while `keeps` is set."""
        self.rates: list[float] = []
        """The learning rate of each step."""
        self.keeps = True
        self._by_name = by_name
        self._common = common
        self._rests = rests

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the steps of all optimizers while it is entered."""
        owner = keras.optimizers.Optimizer
        original = owner._backend_update_step  # once gradients are clipped and weights decayed

        def update(optimizer: Any, grads: Any, trainable_variables: Any, learning_rate: Any) -> Any:
            gradients = list(grads)
            if self._common:  # one gradient for each row of an embedding
                gradients = [tf.convert_to_tensor(one) for one in gradients]
            if self._rests:
                return None
            self.rates.append(rounded_rate(learning_rate))
            if self.keeps:
                self.applied.append(self._by_name(gradients, list(trainable_variables)))
            return original(optimizer, gradients, trainable_variables, learning_rate)

        owner._backend_update_step = update
        try:
            yield
        finally:
            owner._backend_update_step = original
