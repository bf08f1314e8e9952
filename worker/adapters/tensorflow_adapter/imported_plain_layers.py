"""The layers of a program without Keras, as its operations show them: `x @ w + b` is a dense layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf

from likewise.worker.adapters.tensorflow_adapter.imported_modules import Known
from likewise.worker.adapters.tensorflow_adapter.imported_weights import Held
from likewise.worker.port.contract import OWN
from likewise.worker.port.userfile import users_line

Part = Callable[[str, str | None, Any, Callable[[Any, Any], Any]], Any]
"""It records what enters and leaves a layer: its path, its line, what enters, and what applies it."""
_ADD = ((tf.Tensor, "__add__"), (tf, "add"), (tf.math, "add"), (tf.nn, "bias_add"))
_DENSE = ((tf.Tensor, "__matmul__"), (tf, "matmul"), (tf.linalg, "matmul"))
_CONV = ((tf.nn, "conv1d"), (tf.nn, "conv2d"), (tf.nn, "conv3d"), (tf.nn, "convolution"))
_DEPTHWISE = ((tf.nn, "depthwise_conv2d"),)
_TABLE = ((tf, "gather"), (tf.nn, "embedding_lookup"))


class Variables:
    """Some variables of a user's module that belong together, such as a matrix and its bias."""

    built = True

    def __init__(self, owner: Any, place: str, held: Mapping[str, Any]) -> None:
        self.owner, self.place = owner, place
        self.held = dict(held)
        self.kind, self.settings = OWN, dict[str, Any]()
        self.channels_first = False

    @property
    def kernel(self) -> Any:
        """Return the variable of several axes; None of vectors alone."""
        first = next(iter(self.held.values()))
        return first if len(first.shape) > 1 else None

    @property
    def bias(self) -> Any:
        """Return the variable that is added to what the kernel gives, where there is one."""
        return next(iter(list(self.held.values())[1:]), None) if self.kernel is not None else None

    def known(self) -> Known:
        """Return them in the common language: as the layer that they are, or a module that no table knows."""
        names = list(self.held)
        if self.kind != OWN:
            names = ["embeddings" if self.kind == "embedding" else "kernel", "bias"][: len(names)]
        pairs = zip(names, self.held.items(), strict=True)
        weights = {name: Held(variable=one, name=own) for name, (own, one) in pairs}
        return Known(
            kind=self.kind, settings=self.settings, weights=weights, channels_first=self.channels_first
        )


class LearnedLayers:
    """It stands around the functions of TensorFlow that compute with a kernel, and add a bias."""

    def __init__(self, groups: Mapping[str, Variables], part: Part | None = None) -> None:
        self._groups = {id(one.kernel): (path, one) for path, one in groups.items() if one.kernel is not None}
        self._biases = {id(one.bias): path for path, one in groups.items() if one.bias is not None}
        self._part = part
        self._waiting: dict[int, tuple[Any, str, Any, Callable[[Any], Any]]] = {}
        """What a kernel gave and a bias is to be added to, by its id: itself, the layer's path, what entered,
        and what applies the kernel.
        """
        self._inside = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hand each layer to `part` while it is entered; without one, learn which layer each group is."""
        found = (
            (_DENSE, self._dense),
            (_CONV, self._convolution("conv")),
            (_DEPTHWISE, self._convolution("depthwise_conv")),
            (_TABLE, self._table),
        )
        with ExitStack() as stack:
            for places, settings in found:
                for owner, name in places:
                    self._replace(stack, owner, name, self._with_kernel(getattr(owner, name), settings))
            for owner, name in _ADD:
                self._replace(stack, owner, name, self._adding(getattr(owner, name)))
            yield

    @staticmethod
    def _replace(stack: ExitStack, owner: Any, name: str, function: Any) -> None:
        stack.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, function)

    def _with_kernel(self, original: Any, learn: Callable[..., bool]) -> Any:
        of_table = learn == self._table

        def function(*given: Any, **named: Any) -> Any:
            first, kernel, rest, named = _two(given, named, of_table=of_table)
            path, group = self._groups.get(id(kernel), (None, None))
            if path is None or group is None or self._inside or not tf.is_tensor(first):
                return original(*given, **named)

            def apply(entered: Any) -> Any:
                pair = (kernel, entered) if of_table else (entered, kernel)
                return original(*pair, *rest, **named)

            if self._part is None and group.kind == OWN:
                learn(group, first, rest, named)
            if self._part is None or group.kind == OWN:
                return original(*given, **named)
            with self._at_work():
                if group.bias is None:
                    return self._part(path, users_line(), first, lambda values, left: left(apply(values)))
                output = apply(first)
            self._waiting[id(output)] = (output, path, first, apply)
            return output

        return function

    def _adding(self, original: Any) -> Any:
        def function(first: Any, *rest: Any, **named: Any) -> Any:
            second = rest[0] if rest else named.get("y", named.get("bias"))
            waits = self._waiting.pop(id(first), None)
            fits = waits is not None and self._biases.get(id(second)) == waits[1]
            if self._inside or waits is None or not fits or self._part is None:
                return original(first, *rest, **named)
            _, path, entered, apply = waits
            with self._at_work():
                return self._part(
                    path,
                    users_line(),
                    entered,
                    lambda values, left: left(original(apply(values), *rest, **named)),
                )

        return function

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @property
    def rests(self) -> bool:
        """Return whether a layer is at work, of which the operations are no calls of their own."""
        return self._inside > 0

    # ---- what each group is

    def _dense(self, group: Variables, first: Any, rest: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
        if rest or any(named.values()) or len(group.kernel.shape) != 2 or not _is_float(first):
            return False
        group.kind = "dense"
        group.settings = {"units": int(group.kernel.shape[-1]), "use_bias": group.bias is not None}
        return True

    def _table(self, group: Variables, first: Any, rest: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
        if rest or any(named.values()) or len(group.held) != 1 or not first.dtype.is_integer:
            return False
        rows, width = (int(one) for one in group.kernel.shape)
        group.kind, group.settings = "embedding", {"input_dim": rows, "output_dim": width}
        return True

    @staticmethod
    def _convolution(kind: str) -> Callable[..., bool]:
        def learn(group: Variables, first: Any, rest: tuple[Any, ...], named: Mapping[str, Any]) -> bool:
            told = {**dict(zip(("strides", "padding"), rest, strict=False)), **named}
            rank = len(group.kernel.shape) - 2
            group.channels_first = str(told.get("data_format") or "N").startswith("NC") and (
                told["data_format"] != "NCW" or rank == 1
            )
            strides = _spatial(told.get("strides", told.get("stride", 1)), rank, group.channels_first)
            dilated = _spatial(told.get("dilations", 1), rank, group.channels_first)
            zeros = _zeros(told.get("padding", "VALID"), rank, group.channels_first)
            if zeros is None or rank < 1:
                return False
            size, channels = [int(one) for one in group.kernel.shape[:rank]], int(group.kernel.shape[-2])
            group.kind = kind
            group.settings = {
                "kernel_size": size,
                "strides": strides,
                "padding": zeros,
                "dilation_rate": dilated,
                "use_bias": group.bias is not None,
            }
            if kind == "conv":
                entering = int(first.shape[1 if group.channels_first else -1])
                group.settings |= {"filters": int(group.kernel.shape[-1]), "groups": entering // channels}
            else:
                group.settings["depth_multiplier"] = int(group.kernel.shape[-1])
            return True

        return learn


def _two(
    given: tuple[Any, ...], named: Mapping[str, Any], *, of_table: bool
) -> tuple[Any, Any, tuple[Any, ...], dict[str, Any]]:
    """Return what enters, the kernel, and the other arguments; a table comes before its indices."""
    if len(given) < 2:
        return None, None, given, dict(named)
    one, two, *rest = given
    return (two, one, tuple(rest), dict(named)) if of_table else (one, two, tuple(rest), dict(named))


def _is_float(value: Any) -> bool:
    return bool(value.dtype.is_floating)


def _spatial(given: Any, rank: int, channels_first: bool) -> list[int]:
    """Return strides or dilations of the spatial axes alone."""
    several = [int(one) for one in given] if isinstance(given, list | tuple) else [int(given or 1)]
    if len(several) == 1:
        return several * rank
    if len(several) == rank + 2:
        return several[2:] if channels_first else several[1:-1]
    return several


def _zeros(given: Any, rank: int, channels_first: bool) -> Any:
    """Return the zeros around each spatial axis, or `same`; None where they are not known."""
    if isinstance(given, str):
        return {"SAME": "same", "VALID": [[0, 0] for _ in range(rank)]}.get(given.upper())
    several = [[int(one) for one in pair] for pair in given]
    return several[2:] if channels_first else several[1:-1]
