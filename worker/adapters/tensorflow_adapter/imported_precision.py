"""Keeps the precision that a hosted Keras program is checked in, whatever it asks for itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import tensorflow as tf  # its keras has names of the same functions

from likewise.worker.adapters.tensorflow_adapter.imported_keras import OPS, SETTERS, keras
from likewise.worker.port.userfile import is_users

_asked: list[str] = []
_MAKERS = (
    "cast",
    "constant",
    "convert_to_tensor",
    "zeros",
    "ones",
    "fill",
    "eye",
    "range",
    "linspace",
    "one_hot",
)
"""Functions of TensorFlow that make a tensor of the float that they are told, or of float32."""
_MAKERS_OF_KERAS = (
    "cast",
    "arange",
    "array",
    "convert_to_tensor",
    "eye",
    "full",
    "linspace",
    "one_hot",
    "ones",
    "zeros",
)
"""The same of Keras 3."""
_MADE_BY: dict[tuple[Any, str], Callable[..., Any]] = {
    **{(tf, name): getattr(tf, name) for name in _MAKERS},
    **({} if OPS is None else {(OPS, name): getattr(OPS, name) for name in _MAKERS_OF_KERAS}),
}
"""The functions themselves, by where they are found."""
_RECORDER = str(Path(__file__).with_name("imported_record.py"))
"""What stands between a program and the functions that it calls while a pass is recorded."""
_NARROW = (tf.float32, tf.float16, tf.bfloat16)


def keep_precision(precision: str) -> list[str]:
    """Let every layer be of this precision; return the list of those that the program asks for from now on.

    What sets a float type or a policy for all layers does nothing but note it.
    """
    for setter in SETTERS:
        setter(precision)
        _replace(setter)
    for (owner, name), function in _MADE_BY.items():
        setattr(owner, name, _widened(function) if precision == "float64" else function)
    _asked.clear()
    return _asked


@contextmanager
def widened_variables(precision: str) -> Iterator[None]:
    """Let the variables that the program's own code makes be of this precision, where they are narrower."""

    def made(maker: Callable[..., Any], **named: Any) -> Any:
        value = named.get("initial_value")
        if precision == "float64" and _is_made_by_users():
            value = value() if callable(value) else value
            value = tf.convert_to_tensor(value, named.get("dtype"))
            if value.dtype in _NARROW:
                named |= {"initial_value": _MADE_BY[tf, "cast"](value, tf.float64), "dtype": tf.float64}
        return maker(**named)

    with tf.variable_creator_scope(made):
        yield


def _is_made_by_users() -> bool:
    """Return whether the user's own code makes a variable, and no layer or optimizer of Keras."""
    caller: FrameType | None = sys._getframe(2)
    while caller is not None:
        folders = Path(caller.f_code.co_filename).parts
        if is_users(caller.f_code.co_filename):
            return True
        if "keras" in folders or "tf_keras" in folders:
            return False
        caller = caller.f_back
    return False


def _note(value: Any) -> None:
    _asked.append(str(getattr(value, "name", value)))


def _replace(setter: Any) -> None:
    """Put the note in place of a function in each of Keras's modules that has it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("keras", keras.__name__):
            continue
        for own, value in list(vars(module).items()):
            if value is setter:
                setattr(module, own, _note)


@contextmanager
def as_trained() -> Iterator[None]:
    """Let the program make the floats that it asks for while this is entered, as when it loads data."""
    _resting.append(True)
    try:
        yield
    finally:
        _resting.clear()


_resting: list[bool] = []


def _widened(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the program float64 where it asks for a narrower float, or for none.

    What a program casts to float32 is of its layers' precision, which is another one here; TensorFlow
    refuses to mix both. What the framework itself calls is left alone.
    """
    of_users: dict[str, bool] = {}

    def made(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        caller: FrameType | None = sys._getframe(1)
        while caller is not None and caller.f_code.co_filename == _RECORDER:
            caller = caller.f_back
        file = "" if caller is None else caller.f_code.co_filename
        if file not in of_users:
            of_users[file] = is_users(file)
        if _resting or not of_users[file] or getattr(result, "dtype", None) not in _NARROW:
            return result
        if not tf.is_tensor(result):  # one that stands for a tensor while a model is made
            return _MADE_BY[OPS, "cast"](result, "float64")
        return _MADE_BY[tf, "cast"](result, tf.float64)

    return made


def widen_normalizations(layers: Iterable[Any], precision: str) -> None:
    """Let layers that normalize or rescale by numbers of the program's own have these as it wrote them.

    Keras makes float32 of them first.
    """
    for layer in layers:
        if isinstance(layer, keras.layers.Rescaling):
            for name in ("scale", "offset"):
                if isinstance(getattr(layer, name), float):
                    setattr(layer, name, np.float64(getattr(layer, name)))
        if not isinstance(layer, keras.layers.Normalization):
            continue
        for name in ("mean", "variance"):
            given, kept = getattr(layer, f"input_{name}", None), getattr(layer, name, None)
            if given is not None and kept is not None:
                numbers = np.asarray(given, np.float64)
                laid = numbers.reshape(kept.shape) if numbers.size == np.prod(kept.shape) else numbers
                setattr(layer, name, tf.constant(np.broadcast_to(laid, kept.shape), precision))
