"""Records the calls of a user's PyTorch program, and puts other tensors in place of what passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.overrides import TorchFunctionMode

from likewise.worker.adapters.torch_adapter.imported_attention import (
    slowly,
    watch_attention,
    watch_columns,
    watch_thirds,
)
from likewise.worker.adapters.torch_adapter.imported_modules import has_columns
from likewise.worker.adapters.torch_adapter.imported_recurrent import FUNCTIONS, one_by_one
from likewise.worker.adapters.torch_adapter.imported_updates import Steps
from likewise.worker.adapters.torch_adapter.imported_weights import Known
from likewise.worker.port.contract import OWN, PROJECTIONS, Call, Forced, Forward, ProgramError
from likewise.worker.port.plain import without_ones
from likewise.worker.port.randomness import Randomness
from likewise.worker.port.userfile import users_line

_SILENT = {
    "__get__",
    "__set__",
    "size",
    "dim",
    "detach",
    "clone",
    "contiguous",
    "to",
    "float",
    "double",
    "type",
}
"""Functions whose outputs say nothing new."""


_FUNCTIONAL: Mapping[str, tuple[Sequence[str], str]] = {
    "linear": (("dense",), "kernel"),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), (("conv", "depthwise_conv"), "kernel")),
    "embedding": (("embedding",), "embeddings"),
}
"""Functions that do a module's work when they are given its weight second: its kinds, and the weight."""


class Recorder:
    """It records the calls of known modules, and of functions outside of them, and forces what it is told."""

    def __init__(
        self,
        model: nn.Module,
        table: Mapping[str, Known],
        force: Mapping[str, Forced],
        randomness: Randomness,
        steps: Steps,
    ) -> None:
        self.found = Forward(force=dict(force))
        self._randomness = randomness
        self._steps = steps
        randomness.calls = self.found.calls
        self._model = model
        self._table = table
        self._inside = 0
        self._zeros_within: list[list[int]] | None = None
        """The zeros that a known module pads with by itself, while it runs."""
        self._within: tuple[str, nn.Module] | None = None
        self._of_weights = {
            (id(one.held[name].tensors[0][1]), function): path
            for path, one in table.items()
            for function, (kind, name) in _FUNCTIONAL.items()
            if one.kind in kind and name in one.held
        }
        """The modules whose weights a function may be given, by the weight and the function."""
        self._entered: list[NDArray[Any] | None] = []
        self._versions: list[int] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the calls of known modules and of functions while it is entered."""
        with ExitStack() as stack:
            stack.enter_context(slowly())
            for path, module in self._model.named_modules():
                if path in self._table and self._table[path].kind != OWN:
                    self._hook(stack, path, module)
                elif isinstance(module, nn.MultiheadAttention) and path not in self._table:
                    self._hook_within(stack, path, module)
                    watch_attention(stack, module, self._parts_of(path))
                elif f"{path}.{PROJECTIONS[0]}" in self._table and has_columns(module):
                    self._hook_within(stack, path, module)
                    watch_columns(stack, module, self._parts_of(path))
                elif f"{path}.{PROJECTIONS[0]}" in self._table and isinstance(module, nn.Linear):
                    self._hook_within(stack, path, module)
                    watch_thirds(stack, module, self._parts_of(path))
                elif isinstance(module, nn.RNNBase) and path not in self._table:
                    self._hook_within(stack, path, module)
            stack.enter_context(_Functions(self))
            yield

    def _hook(self, stack: ExitStack, path: str, module: nn.Module) -> None:
        one = self._table[path]

        def before(_: nn.Module, arguments: tuple[Any, ...]) -> Any:
            self._inside += 1
            self._randomness.path = path
            first = arguments[0]
            if isinstance(first, nn.utils.rnn.PackedSequence):
                raise ProgramError(
                    f"{path} is given a packed sequence, which cannot be looked into; for the check, give it "
                    "the padded one"
                )
            forced = self.found.force.get(path, Forced()).input
            with torch._C.DisableTorchFunction():  # what is done here is not the program's
                self._versions.append(version_of(first))
                self._entered.append(one.enters(_array(first)))
                if forced is not None:
                    return (_through(first, one.leaves(forced)), *arguments[1:])
            return None

        def after(_: nn.Module, given: tuple[Any, ...], output: Any) -> Any:
            self._inside -= 1
            self._randomness.path = None
            in_place = version_of(given[0]) != self._versions.pop() and output is given[0]
            first = output[0] if isinstance(output, tuple) else output
            entered = self._entered.pop()
            zeros, self._zeros_within = self._zeros_within, None
            call = Call(path=path, kind=one.kind, line=users_line(), in_place=in_place, zeros=zeros)
            with torch._C.DisableTorchFunction():
                forced = self.found.add_forced(call, entered=entered, left=one.enters(_array(first)))
                if forced is None:
                    return None
                replaced = _through(first, one.leaves(forced))
            return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

        stack.callback(module.register_forward_pre_hook(before).remove)
        stack.callback(module.register_forward_hook(after).remove)

    def _hook_within(self, stack: ExitStack, path: str, module: nn.Module) -> None:
        """Know while a module runs that is several, and where the draws within it are."""

        def before(*_: Any) -> None:
            self._inside += 1
            self._randomness.path = path
            self._within = (path, module)

        def after(*_: Any) -> None:
            self._inside -= 1
            self._randomness.path = self._within = None

        stack.callback(module.register_forward_pre_hook(before).remove)
        stack.callback(module.register_forward_hook(after).remove)

    def _parts_of(self, path: str) -> Callable[..., torch.Tensor]:
        def part(
            name: str, entered: torch.Tensor, apply: Callable[[torch.Tensor], torch.Tensor]
        ) -> torch.Tensor:
            return self._part(f"{path}.{name}", entered, apply)

        return part

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function that the program calls; that of a recurrent module of several layers, one by one."""
        if self._within is not None and getattr(func, "__name__", "") in FUNCTIONS:
            path, module = self._within
            if isinstance(module, nn.RNNBase):
                return one_by_one(module, func, args, self._parts_of(path))
        if not self._inside and len(args) > 1:
            held = self._of_weights.get((id(args[1]), getattr(func, "__name__", "")))
            if held is not None:
                return self._part(held, args[0], lambda entered: func(entered, *args[1:], **kwargs))
        return func(*args, **kwargs)

    def _part(
        self, path: str, entered: torch.Tensor, apply: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """Record what enters and leaves a part of a module, and force what it is told."""
        one = self._table[path]
        forced_input = self.found.force.get(path, Forced()).input
        with torch._C.DisableTorchFunction():
            came = one.enters(_array(entered))
            if forced_input is not None:
                entered = _through(entered, one.leaves(forced_input))
            output = apply(entered)
            call = Call(path=path, kind=one.kind, line=users_line())
            forced = self.found.add_forced(call, entered=came, left=one.enters(_array(output)))
            return output if forced is None else _through(output, one.leaves(forced))

    def saw(self, name: str, gave: Any, arguments: tuple[Any, ...], *, in_place: bool) -> Any:
        """Record a function's call, unless it is one within a known module; return what leaves it, which may
        be forced.
        """
        # The first of several, such as the largest numbers, with their places.
        output = gave[0] if isinstance(gave, tuple) and gave else gave
        if self._inside and name == "pad":  # by a layer of the user's own, which a known one is
            self._zeros_within = _zeros(arguments)
        if self._inside or self._steps.running or name in _SILENT or not isinstance(output, torch.Tensor):
            return gave
        if output.dtype == torch.bool or output.dim() == 0:
            return gave
        call = Call(
            path=None,
            kind=name.strip("_"),
            line=users_line(),
            zeros=_zeros(arguments) if name == "pad" else None,
            in_place=in_place,
        )
        forced = self.found.add_forced(call, entered=None, left=_array(output))
        if forced is None or output is not gave:
            return gave
        if in_place:  # whoever holds the tensor is given the same
            if not torch.is_grad_enabled() or not output.requires_grad:
                output.copy_(_through(output.clone(), forced))
            return gave
        return _through(output, forced)


class _Functions(TorchFunctionMode):  # type: ignore[misc]
    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = args[0] if args else None
        version = version_of(first)
        output = self._recorder.run(func, args, kwargs or {})
        in_place = output is first and version_of(first) != version
        return self._recorder.saw(getattr(func, "__name__", "function"), output, args, in_place=in_place)


def version_of(tensor: Any) -> int:
    """Return how often a tensor was written over; 0 of what is no tensor."""
    with torch._C.DisableTorchFunction():
        return int(tensor._version) if isinstance(tensor, torch.Tensor) else 0


class _Replaced(torch.autograd.Function):  # type: ignore[misc]
    """It gives the second tensor, to the last bit, whatever was in the first, which gets the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(_: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return target.clone()  # no view, since the program may write over it

    @staticmethod
    def setup_context(*_: Any) -> None:
        """Keep nothing: the gradient is passed on as it is."""

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def _through(own: torch.Tensor, forced: NDArray[Any]) -> torch.Tensor:
    """Return the forced numbers, through which gradients reach what was there; of another shape, what was."""
    if without_ones(own.shape) != without_ones(forced.shape):
        return own
    forced = forced.reshape(tuple(own.shape))
    target = torch.as_tensor(np.array(forced, order="C"), dtype=own.dtype)
    return _Replaced.apply(own, target) if own.is_floating_point() else target


def _zeros(arguments: tuple[Any, ...]) -> list[list[int]] | None:
    """Return the zeros that F.pad puts around spatial axes; it names them from the last axis on, in pairs."""
    if len(arguments) < 2 or len(arguments[1]) != 2 * (arguments[0].dim() - 2):
        return None
    flat = list(arguments[1])
    return [flat[place : place + 2] for place in range(len(flat) - 2, -1, -2)]


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    return np.array(tensor.detach().cpu().numpy())
