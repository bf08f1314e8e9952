"""Recorded operations written as a loop in a graph, which PyTorch's interpreter runs without Python.

The graph that comes out would be in Python:

    def updates(count, column_1, column_2, …, staying_1, staying_2, …):
        rows_1, rows_2, … = column_1.unbind(0), column_2.unbind(0), …
        results = []
        for step in range(count):
            input_1, input_2, … = rows_1[step], rows_2[step], …
            …                        # the recorded operations, one node each
            results.append(result)
        return torch.stack(results, 0)

A tensor of the recording either varies, because it is an input or was computed from one, or stays the same
in every update: weights, optimizer state, samples and what depends on shapes alone. Varying tensors become
values of the loop's body; staying ones are handed in from outside, as they are in memory.

The graph is run as it is written: the interpreter's own optimisations, which give other bits, stay off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch

Tensor = Any
Value = Any
"""A value of the graph: what a tensor, number or list is called in it."""

_aten = torch.ops.aten
_TENSOR = torch._C.TensorType.get()
_INTEGER = torch._C.IntType.get()
_FLOAT = torch._C.FloatType.get()
_TENSORS = torch._C.ListType(_TENSOR)
_SHAPES_ALONE = {
    _aten.ones_like.default,
    _aten.zeros_like.default,
    _aten.new_zeros.default,
    _aten.new_ones.default,
}
"""Operations whose results depend on shapes alone, which stay the same."""
REUSED_BYTES = 2**16
"""Results up to this size are written to the memory that they had in the recording: nothing is allocated,
and their views exist already. Larger ones lose more in the cache than that saves (docs/decisions/0024)."""
_MEMORY_FORMATS = {
    torch.contiguous_format: 0,
    torch.preserve_format: 1,
    torch.channels_last: 2,
    torch.channels_last_3d: 3,
}
"""The interpreter's numbers for them (c10/core/MemoryFormat.h)."""


class NotReplayableError(Exception):
    """The update did something that a replay cannot repeat; the message says what."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that an operation declares."""

    name: str
    kind: Any
    """This is its type; for an optional argument, the type without None."""
    default: Any
    changed: bool
    """Whether the operation writes to it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What an operation takes and gives; read once, since reading takes longer than running it."""

    name: str
    """Such as `aten::add`, by which a graph names it."""
    overload: str
    """The name with the overload's: `aten::add.Tensor`."""
    arguments: tuple[Argument, ...]
    results: tuple[Any, ...]
    """The types of the results."""

    @classmethod
    @cache
    def of(cls, operation: Any) -> Schema:
        """Return the schema of an ATen operation."""
        schema = operation._schema
        arguments = tuple(
            Argument(each.name, _not_optional(each.type), each.default_value, each.is_write)
            for each in schema.arguments
        )
        return cls(schema.name, _overload(schema), arguments, tuple(each.type for each in schema.returns))

    @classmethod
    @cache
    def out_variant(cls, operation: Any) -> Schema | None:
        """Return the overload that writes the results to tensors it is given, where CPU kernels have one."""
        wanted = [(each.name, str(each.type)) for each in operation._schema.arguments]
        packet = operation.overloadpacket
        for other in (getattr(packet, name) for name in packet.overloads()):
            schema = other._schema
            given = [(each.name, str(each.type)) for each in schema.arguments if not each.is_out]
            writes = len(given) < len(schema.arguments) and given == wanted
            if writes and torch._C._dispatch_has_kernel_for_dispatch_key(_overload(schema), "CPU"):
                return cls.of(other)
        return None


@dataclass(frozen=True)
class ReplayedCall:
    """One recorded operation: what it was given and what it returned."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any

    @cached_property
    def given(self) -> list[tuple[Argument, Any]]:
        """Return each declared argument with the value that it had."""
        declared = Schema.of(self.operation).arguments
        values = list(self.arguments)
        values += [self.options.get(each.name, each.default) for each in declared[len(values) :]]
        return list(zip(declared, values, strict=True))

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Return the tensors among its arguments."""
        return _tensors([*self.arguments, *self.options.values()])

    @cached_property
    def is_view(self) -> bool:
        """Whether its results share memory with its arguments; some operations do not declare it."""
        memory = set(map(_memory, self.tensors))
        shown = [_memory(tensor) in memory for tensor in _tensors(self.result)]
        return bool(self.operation.is_view or (not self.changed and shown and all(shown)))

    @cached_property
    def has_number_for_tensor(self) -> bool:
        """Whether a number was given where a tensor is declared."""
        return any(each.kind == _TENSOR and isinstance(value, int | float) for each, value in self.given)

    @cached_property
    def changed(self) -> list[Tensor]:
        """Return the tensors that it changes in place."""
        return [tensor for each, value in self.given if each.changed for tensor in _tensors(value)]


@dataclass(frozen=True, slots=True)
class Replay:
    """Runs the recorded update any number of times in one call; it changes what the update changes."""

    loop: Any
    """This is the function of the graph."""
    staying: tuple[Tensor, ...]
    """What it is handed besides the columns."""

    def __call__(self, columns: Sequence[Tensor]) -> Tensor:
        """Run n updates, each on its row of every column (n, ...); their results (n, ...)."""
        # oneDNN's lstm keeps what its gradient needs only where gradients are enabled
        with torch.inference_mode(), torch.enable_grad(), torch.jit.optimized_execution(False):
            return self.loop(len(columns[0]), *columns, *self.staying)


def replay_of(calls: Sequence[ReplayedCall], *, inputs: Sequence[Tensor], result: Tensor) -> Replay:
    """Return the replay of an update that made these calls, in order, to get from `inputs` to `result`.

    Raises NotReplayableError.
    """
    writer = _Writer(calls, inputs, result)
    for call in calls:
        writer.write(call)
    return writer.replay(result)


class _Writer:
    """Writes calls into the body of the loop. Tensors are told apart by `id` and by their memory, so the
    caller keeps every recorded tensor alive meanwhile."""

    def __init__(self, calls: Sequence[ReplayedCall], inputs: Sequence[Tensor], result: Tensor) -> None:
        self._graph = torch._C.Graph()
        self._constants: dict[tuple[type, str], Value] = {}
        count = self._input(_INTEGER)
        columns = [self._input() for _ in inputs]

        self._loop = self._graph.create("prim::Loop", 0)
        self._graph.insertNode(self._loop)
        self._graph.setInsertPoint(self._loop)
        self._loop.addInput(count)
        self._loop.addInput(self._constant(True))
        body = self._loop.addBlock()
        step = body.addInputToBlock().setType(_INTEGER)
        body.registerOutput(self._constant(True))
        self._end = body.returnNode()

        rows = [
            self._before_loop("aten::unbind", [column, self._constant(0)], _TENSORS) for column in columns
        ]
        self._results = self._before_loop("prim::ListConstruct", [], _TENSORS)
        self._values = {
            id(tensor): self._in_loop("aten::__getitem__", [row, step], [_TENSOR]).output()
            for tensor, row in zip(inputs, rows, strict=True)
        }
        """What each recorded tensor is called, by its id."""
        self._varying = set(self._values)
        """The ids of the tensors that vary from update to update."""
        self._varying_memory = {_memory(tensor) for tensor in inputs}
        reshaping = [call for call in calls if torch.Tag.inplace_view in call.operation.tags]
        self._fresh_memory = {_memory(tensor) for call in reshaping for tensor in call.changed}
        """Memory that each update must allocate anew: of its result, and of what it reshapes in place."""
        self._fresh_memory.add(_memory(result))
        self._changed_memory = {_memory(tensor) for call in calls for tensor in call.changed}
        self._seen: dict[Any, Value] = {}
        """Varying tensors by what they show: a second view of the same numbers is the first one again."""
        self._staying: list[Tensor] = []

    def write(self, call: ReplayedCall) -> None:
        """Write one call as a node, or as nothing where its result exists already."""
        results = _tensors(call.result)
        if call.operation is _aten._local_scalar_dense.default:
            raise NotReplayableError("a value is read back")
        if call.is_view and not self._varying & set(map(id, call.tensors)):
            return  # a view of memory that stays: the recorded one serves
        if call.operation in _SHAPES_ALONE and not self._changed_memory & set(map(_memory, results)):
            return
        if call.is_view and all(_shown(tensor) in self._seen for tensor in results):
            self._name(results, [self._seen[_shown(tensor)] for tensor in results])
            return
        out_variant = self._reusing_memory(call, results)
        if out_variant is not None:
            self._run(call, out_variant, [self._tensor(tensor) for tensor in results])
            return
        outputs = self._run(call, Schema.of(call.operation))
        changed = set(map(id, call.changed))
        if not changed:
            self._name_all(call.result, outputs)
        elif any(id(tensor) not in changed for tensor in results):
            raise NotReplayableError(f"{call.operation} changes one tensor and makes another")

    def _reusing_memory(self, call: ReplayedCall, results: Sequence[Tensor]) -> Schema | None:
        """Return the variant of a call that writes its results to the memory they had in the recording.

        None where there is none, or where that memory must not or need not be used again.
        """
        if any(_memory(each) in self._fresh_memory or each.nbytes > REUSED_BYTES for each in results):
            return None
        if any(each.ndim == 0 for each in results):  # mse_loss would resize it on its way, and warn
            return None
        return None if call.has_number_for_tensor else Schema.out_variant(call.operation)

    def _run(self, call: ReplayedCall, schema: Schema, out: Sequence[Value] = ()) -> list[Value]:
        """Write a node that runs the call by this schema; `out` are the tensors that it writes to."""
        arguments = [self._argument(value, each.kind) for each, value in call.given]
        node = self._in_loop(schema.name, [*arguments, *out], schema.results)
        self._check_found(call, schema, node)
        return list(node.outputs())

    def _check_found(self, call: ReplayedCall, schema: Schema, node: Any) -> None:
        """The interpreter looks operations up by name and types: make sure that it finds the recorded one."""
        recorded = schema.overload
        if call.has_number_for_tensor:  # the interpreter takes the operation's overload for numbers
            recorded = recorded.replace(".Tensor", ".Scalar")
        found = node.schema().partition("(")[0]
        if found != recorded:
            raise NotReplayableError(f"the interpreter finds {found or 'nothing'} for {recorded}")

    def replay(self, result: Tensor) -> Replay:
        """Close the loop and make a function of the graph."""
        self._in_loop("aten::append", [self._results, self._tensor(result)], [_TENSORS])
        stacked = self._graph.create("aten::stack", [self._results, self._constant(0)], 1)
        self._graph.registerOutput(stacked.insertAfter(self._loop).output())
        torch._C._jit_pass_dce(self._graph)
        loop = torch._C._create_function_from_graph("updates", self._graph)
        return Replay(loop, tuple(self._staying))

    def _name_all(self, result: Any, outputs: Sequence[Value]) -> None:
        """Name an operation's result, part by part where it is a tuple or a list."""
        parts = list(result) if isinstance(result, tuple | list) else [result]
        if isinstance(result, list) and len(outputs) == 1:
            outputs = list(self._in_loop("prim::ListUnpack", outputs, [_TENSOR] * len(parts)).outputs())
        made = [
            (part, out) for part, out in zip(parts, outputs, strict=True) if isinstance(part, torch.Tensor)
        ]
        self._name([part for part, _ in made], [out for _, out in made])

    def _name(self, tensors: Sequence[Tensor], values: Sequence[Value]) -> None:
        """Remember that these varying tensors have these values in the graph."""
        for tensor, value in zip(tensors, values, strict=True):
            self._values[id(tensor)] = self._seen[_shown(tensor)] = value
            self._varying.add(id(tensor))
            self._varying_memory.add(_memory(tensor))

    def _argument(self, value: Any, kind: Any) -> Value:
        """Return an argument as a value of the graph, of the type that the operation declares."""
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, tuple | list):
            part_kind = _not_optional(kind.getElementType())
            parts = [self._argument(part, part_kind) for part in value]
            return self._in_loop("prim::ListConstruct", parts, [kind]).output()
        if isinstance(value, torch.memory_format):
            value = _MEMORY_FORMATS[value]
        return self._constant(float(value) if kind == _FLOAT and value is not None else value)

    def _tensor(self, tensor: Tensor) -> Value:
        """Return a tensor's value. One that no call made and that is no input must be one that stays."""
        if id(tensor) not in self._values:
            if _memory(tensor) in self._varying_memory:
                raise NotReplayableError("a tensor came from another by a way that the recorder does not see")
            self._values[id(tensor)] = self._input()
            self._staying.append(tensor)
        return self._values[id(tensor)]

    def _input(self, kind: Any = _TENSOR) -> Value:
        return self._graph.addInput().setType(kind)

    def _constant(self, value: Any) -> Value:
        key = (type(value), str(value))
        if key not in self._constants:
            self._constants[key] = self._graph.insertConstant(value)
        return self._constants[key]

    def _before_loop(self, name: str, arguments: Sequence[Value], kind: Any) -> Value:
        """Write one operation before the loop."""
        return self._graph.create(name, arguments, 1).insertBefore(self._loop).output().setType(kind)

    def _in_loop(self, name: str, arguments: Sequence[Value], kinds: Sequence[Any]) -> Any:
        """Write one operation at the end of the loop's body."""
        node = self._graph.create(name, list(arguments), len(kinds)).insertBefore(self._end)
        for output, kind in zip(node.outputs(), kinds, strict=True):
            output.setType(kind)
        return node


def _overload(schema: Any) -> str:
    """Return the full name of an operation: `aten::add.Tensor`."""
    return ".".join(filter(None, (schema.name, schema.overload_name)))


def _not_optional(kind: Any) -> Any:
    """Return the type that an optional type has when it is not None."""
    return kind.getElementType() if kind.kind() == "OptionalType" else kind


def _tensors(values: Any) -> list[Tensor]:
    """Return the tensors among an operation's arguments or results, which may be lists."""
    if isinstance(values, tuple | list):
        return [tensor for value in values for tensor in _tensors(value)]
    return [values] if isinstance(values, torch.Tensor) else []


def _memory(tensor: Tensor) -> int:
    """Return which memory the tensor lies in: equal for a tensor and its views."""
    return int(tensor.untyped_storage().data_ptr())


def _shown(tensor: Tensor) -> tuple[Any, ...]:
    """Return which numbers of its memory the tensor shows, in which shape and dtype."""
    return _memory(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
