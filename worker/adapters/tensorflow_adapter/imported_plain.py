"""A `tf.Module`, or a function that uses variables, hosted as if it were a Keras model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any

import tensorflow as tf

from likewise.worker.adapters.tensorflow_adapter.imported_keras import keras
from likewise.worker.adapters.tensorflow_adapter.imported_plain_layers import LearnedLayers, Variables

MODES = ("training", "is_training", "train")
"""What an argument is called that says whether a program trains."""
_OF_TENSORFLOW = "_self_"
"""What the names of attributes begin with in which TensorFlow keeps a module's parts a second time."""


def is_plain(given: Any) -> bool:
    """Return whether it is a `tf.Module` that can be called, or a function, and nothing of Keras's."""
    if isinstance(given, keras.layers.Layer):
        return False
    return callable(given) and (
        isinstance(given, tf.Module | FunctionType) or hasattr(given, "python_function")
    )


class PlainModel(keras.Model):  # type: ignore[misc]
    """A program without Keras, as a model of Keras's that calls it."""

    def __init__(self, given: Any) -> None:
        super().__init__(name="program")
        self.function = _function_of(given)
        self._groups: list[tuple[str, Any]] | None = None
        self._mode = next((one for one in MODES if one in self.parameters), None)
        self._holder = given

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Return the arguments of the user's function by name."""
        return inspect.signature(self.function).parameters

    def call(self, *arguments: Any, training: bool | None = None, **named: Any) -> Any:
        """Call the program, which is told whether it trains where it asks for that.

        The first call makes the variables that there are not yet, and shows what uses each.
        """
        mode = {} if self._mode is None else {self._mode: bool(training)}
        if self._groups is None:
            self.function(*arguments, **mode, **named)
            self._groups = list(_walked(self._holder, "", set()))
            with LearnedLayers(self.groups).watching():
                self.function(*arguments, **mode, **named)
        return self.function(*arguments, **mode, **named)

    @property
    def parts(self) -> list[tuple[str, Any]]:
        """Return the layers of Keras, and the groups of variables, that the program uses, by path."""
        return list(_walked(self._holder, "", set())) if self._groups is None else self._groups

    @property
    def groups(self) -> dict[str, Variables]:
        """Return the groups of variables by path."""
        return {path: one for path, one in self.parts if isinstance(one, Variables)}

    @property
    def variables(self) -> list[Any]:
        """Return the program's variables, each once."""
        found: list[Any] = []
        for _, one in self.parts:
            found += one.variables if isinstance(one, keras.layers.Layer) else one.held.values()
        return list({id(one): one for one in found}.values())

    @property
    def trainable_variables(self) -> list[Any]:
        """Return the variables that are trained."""
        return [one for one in self.variables if one.trainable]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Return the variables that nothing trains."""
        return [one for one in self.variables if not one.trainable]

    @property
    def holder(self) -> Any:
        """Return the user's module or function."""
        return self._holder


def _walked(owner: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    own: dict[str, Any] = {}
    parts: list[tuple[str, Any]] = []
    for name, one in _members(owner):
        if id(one) in seen or one is owner:
            continue
        seen.add(id(one))
        if isinstance(one, tf.Variable):
            if one.dtype.is_floating:
                own[name] = one
        else:
            parts.append((f"{path}.{name}" if path else name, one))
    groups = _groups(own)
    for name, held in groups.items():
        whole = path if len(groups) == 1 else f"{path}.{name}"
        yield whole.strip(".") or "program", Variables(owner, path or _name_of(owner), held)
    for inner, one in parts:
        if isinstance(one, keras.layers.Layer):
            yield inner, one
        else:
            yield from _walked(one, inner, seen)


def _members(owner: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables, modules and layers that a module or a function has, by attribute."""
    if isinstance(owner, tf.Module):
        given: Mapping[str, Any] = vars(owner)
    else:
        used = inspect.getclosurevars(_function_of(owner))
        given = {**used.nonlocals, **used.globals}
    for name, one in given.items():
        if not name.startswith(_OF_TENSORFLOW):
            yield from _within(name, one)


def _within(name: str, one: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(one, tf.Variable | tf.Module | keras.layers.Layer):
        yield name, one
    elif isinstance(one, Mapping):
        for key, inner in one.items():
            yield from _within(f"{name}.{key}", inner)
    elif isinstance(one, list | tuple):
        for place, inner in enumerate(one):
            yield from _within(f"{name}.{place}", inner)
    elif isinstance(one, FunctionType) and one.__closure__:
        for inner, value in inspect.getclosurevars(one).nonlocals.items():
            yield from _within(f"{name}.{inner}", value)


def _groups(own: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a module's variables in groups: each kernel with the next vector of its width, then the rest."""
    found = {name: {name: one} for name, one in own.items() if len(one.shape) > 1}
    rest: dict[str, Any] = {}
    for name, one in own.items():
        if len(one.shape) > 1:
            continue
        fits = (
            group
            for kernel, group in found.items()
            if len(group) == 1 and own[kernel].shape[-1:] == one.shape
        )
        group = next(fits, None)
        (rest if group is None else group)[name] = one
    if rest:
        found[next(iter(rest))] = rest
    return found


def _name_of(owner: Any) -> str:
    return str(getattr(owner, "__name__", None) or type(owner).__name__)


def _function_of(given: Any) -> Callable[..., Any]:
    """Return the Python function that runs when something is called, out of its `tf.function`."""
    called = given if isinstance(given, FunctionType) or hasattr(given, "python_function") else given.__call__
    found: Callable[..., Any] = getattr(called, "python_function", called)
    return found
