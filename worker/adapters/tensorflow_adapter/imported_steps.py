"""Keras's `TimeDistributed` in a hosted program: its layer is called where the recorder sees it.

Keras runs the layer's `call` once a step, past every hook. Here the layer itself is called: on all steps at
once (`whole`), with the steps among the samples as PyTorch programs have them (`samples first`,
`steps first`), or once a step (`one by one`). The numbers are the same. What looks across the samples in
training, such as a batch norm, is still given one step at a time where Keras does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, L, children
from likewise.worker.port.contract import ONE_BY_ONE, SAMPLES_FIRST, STEPS_FIRST, WHOLE

_BY_THE_LAST_AXIS = (
    *(L.Dense, L.EinsumDense, L.Dropout, L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.Softmax, L.Embedding),
    *(L.LayerNormalization, L.GaussianNoise, L.GaussianDropout, L.AlphaDropout),
)
"""Layers that give the same for each step, whatever axes stand before the last."""
_APART = 1e-4
"""A layer that gives something else by so much of its largest number is called one step at a time."""

_original = L.TimeDistributed.call
_original_mask = L.TimeDistributed.compute_mask
_chosen: dict[int, str] = {}
"""How each wrapper calls its layer, by the wrapper's id; as fits best where none is named."""
_looped: set[int] = set()
"""The wrappers whose layer gives something else when the steps are among the samples."""
_proving: list[bool] = []
"""It is not empty while what a wrapper gives is held against what Keras gives."""


def show_steps() -> None:
    """Let every `TimeDistributed` call its layer as is said here, and `tf.vectorized_map` each element by
    itself, from now on.
    """
    _chosen.clear()
    _looped.clear()
    L.TimeDistributed.call = _call
    if IS_2:
        L.TimeDistributed.compute_mask = _compute_mask
    tf.vectorized_map = _mapped


@contextmanager
def proving() -> Iterator[None]:
    """While it is entered, every wrapper is held against what Keras gives, which nothing may record."""
    _proving.append(True)
    try:
        yield
    finally:
        _proving.pop()


def choose(wrapper: Any, way: str) -> None:
    """Call a wrapper's layer in one of the ways of `ways`."""
    _chosen[id(wrapper)] = way


def ways(wrapper: Any) -> list[str]:
    """Return the ways in which a wrapper may call its layer, the first of which it does by itself."""
    whole = [WHOLE] if _goes_by_the_last_axis(wrapper.layer) else []
    return [*whole, SAMPLES_FIRST, STEPS_FIRST, ONE_BY_ONE]


def _goes_by_the_last_axis(layer: Any) -> bool:
    norm_of_more = isinstance(layer, L.LayerNormalization) and layer.axis not in (-1, [-1], (-1,))
    return type(layer) in _BY_THE_LAST_AXIS and not norm_of_more


def _call(wrapper: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    loops = IS_2 and not wrapper._always_use_reshape and (mask is not None or _penalizes(wrapper.layer))
    if not tf.is_tensor(inputs) or not tf.executing_eagerly() or loops:
        return _original(wrapper, inputs, training=training, mask=mask)
    way = _chosen.get(id(wrapper)) or ways(wrapper)[0]
    if way != WHOLE and id(wrapper) in _looped:
        way = ONE_BY_ONE
    output = _called(wrapper, inputs, way, training=training, mask=mask)
    if _proving and way in (SAMPLES_FIRST, STEPS_FIRST):
        right = _original(wrapper, inputs, training=training, mask=mask)
        if not _are_alike(np.array(right), np.array(output)):
            _looped.add(id(wrapper))
        return right
    return output


def _compute_mask(wrapper: Any, inputs: Any, mask: Any = None) -> Any:
    """Return a wrapper's mask. Keras 2 runs the layers of a `Sequential` a second time for it, which is left
    out where no mask can come of it and nothing is moved by it.
    """
    within = [wrapper.layer, *_within(wrapper.layer)]
    masks = any(isinstance(one, L.Masking) or getattr(one, "mask_zero", False) for one in within)
    if mask is None and not masks and not any(_looks_across_samples(one) for one in within):
        return None
    return _original_mask(wrapper, inputs, mask)


def _called(wrapper: Any, inputs: Any, way: str, *, training: bool | None, mask: Any) -> Any:
    layer = wrapper.layer

    def apply(values: Any, masked: Any) -> Any:
        named = {"training": training} if _takes(layer, "training") else {}
        if masked is not None and _takes(layer, "mask"):
            named["mask"] = masked
        with _without_penalty(layer):
            return layer(values, **named)

    if way == WHOLE:
        return apply(inputs, mask)
    steps = int(inputs.shape[1])
    if way == ONE_BY_ONE:
        each = [apply(inputs[:, step], None if mask is None else mask[:, step]) for step in range(steps)]
        return tf.stack(each, axis=1)
    axis = 1 if way == SAMPLES_FIRST else 0

    def among(values: Any) -> Any:
        moved = values if axis else tf.experimental.numpy.moveaxis(values, 1, 0)
        return tf.reshape(moved, (-1, *moved.shape[2:]))

    def apart(values: Any) -> Any:
        shape = (-1, steps, *values.shape[1:]) if axis else (steps, -1, *values.shape[1:])
        return tf.reshape(values, shape)

    stepwise = training and not (IS_2 and wrapper._always_use_reshape)
    with _step_by_step(layer, apart, axis) if stepwise else nullcontext():
        found = apart(apply(among(inputs), None if mask is None else among(mask)))
    return found if axis else tf.experimental.numpy.moveaxis(found, 0, 1)


@contextmanager
def _step_by_step(layer: Any, apart: Callable[[Any], Any], axis: int) -> Iterator[None]:
    """Give the layers within that may look across samples one step at a time while this is entered."""
    with ExitStack() as stack:
        for one in [layer, *_within(layer)]:
            if _looks_across_samples(one):
                stack.enter_context(replaced_call(one, _split(one.call, apart, axis)))
        yield


def _split(call: Callable[..., Any], apart: Callable[[Any], Any], axis: int) -> Callable[..., Any]:
    def split(inputs: Any, *arguments: Any, **named: Any) -> Any:
        if not tf.is_tensor(inputs):
            return call(inputs, *arguments, **named)
        outputs = [call(one, *arguments, **named) for one in tf.unstack(apart(inputs), axis=axis)]
        joined = tf.stack(outputs, axis=axis)
        return tf.reshape(joined, (-1, *joined.shape[2:]))

    return split


@contextmanager
def replaced_call(layer: Any, call: Callable[..., Any]) -> Iterator[None]:
    """Let a layer run this in place of its own `call` while this is entered."""
    own = layer.__dict__.get("call")
    layer.__dict__["call"] = call
    try:
        yield
    finally:
        if own is None:
            layer.__dict__.pop("call", None)
        else:
            layer.__dict__["call"] = own


def _looks_across_samples(layer: Any) -> bool:
    """Return whether a layer may: a batch norm, or a layer of the user's own without layers in it."""
    own = type(layer).__module__.partition(".")[0] not in ("keras", "tf_keras")
    return isinstance(layer, L.BatchNormalization) or (own and not children(layer))


def _within(layer: Any) -> list[Any]:
    return [one for child in children(layer) for one in (child, *_within(child))]


@contextmanager
def _without_penalty(layer: Any) -> Iterator[None]:
    """Leave out a layer's own penalty of its outputs, which Keras does not see in a wrapper."""
    penalty = getattr(layer, "activity_regularizer", None)
    if penalty is None:
        yield
        return
    layer.activity_regularizer = None
    try:
        yield
    finally:
        layer.activity_regularizer = penalty


def _penalizes(layer: Any) -> bool:
    """Return whether outputs within are penalized, by the mean of a step's samples in Keras 2."""
    return any(getattr(one, "activity_regularizer", None) is not None for one in (layer, *_within(layer)))


def _takes(layer: Any, name: str) -> bool:
    return bool(getattr(layer, f"_expects_{name}_arg" if IS_2 else f"_call_has_{name}_arg"))


def _are_alike(one: NDArray[Any], two: NDArray[Any]) -> bool:
    limit = _APART * float(np.max(np.abs(one), initial=0.0))
    return one.shape == two.shape and bool(np.all(np.abs(one - two) <= limit))


def _mapped(function: Callable[[Any], Any], elements: Any, **_: Any) -> Any:
    """Apply a function to each element by itself: nothing can be seen in the graph of a vectorized map."""
    first: Sequence[Any] = tf.nest.flatten(elements)
    each = [
        function(tf.nest.map_structure(lambda one, place=place: one[place], elements))
        for place in range(int(first[0].shape[0]))
    ]
    return tf.nest.map_structure(lambda *several: tf.stack(several), *each)


def wrappers(layers: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the `TimeDistributed` of a program's layers, by path."""
    return {path: one for path, one in layers if isinstance(one, L.TimeDistributed)}
