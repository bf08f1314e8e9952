"""An update recorded as the operations that it ran, and replayed without modules or autograd.

Most of a small update's time goes into finding out what to compute: the modules' calls, the autograd graph,
the walk back through it. All of that is the same in every update. So one update is run as usual under
a recorder, which sees each operation as it reaches the kernels, forward, backward and the optimizer's;
what it saw is written out as one flat function. A replay calls the same kernels in the same order on the
same memory: its numbers are those of the plain loop, bit for bit.

Weights, slots, buffers and samples must stay where they are (change in place), and everything that differs
from update to update must be a tensor among the update's inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Tensor = Any

_aten = torch.ops.aten
_NOT_REPLAYABLE = {
    _aten._local_scalar_dense.default: "reads a value back",
    _aten.mkldnn_rnn_layer.default: "looks whether autograd is on",
}
_SHAPES_ALONE = {
    _aten.ones_like.default,
    _aten.zeros_like.default,
    _aten.new_zeros.default,
    _aten.new_ones.default,
}
"""What these give depends on shapes alone, which stay."""


class NotReplayableError(Exception):
    """The update did what a replay could not repeat; it says what."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation as it ran."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any

    @property
    def changed(self) -> list[Tensor]:
        """The tensors that it changes in place."""
        places, names = _written_by(self.operation)
        positional = [self.arguments[place] for place in places if place < len(self.arguments)]
        return [*_tensors(positional), *_tensors([self.options.get(name) for name in names])]


@cache
def _written_by(operation: Any) -> tuple[list[int], list[str]]:
    """Which of its arguments an operation changes in place: their places and their names."""
    written = [(i, each.name) for i, each in enumerate(operation._schema.arguments) if each.is_write]
    return [place for place, _ in written], [name for _, name in written]


class Recorder(TorchDispatchMode):  # type: ignore[misc]
    """While it is entered: every operation, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and keep what it did."""
        options = kwargs or {}
        result = func(*args, **options)
        self.calls.append(Call(func, args, options, result))
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No need to keep the compiler out, which would first have to be loaded: a second."""
        return False


def replay(calls: Sequence[Call], *, inputs: Sequence[Tensor], result: Tensor) -> Callable[..., Tensor]:
    """The calls as a function of what took the place of `inputs`, returning what took that of `result`.

    Raises NotReplayableError.
    """
    writer = _Writer(calls, inputs)
    for call in calls:
        writer.write(call)
    return writer.function(result)


def recorded(
    update: Callable[..., Tensor], inputs: Sequence[Tensor]
) -> tuple[Tensor, Callable[..., Tensor] | None]:
    """Run an update once: its result, and its replay, or None where it cannot be replayed."""
    with Recorder() as recorder:
        result = update(*inputs)
    try:
        return result, replay(recorder.calls, inputs=inputs, result=result)
    except NotReplayableError:
        return result, None


class _Writer:
    """Writes calls as the lines of a Python function; it keeps every recorded tensor alive meanwhile."""

    def __init__(self, calls: Sequence[Call], inputs: Sequence[Tensor]) -> None:
        self._parameters = [f"input_{place}" for place in range(len(inputs))]
        self._names = {id(tensor): name for tensor, name in zip(inputs, self._parameters, strict=True)}
        self._changes = set(self._parameters)
        """The names whose tensors are others in each update."""
        self._changed_memory = {_memory(tensor) for call in calls for tensor in call.changed}
        self._passing_memory = {_memory(tensor) for tensor in inputs}
        self._constants: dict[str, Any] = {}
        self._lines: list[str] = []

    def write(self, call: Call) -> None:
        """One call: a line, or nothing where its result is the same in each update."""
        results = _tensors(call.result)
        if call.operation in _NOT_REPLAYABLE:
            raise NotReplayableError(f"{call.operation} {_NOT_REPLAYABLE[call.operation]}")
        if call.operation is _aten.detach.default:
            self._names[id(call.result)] = self._written(call.arguments[0])
            return
        given = _tensors([call.arguments, *call.options.values()])
        passing = any(self._written(tensor) in self._changes for tensor in given)
        if not passing and call.operation.is_view:
            return  # of memory that stays: the recorded view itself serves
        if call.operation in _SHAPES_ALONE and not self._changed_memory & set(map(_memory, results)):
            return
        self._line(call, results)

    def function(self, result: Tensor) -> Callable[..., Tensor]:
        """All that was written, as a function of the inputs."""
        head = f"def update({', '.join(self._parameters)}):"
        text = "\n    ".join([head, *self._lines, f"return {self._written(result)}"])
        space = dict(self._constants)
        exec(compile(text, "<recorded update>", "exec"), space)  # noqa: S102 - of our own writing, names alone
        function: Callable[..., Tensor] = space["update"]
        return function

    def _line(self, call: Call, results: Sequence[Tensor]) -> None:
        operation = self._constant(call.operation._op)
        arguments = [self._written(value) for value in call.arguments]
        arguments += [f"{name}={self._written(value)}" for name, value in call.options.items()]
        line = f"{operation}({', '.join(arguments)})"
        changed = {id(tensor) for tensor in call.changed}
        if changed or not results:
            if any(id(tensor) not in changed for tensor in results):
                raise NotReplayableError(f"{call.operation} changes one tensor and makes another")
        else:
            line = f"{', '.join(self._new_names(call.result))} = {line}"
            self._passing_memory |= set(map(_memory, results))
        self._lines.append(line)

    def _new_names(self, result: Any) -> list[str]:
        """A name for each tensor of an operation's result, or for what stands in one's place."""
        parts = result if isinstance(result, tuple | list) else [result]
        names: list[str] = []
        for part in parts:
            name = f"value_{len(self._lines)}_{len(names)}"
            if isinstance(part, torch.Tensor):
                self._names[id(part)] = name
                self._changes.add(name)
            names.append(name)
        return names if isinstance(result, torch.Tensor) else [*names, ""]

    def _written(self, value: Any) -> str:
        """An argument as text."""
        if isinstance(value, torch.Tensor):
            return self._names.get(id(value)) or self._staying(value)
        if isinstance(value, tuple | list):
            return f"[{', '.join(self._written(part) for part in value)}]"
        return repr(value) if value is None or type(value) in {bool, int} else self._constant(value)

    def _staying(self, tensor: Tensor) -> str:
        """The name of a tensor that no call made: it stays from update to update."""
        if _memory(tensor) in self._passing_memory:
            raise NotReplayableError("a tensor came from another by a way that the recorder does not see")
        name = self._names[id(tensor)] = self._constant(tensor)
        return name

    def _constant(self, value: Any) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants[name] = value
        return name


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among an operation's arguments or results, which may be lists."""
    if isinstance(values, tuple | list):
        return [tensor for value in values for tensor in _tensors(value)]
    return [values] if isinstance(values, torch.Tensor) else []


def _memory(tensor: Tensor) -> int:
    """Which memory it shows: equal for a tensor and its views."""
    return int(tensor.untyped_storage().data_ptr())
