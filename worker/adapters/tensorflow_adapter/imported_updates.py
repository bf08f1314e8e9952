"""What a user's Keras optimizers say of themselves, and what reaches them when they step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, keras
from likewise.worker.port.contract import STEPS_OF_SCHEDULE, Arrays
from likewise.worker.port.plain import as_json, rounded_rate

_NUMBERS = (
    *("learning_rate", "momentum", "nesterov", "beta_1", "beta_2", "epsilon", "rho", "centered", "amsgrad"),
    *("weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "initial_accumulator_value", "use_ema"),
)


def settings_of(optimizer: Any) -> dict[str, Any]:
    """Return an optimizer's type and numbers, and whether it steps by a rule of the user's."""
    stock: Any = next(
        one for one in type(optimizer).__mro__ if one.__module__.startswith(("keras.", "tf_keras."))
    )
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


def give(optimizer: Any, numbers: Mapping[str, Any]) -> None:
    """Give an optimizer that has not stepped other numbers; what it has not is left out."""
    for name, value in numbers.items():
        if name in _NUMBERS and hasattr(optimizer, name):
            setattr(optimizer, name, value)


def of_weights(optimizer: Any, named: Iterable[tuple[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the decay of each weight, where some are excluded from it."""
    if not optimizer.weight_decay:
        return {}
    found = {
        name: float(optimizer.weight_decay) if optimizer._use_weight_decay(variable) else 0.0
        for name, variable in named
        if getattr(variable, "trainable", False)
    }
    return {"weight_decay": found} if len(set(found.values())) > 1 else {}


def with_penalties(settings: dict[str, Any], named: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return an optimizer's settings with what the layers' regularizers are to it, by weight.

    λ·Σw² in the loss adds 2λ·w to the gradient: it is a coupled decay of 2λ.
    """
    found = [(name, *_penalty(variable)) for name, variable in named if getattr(variable, "trainable", False)]
    squares = {name: 2 * square for name, square, _ in found}
    sizes = {name: size for name, _, size in found}
    groups = dict(settings["of_weights"])
    more: dict[str, Any] = {}
    if any(squares.values()) and not settings.get("weight_decay"):
        groups["weight_decay"] = squares
        more = {"weight_decay": max(squares.values()), "decay": "coupled"}
    if any(sizes.values()):
        groups["l1"] = sizes
    return {**settings, **more, "of_weights": groups}


def _penalty(variable: Any) -> tuple[float, float]:
    """Return the factors of the squares and of the sizes of a variable in the loss."""
    given = getattr(variable, "regularizer", None)
    return float(getattr(given, "l2", None) or 0.0), float(getattr(given, "l1", None) or 0.0)


def penalized(variables: Iterable[Any]) -> list[Any]:
    """Return the variables that a regularizer of their layer penalizes."""
    return [one for one in variables if getattr(one, "regularizer", None) is not None]


def penalty_of(variables: Sequence[Any]) -> Any:
    """Return what the regularizers of these variables add to the loss."""
    return tf.add_n([one.regularizer(one) for one in variables])


class Steps:
    """Watches every optimizer's step: what gradients reach it."""

    def __init__(
        self,
        by_name: Callable[[Sequence[Any], Sequence[Any]], Arrays],
        *,
        common: bool = False,
        rests: bool = False,
        replaced: Callable[[int, Sequence[Any], Sequence[Any]], list[Any]] | None = None,
        rates: Sequence[float] = (),
    ) -> None:
        """Take what names gradients of variables; `common` is as in `worker.port.contract`. No weight moves
        if it `rests`. What `replaced` returns of an update's number, its gradients and its variables replaces
        the gradients, and `rates` the learning rates of Keras 3's optimizers.
        """
        self.applied: list[Arrays] = []
        """The gradients that reached the optimizers, step by step, while `keeps` is set."""
        self.rates: list[float] = []
        """The learning rate of each step."""
        self.keeps = True
        self._by_name = by_name
        self._common = common
        self._rests = rests
        self._replaced = replaced
        self._replacing_rates = rates

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the steps of all optimizers while it is entered."""
        owner = keras.optimizers.Optimizer
        name = "_internal_apply_gradients" if IS_2 else "_backend_update_step"
        original = getattr(owner, name)  # once gradients are clipped and weights decayed

        def update(optimizer: Any, grads: Any, trainable_variables: Any, learning_rate: Any) -> Any:
            if len(self.rates) < len(self._replacing_rates):
                learning_rate = tf.cast(self._replacing_rates[len(self.rates)], learning_rate.dtype)
            gradients = self._seen(list(grads), list(trainable_variables), learning_rate)
            return gradients and original(optimizer, gradients, trainable_variables, learning_rate)

        def update_2(optimizer: Any, grads_and_vars: Any) -> Any:
            grads, variables = zip(*grads_and_vars, strict=True)
            gradients = self._seen(list(grads), list(variables), _rate_now(optimizer))
            if gradients is None:
                return optimizer.iterations
            return original(optimizer, list(zip(gradients, variables, strict=True)))

        clip = owner._clip_gradients

        def clipped(optimizer: Any, grads: Any) -> Any:
            """Clip by the norm of whole rows of an embedding."""
            return clip(optimizer, [None if one is None else tf.convert_to_tensor(one) for one in grads])

        setattr(owner, name, update_2 if IS_2 else update)
        if self._common:
            owner._clip_gradients = clipped
        try:
            yield
        finally:
            setattr(owner, name, original)
            owner._clip_gradients = clip

    def _seen(self, gradients: list[Any], variables: list[Any], rate: Any) -> list[Any] | None:
        """Take in the gradients of a step, and return those that it is to go by; None where it rests."""
        if self._common:  # one gradient for each row of an embedding
            gradients = [tf.convert_to_tensor(one) for one in gradients]
        if self._rests:
            return None
        self.rates.append(rounded_rate(rate))
        if self.keeps:
            self.applied.append(self._by_name(gradients, variables))
            if self._replaced is not None:
                return self._replaced(len(self.applied) - 1, gradients, variables)
        return gradients


def _rate_now(optimizer: Any) -> Any:
    """Return the learning rate of an optimizer of Keras 2 at its next step."""
    rate = optimizer._learning_rate
    return rate(optimizer.iterations) if callable(rate) else rate
