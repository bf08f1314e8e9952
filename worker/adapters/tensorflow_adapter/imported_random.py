"""Keras's and TensorFlow's dropout and random draws, replaced by NumPy's numbers while a user's program runs.

Keras's layers and `keras.random` draw by the functions of the backend, which are replaced there: dropout of
every kind (also in recurrent cells and in attention), uniform and normal numbers; and so are `tf.nn.dropout`
and the draws of `tf.random`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, RANDOM, keras
from likewise.worker.port.randomness import DROPOUT, NORMAL, UNIFORM, UNPAIRED, Randomness
from likewise.worker.port.userfile import users_line

_SELU = -1.7580993408473766
"""What alpha dropout puts in place of a number: minus SELU's alpha times its scale."""


@contextmanager
def drawing_from(randomness: Randomness, *, training: bool = True) -> Iterator[None]:
    """While it is entered, the program's random numbers are those of a `Randomness`.

    A recurrent layer of Keras 3 draws its masks in evaluation, too, and leaves them alone: it does not here.
    """
    of_keras = {
        "dropout": _dropout(randomness),
        f"{_BEGIN}uniform": _uniform(randomness, "uniform"),
        f"{_BEGIN}normal": _normal(randomness, "normal"),
    }
    replaced: Mapping[tuple[Any, str], Callable[..., Any]] = {
        **{(RANDOM, name): _of_method(one) if IS_2 else one for name, one in of_keras.items()},
        (keras.layers.AlphaDropout, "call"): _alpha_dropout(randomness),
        (tf.nn, "dropout"): _dropout(randomness),
        (tf.random, "uniform"): _uniform(randomness, "uniform"),
        (tf.random, "normal"): _normal(randomness, "normal"),
        **({} if training or IS_2 else {(keras.layers.RNN, _MASKS_AHEAD): lambda *_: None}),
        **{
            (owner, name): _unpaired(randomness, name, getattr(owner, name))
            for owner, names in (
                (RANDOM, _UNPAIRED_IN_KERAS),
                (tf.random, _UNPAIRED_IN_TENSORFLOW),
            )
            for name in names
        },
    }
    originals = {place: getattr(*place) for place in replaced}
    for (owner, name), function in replaced.items():
        setattr(owner, name, function)
    try:
        yield
    finally:
        for (owner, name), function in originals.items():
            setattr(owner, name, function)


_BEGIN = "random_" if IS_2 else ""
_MASKS_AHEAD = "_maybe_config_dropout_masks"
_UNPAIRED_IN_KERAS = (
    "truncated_normal",
    *(() if IS_2 else ("randint", "categorical", "shuffle", "gamma", "binomial", "beta")),
)
_UNPAIRED_IN_TENSORFLOW = ("truncated_normal", "categorical", "shuffle", "gamma", "poisson")


def _of_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as the method of a generator, which has nothing to say here."""
    return lambda _, *arguments, **named: function(*arguments, **named)


def _noise(values: Any, given: Sequence[Any] | None) -> list[int]:
    """Return the shape of a dropout's numbers."""
    whole = [int(one) for one in values.shape]
    if given is None:
        return whole
    return [size if one is None else int(one) for one, size in zip(given, whole, strict=True)]


def _kept(
    randomness: Randomness, values: Any, rate: float, noise: Sequence[int], name: str
) -> tuple[float, Any] | None:
    """Record a dropout; return its rate with ones where it keeps a number, or None where dropout is off."""
    site = randomness.site(DROPOUT, name, noise, rate=float(rate), line=users_line())
    randomness.entered[site.key] = np.array(values)
    if not randomness.drops:
        return None
    return randomness.rate(site), tf.constant(randomness.kept(site), values.dtype)


def _dropout(randomness: Randomness) -> Callable[..., Any]:
    def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None, name: Any = None) -> Any:  # noqa: ARG001 -- the signature that callers know
        values = tf.convert_to_tensor(inputs)
        if rate == 0:
            return values
        found = _kept(randomness, values, rate, _noise(values, noise_shape), "dropout")
        if found is None:
            return values
        rate, kept = found
        return values * kept / (1 - rate) if rate < 1 else tf.zeros_like(values)

    return dropout


def _alpha_dropout(randomness: Randomness) -> Callable[..., Any]:
    def call(layer: Any, inputs: Any, training: bool | None = False) -> Any:
        if not training or layer.rate == 0:
            return inputs
        found = _kept(randomness, inputs, layer.rate, _noise(inputs, layer.noise_shape), "alpha_dropout")
        if found is None:
            return inputs
        rate, kept = found
        scale = ((1 - rate) * (1 + rate * _SELU**2)) ** -0.5
        return scale * (inputs * kept + _SELU * (1 - kept)) - scale * _SELU * rate

    return call


def _uniform(randomness: Randomness, name: str) -> Callable[..., Any]:
    def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, **_: Any) -> Any:
        site = randomness.site(UNIFORM, name, np.array(shape).tolist(), line=users_line())
        low, high = 0.0 if minval is None else minval, 1.0 if maxval is None else maxval
        return tf.cast(low + randomness.numbers(site) * (high - low), dtype or keras.backend.floatx())

    return uniform


def _normal(randomness: Randomness, name: str) -> Callable[..., Any]:
    def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, **_: Any) -> Any:
        site = randomness.site(NORMAL, name, np.array(shape).tolist(), line=users_line())
        chosen = dtype or keras.backend.floatx()
        return tf.cast(mean, chosen) + tf.cast(randomness.numbers(site), chosen) * tf.cast(stddev, chosen)

    return normal


def _unpaired(randomness: Randomness, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        randomness.site(UNPAIRED, name, getattr(result, "shape", ()), line=users_line())
        return result

    return drawn
