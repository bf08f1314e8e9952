"""Records the calls of a user's Keras program, and puts other tensors in place of what passes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from types import FunctionType
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.worker.adapters.tensorflow_adapter.imported_keras import CALLED, IS_2, OPS, children
from likewise.worker.adapters.tensorflow_adapter.imported_modules import Known
from likewise.worker.adapters.tensorflow_adapter.imported_operators import OperatorCalls
from likewise.worker.adapters.tensorflow_adapter.imported_parts import (
    apply_depthwise,
    apply_pointwise,
    parts,
    third_of,
)
from likewise.worker.adapters.tensorflow_adapter.imported_plain import PlainModel
from likewise.worker.adapters.tensorflow_adapter.imported_plain_layers import LearnedLayers, Variables
from likewise.worker.adapters.tensorflow_adapter.imported_steps import replaced_call
from likewise.worker.port.contract import OWN, PROJECTIONS, Call, Forced, Forward
from likewise.worker.port.plain import without_ones
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import users_line

_SILENT = {"input_layer", "cast", "identity", "convert_to_tensor", "shape"}


class Watched(Protocol):
    """What is recorded of: the known layers by path, their paths, and the lines where they are applied."""

    known: dict[str, Known]
    paths: dict[int, str]
    lines: dict[int, str | None]


class Recorder:
    """It records the calls of known layers and of other operations, and forces what it is told."""

    def __init__(self, program: Watched, force: Mapping[str, Forced], randomness: Randomness) -> None:
        self.found = Forward(force=dict(force))
        self._randomness = randomness
        randomness.calls = self.found.calls
        self._table = program.known
        self._paths = program.paths
        self._lines = program.lines
        self._inside = 0
        self._plain: LearnedLayers | None = None

    def wrapped(self, original: Any) -> Any:
        """Return a `__call__` of layers and operations that records what it does."""

        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            path = self._paths.get(id(layer))
            if self._inside or not arguments or (path in self._table and self._table[path].kind == OWN):
                return original(layer, *arguments, **named)
            if path in self._table:
                return self._known_call(path, layer, original, arguments, named)
            if path is not None and f"{path}.{PROJECTIONS[0]}" in self._table:
                return self._divided_call(path, layer, original, arguments[0])
            if path is not None and f"{path}.pointwise" in self._table:
                return self._separable_call(path, layer, arguments[0])
            if path is not None or isinstance(layer, PlainModel) or children(layer):
                return original(layer, *arguments, **named)
            self._inside += 1
            try:
                output = original(layer, *arguments, **named)
            finally:
                self._inside -= 1
            line = users_line() or self._lines.get(id(layer))
            return self._saw(_kind(layer), line, output)

        return call

    @contextmanager
    def watching_layers(self, layers: Iterable[Any]) -> Iterator[None]:
        """Record known layers whose `call` is run by another one, past their `__call__`."""
        with ExitStack() as stack:
            for layer in {id(one): one for one in layers if not isinstance(one, Variables)}.values():
                stack.enter_context(replaced_call(layer, self._run_by_another(layer, layer.call)))
            yield

    def _run_by_another(self, layer: Any, own: Callable[..., Any]) -> Callable[..., Any]:
        seen = self.wrapped(lambda _, *arguments, **named: own(*arguments, **named))
        return lambda *arguments, **named: seen(layer, *arguments, **named)

    def watching_operators(self) -> AbstractContextManager[None]:
        """Record what the program computes by TensorFlow's own operations, outside of every layer."""

        def add(kind: str, line: str, output: Any) -> bool:
            self.found.add(Call(path=None, kind=kind, line=line), entered=None, left=np.array(output))
            return True

        def replace(kind: str, line: str, output: Any) -> None:
            """Let the last call be one that goes on: of it only the last output counts."""
            self.found.replace_last(Call(path=None, kind=kind, line=line), left=np.array(output))

        return OperatorCalls(rests=self._rests, add=add, replace=replace).watching()

    def _rests(self) -> bool:
        """Return whether a layer is at work, of which the operations are no calls of their own."""
        return self._inside > 0 or (self._plain is not None and self._plain.rests)

    def watching_plain(self, models: Iterable[Any]) -> AbstractContextManager[None]:
        """Record the layers of programs without Keras."""
        groups = {
            self._paths.get(id(one), ""): one
            for model in models
            if isinstance(model, PlainModel)
            for one in model.groups.values()
        }
        if not groups:
            return nullcontext()
        self._plain = LearnedLayers(groups, self._part)
        return self._plain.watching()

    @contextmanager
    def watching_functions(self) -> Iterator[None]:
        """Record the functions of `keras.ops`, which do not go through a layer when they are called
        eagerly.
        """
        of_keras = {} if OPS is None else vars(OPS)
        names = [name for name, one in of_keras.items() if isinstance(one, FunctionType) and name[0] != "_"]
        originals = {name: getattr(OPS, name) for name in names}
        for name, original in originals.items():
            setattr(OPS, name, self._watched(name, original))
        try:
            yield
        finally:
            for name, original in originals.items():
                setattr(OPS, name, original)

    def _watched(self, name: str, original: Any) -> Any:
        def function(*arguments: Any, **named: Any) -> Any:
            self._inside += 1
            try:
                output = original(*arguments, **named)
            finally:
                self._inside -= 1
            return output if self._inside else self._saw(name, users_line(), output)

        return function

    def _known_call(
        self, path: str, layer: Any, original: Any, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> Any:
        one = self._table[path]
        line = users_line() or self._lines.get(id(layer))

        def apply(first: Any, left: Any) -> Any:
            if one.activation is None:
                return left(original(layer, first, *arguments[1:], **named))
            activation = layer.activation
            layer.activation = lambda values: self._activated(one, line, activation, left(values))
            try:
                return original(layer, first, *arguments[1:], **named)
            finally:
                layer.activation = activation

        return self._part(path, line, arguments[0], apply)

    def _divided_call(self, path: str, layer: Any, original: Any, first: Any) -> Any:
        """Apply a dense layer that is a query, a key and a value, each third by itself."""
        line = users_line() or self._lines.get(id(layer))

        def third(place: int) -> Any:
            def apply(inputs: Any, left: Any) -> Any:
                return left(original(layer, inputs)[..., third_of(layer, place)])

            return self._part(f"{path}.{PROJECTIONS[place]}", line, first, apply)

        return tf.concat([third(place) for place in range(len(PROJECTIONS))], axis=-1)

    def _separable_call(self, path: str, layer: Any, first: Any) -> Any:
        """Apply both parts of a separable convolution, one after the other."""
        line = users_line() or self._lines.get(id(layer))
        last = self._table[f"{path}.pointwise"]

        def pointwise(inputs: Any, left: Any) -> Any:
            values = left(apply_pointwise(layer, inputs))
            return (
                values if last.activation is None else self._activated(last, line, layer.activation, values)
            )

        between = self._part(
            f"{path}.depthwise", line, first, lambda inputs, left: left(apply_depthwise(layer, inputs))
        )
        return self._part(f"{path}.pointwise", line, between, pointwise)

    def _part(self, path: str, line: str | None, first: Any, apply: Callable[[Any, Any], Any]) -> Any:
        """Record what enters and leaves a known layer, or a part of one, and force what it is told.

        `apply` gets what enters, and a function for what leaves before an activation.
        """
        one = self._table[path]
        forced_input = self.found.force.get(path, Forced()).input
        entered = one.enters(np.array(first))
        if forced_input is not None:
            first = _through(first, one.back(forced_input, first.shape))

        def left(output: Any) -> Any:
            head = output[0] if isinstance(output, list | tuple) else output
            call = Call(path=path, kind=one.kind, line=line)
            forced = self.found.add_forced(call, entered=entered, left=one.leaves(np.array(head)))
            if forced is None:
                return output
            replaced = _through(head, one.back(forced, head.shape))
            return type(output)([replaced, *output[1:]]) if isinstance(output, list | tuple) else replaced

        self._inside += 1
        self._randomness.path = path
        try:
            return apply(first, left)
        finally:
            self._inside -= 1
            self._randomness.path = None

    def _activated(self, one: Known, line: str | None, activation: Any, values: Any) -> Any:
        output = activation(values)
        call = Call(path=None, kind=one.activation or "", line=line)
        forced = self.found.add_forced(call, entered=None, left=one.leaves(np.array(output)))
        return output if forced is None else _through(output, one.back(forced, output.shape))

    def _saw(self, kind: str, line: str | None, output: Any) -> Any:
        """Record another call; return what leaves it, which may be forced."""
        if kind in _SILENT or not hasattr(output, "dtype") or "bool" in str(output.dtype):
            return output
        if len(output.shape) == 0:
            return output
        call = Call(path=None, kind=kind, line=line)
        forced = self.found.add_forced(call, entered=None, left=np.array(output))
        return output if forced is None else _through(output, forced)


def _kind(layer: Any) -> str:
    """Return what a layer does: its class, or the function of TensorFlow that Keras 2 has made one of."""
    function = getattr(layer, "symbol", None) if IS_2 else None
    return _snake(type(layer).__name__) if function is None else function.rpartition(".")[2]


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()


@contextmanager
def patched(wrapper: Any) -> Iterator[None]:
    """Wrap the calls of all layers and operations."""
    originals = [(owner, owner.__call__) for owner in CALLED]
    for owner, original in originals:
        owner.__call__ = wrapper(original)
    try:
        yield
    finally:
        for owner, original in originals:
            owner.__call__ = original


def walk(layer: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the layers by path; a known one is not looked into."""
    named = layer.parts if isinstance(layer, PlainModel) else [(one.name, one) for one in children(layer)]
    for name, child in named:
        path = f"{prefix}{name}"
        yield path, child
        if isinstance(child, Variables):
            continue
        found = parts(child) if child.built else {}
        if all(one.kind == OWN for one in found.values()):
            yield from walk(child, f"{path}.")


def _through(own: Any, forced: NDArray[Any]) -> Any:
    """Return the forced numbers, through which gradients reach what was there; of another shape, what was."""
    if without_ones(own.shape) != without_ones(forced.shape):
        return own
    forced = forced.reshape(tuple(own.shape))
    target = tf.constant(forced, own.dtype)
    if own.dtype.is_integer:
        return target

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def replaced(_: Any) -> tuple[Any, Callable[[Any], Any]]:
        return tf.identity(target), lambda gradient: gradient

    return replaced(own)
