"""Recorded operations written as a loop in a graph, which PyTorch's interpreter runs without Python.

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
"""Of the graph: what a tensor, number or list is called in it."""

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
"""What these give depends on shapes alone, which stay."""
REUSED_BYTES = 2**16
"""Results up to this size are written where the recording has them: nothing is allocated, and their views
are there already. Larger ones would cost more by leaving the cache than they save (docs/decisions/0024)."""
_MEMORY_FORMATS = {
    torch.contiguous_format: 0,
    torch.preserve_format: 1,
    torch.channels_last: 2,
    torch.channels_last_3d: 3,
}
"""Their numbers in the interpreter (c10/core/MemoryFormat.h)."""


class NotReplayableError(Exception):
    """The update did what a replay could not repeat; it says what."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument that an operation declares; `kind` is its type, without the option of None."""

    name: str
    kind: Any
    default: Any
    changed: bool


@dataclass(frozen=True, slots=True)
class Form:
    """What an operation takes and gives; read once, since reading takes longer than running it."""

    name: str
    overload: str
    arguments: tuple[Argument, ...]
    results: tuple[Any, ...]

    @classmethod
    @cache
    def of(cls, operation: Any) -> Form:
        """The form of an ATen operation."""
        schema = operation._schema
        arguments = tuple(
            Argument(each.name, _needed(each.type), each.default_value, each.is_write)
            for each in schema.arguments
        )
        return cls(schema.name, _overload(schema), arguments, tuple(each.type for each in schema.returns))

    @classmethod
    @cache
    def into_memory(cls, operation: Any) -> Form | None:
        """The form that writes the same results into memory it is given, where the kernels have it."""
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
class Call:
    """One operation as it ran."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any

    @cached_property
    def given(self) -> list[tuple[Argument, Any]]:
        """Each declared argument and the value that it had."""
        declared = Form.of(self.operation).arguments
        values = list(self.arguments)
        values += [self.options.get(each.name, each.default) for each in declared[len(values) :]]
        return list(zip(declared, values, strict=True))

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Those among its arguments."""
        return _tensors([*self.arguments, *self.options.values()])

    @cached_property
    def is_view(self) -> bool:
        """Whether its results show memory that it was given; some operations do not say so."""
        memory = set(map(_memory, self.tensors))
        shown = [_memory(tensor) in memory for tensor in _tensors(self.result)]
        return bool(self.operation.is_view or (not self.changed and shown and all(shown)))

    @cached_property
    def has_number_for_tensor(self) -> bool:
        """Whether a number was given where a tensor is declared."""
        return any(each.kind == _TENSOR and isinstance(value, int | float) for each, value in self.given)

    @cached_property
    def changed(self) -> list[Tensor]:
        """The tensors that it changes in place."""
        return [tensor for each, value in self.given if each.changed for tensor in _tensors(value)]


@dataclass(frozen=True, slots=True)
class Replay:
    """The recorded update any number of times in one call; it changes what the update changes."""

    loop: Any
    staying: tuple[Tensor, ...]

    def __call__(self, columns: Sequence[Tensor]) -> Tensor:
        """What n updates give (n, ...); `columns` hold what took the place of each input: (n, ...)."""
        # oneDNN's lstm keeps what its gradient needs only where gradients are enabled
        with torch.inference_mode(), torch.enable_grad(), torch.jit.optimized_execution(False):
            return self.loop(len(columns[0]), *columns, *self.staying)


def replay_of(calls: Sequence[Call], *, inputs: Sequence[Tensor], result: Tensor) -> Replay:
    """The calls as a function of what takes the place of `inputs`, returning what takes that of `result`.

    Raises NotReplayableError.
    """
    writer = _Writer(calls, inputs, result)
    for call in calls:
        writer.write(call)
    return writer.replay(result)


class _Writer:
    """Writes calls into the body of a loop. The caller keeps every recorded tensor alive meanwhile."""

    def __init__(self, calls: Sequence[Call], inputs: Sequence[Tensor], result: Tensor) -> None:
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

        rows = [self._before("aten::unbind", [column, self._constant(0)], _TENSORS) for column in columns]
        self._results = self._before("prim::ListConstruct", [], _TENSORS)
        self._values = {
            id(tensor): self._node("aten::__getitem__", [row, step], [_TENSOR]).output()
            for tensor, row in zip(inputs, rows, strict=True)
        }
        """What each recorded tensor is called."""
        self._passing = set(self._values)
        """The tensors that are others in each update."""
        self._passing_memory = {_memory(tensor) for tensor in inputs}
        turned = [call for call in calls if torch.Tag.inplace_view in call.operation.tags]
        self._fresh_memory = {_memory(tensor) for call in turned for tensor in call.changed}
        """Of which each update needs its own: what it returns, and what it gives another shape in place."""
        self._fresh_memory.add(_memory(result))
        self._changed_memory = {_memory(tensor) for call in calls for tensor in call.changed}
        self._seen: dict[Any, Value] = {}
        """Passing tensors by what they show: a second view of the same numbers is the first."""
        self._staying: list[Tensor] = []

    def write(self, call: Call) -> None:
        """One call: a node, or nothing where its result is there already."""
        results = _tensors(call.result)
        if call.operation is _aten._local_scalar_dense.default:
            raise NotReplayableError("a value is read back")
        if call.is_view and not self._passing & set(map(id, call.tensors)):
            return  # of memory that stays: the recorded view serves
        if call.operation in _SHAPES_ALONE and not self._changed_memory & set(map(_memory, results)):
            return
        if call.is_view and all(_sight(tensor) in self._seen for tensor in results):
            self._name(results, [self._seen[_sight(tensor)] for tensor in results])
            return
        into = self._form_into_memory(call, results)
        if into is not None:
            self._run(call, into, [self._tensor(tensor) for tensor in results])
            return
        outputs = self._run(call, Form.of(call.operation))
        changed = set(map(id, call.changed))
        if not changed:
            self._name_all(call.result, outputs)
        elif any(id(tensor) not in changed for tensor in results):
            raise NotReplayableError(f"{call.operation} changes one tensor and makes another")

    def _form_into_memory(self, call: Call, results: Sequence[Tensor]) -> Form | None:
        """The form by which a call writes its results where the recording has them, if that serves."""
        if any(_memory(each) in self._fresh_memory or each.nbytes > REUSED_BYTES for each in results):
            return None
        return None if call.has_number_for_tensor else Form.into_memory(call.operation)

    def _run(self, call: Call, form: Form, memory: Sequence[Value] = ()) -> list[Value]:
        """A node that runs the call in this form."""
        arguments = [self._argument(value, each.kind) for each, value in call.given]
        node = self._node(form.name, [*arguments, *memory], form.results)
        self._check_found(call, form, node)
        return list(node.outputs())

    def _check_found(self, call: Call, form: Form, node: Any) -> None:
        """The interpreter goes by names and kinds: make sure that it finds the recorded operation."""
        recorded = form.overload
        if call.has_number_for_tensor:  # the interpreter takes the operation's form for numbers
            recorded = recorded.replace(".Tensor", ".Scalar")
        found = node.schema().partition("(")[0]
        if found != recorded:
            raise NotReplayableError(f"the interpreter finds {found or 'nothing'} for {recorded}")

    def replay(self, result: Tensor) -> Replay:
        """All that was written."""
        self._node("aten::append", [self._results, self._tensor(result)], [_TENSORS])
        stacked = self._graph.create("aten::stack", [self._results, self._constant(0)], 1)
        self._graph.registerOutput(stacked.insertAfter(self._loop).output())
        torch._C._jit_pass_dce(self._graph)
        loop = torch._C._create_function_from_graph("updates", self._graph)
        return Replay(loop, tuple(self._staying))

    def _name_all(self, result: Any, outputs: Sequence[Value]) -> None:
        """Remember what an operation's result is called, part by part."""
        parts = list(result) if isinstance(result, tuple | list) else [result]
        if isinstance(result, list) and len(outputs) == 1:
            outputs = list(self._node("prim::ListUnpack", outputs, [_TENSOR] * len(parts)).outputs())
        made = [
            (part, out) for part, out in zip(parts, outputs, strict=True) if isinstance(part, torch.Tensor)
        ]
        self._name([part for part, _ in made], [out for _, out in made])

    def _name(self, tensors: Sequence[Tensor], values: Sequence[Value]) -> None:
        for tensor, value in zip(tensors, values, strict=True):
            self._values[id(tensor)] = self._seen[_sight(tensor)] = value
            self._passing.add(id(tensor))
            self._passing_memory.add(_memory(tensor))

    def _argument(self, value: Any, kind: Any) -> Value:
        """An argument's value as one of the graph, of the kind that the operation asks for."""
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, tuple | list):
            part_kind = _needed(kind.getElementType())
            parts = [self._argument(part, part_kind) for part in value]
            return self._node("prim::ListConstruct", parts, [kind]).output()
        if isinstance(value, torch.memory_format):
            value = _MEMORY_FORMATS[value]
        return self._constant(float(value) if kind == _FLOAT and value is not None else value)

    def _tensor(self, tensor: Tensor) -> Value:
        """What a tensor is called; one that no call made stays from update to update."""
        if id(tensor) not in self._values:
            if _memory(tensor) in self._passing_memory:
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

    def _before(self, name: str, arguments: Sequence[Value], kind: Any) -> Value:
        """One operation before the loop."""
        return self._graph.create(name, arguments, 1).insertBefore(self._loop).output().setType(kind)

    def _node(self, name: str, arguments: Sequence[Value], kinds: Sequence[Any]) -> Any:
        """One operation at the end of the loop's body."""
        node = self._graph.create(name, list(arguments), len(kinds)).insertBefore(self._end)
        for output, kind in zip(node.outputs(), kinds, strict=True):
            output.setType(kind)
        return node


def _overload(schema: Any) -> str:
    """An operation's full name."""
    return ".".join(filter(None, (schema.name, schema.overload_name)))


def _needed(kind: Any) -> Any:
    """A type without the option of None."""
    return kind.getElementType() if kind.kind() == "OptionalType" else kind


def _tensors(values: Any) -> list[Tensor]:
    """The tensors among an operation's arguments or results, which may be lists."""
    if isinstance(values, tuple | list):
        return [tensor for value in values for tensor in _tensors(value)]
    return [values] if isinstance(values, torch.Tensor) else []


def _memory(tensor: Tensor) -> int:
    """Which memory it shows: equal for a tensor and its views."""
    return int(tensor.untyped_storage().data_ptr())


def _sight(tensor: Tensor) -> tuple[Any, ...]:
    """Which numbers it shows, and as what."""
    return _memory(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype
