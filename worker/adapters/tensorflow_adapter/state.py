"""What a step of TensorFlow's programs changes, and what it takes besides, as tensors on the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from likewise.worker.adapters.constants import AVERAGE
from likewise.worker.adapters.trainer import State

Tensor = Any
Samples = tuple[Tensor, ...]
"""The training samples, or a batch of them, as `Batch.arrays` has them: x, y and the weights, if any."""
SHARED_BYTES = 2**20
_ALIGNMENT = 64
"""Bytes by which TensorFlow's kernels may take it that memory is aligned."""


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor on the device in hand.

    On the CPU a large one keeps its memory, which may be a mapped file, where TensorFlow can use that.
    """
    usable = array.flags.c_contiguous and array.flags.writeable and not array.ctypes.data % _ALIGNMENT
    on_cpu = "GPU" not in tf.zeros([]).device
    if array.nbytes >= SHARED_BYTES and usable and on_cpu:
        return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
    return tf.constant(array)


class LoopState(NamedTuple):
    """What a step changes.

    The trainable weights lie side by side in one tensor, and so does each slot: each operation of the
    optimizer's formula then updates all of them, and the graph's loop passes on few tensors, each of which
    takes time in every step.
    """

    trained: Tensor
    """(values,): the trainable weights, each flattened, one after another in `Network.trainable`'s order."""
    moved: dict[str, Tensor]
    """The other weights, by canonical name: statistics that layers move."""
    slots: dict[str, Tensor]
    """The optimizer's state, by the letter that its formula gives it: (values,)."""


class BlockSteps(NamedTuple):
    """What a block of n steps takes besides the state and the samples."""

    indices: Tensor
    """(n, b): which samples each batch holds."""
    fixed: dict[str, Tensor]
    """The scalars of `worker.adapters.constants.fixed_constants`, by name."""
    changing: dict[str, Tensor]
    """The values of `worker.adapters.constants.update_constants`, each (n,)."""
    masks: dict[str, Tensor]
    """The factors of each dropout layer by its path: (n, b, *layer input)."""


def filled(values: Tensor, start: Any) -> Tensor:
    """Fill a slot of the values' shape: (size,) by one number, or (members, size) by numbers (members,)."""
    own = np.reshape(start, (*np.shape(start), 1))
    return tf.constant(np.full(values.shape, own, values.dtype.as_numpy_dtype))


def exchanged(state: LoopState) -> LoopState:
    """Return the state with the trained weights and their average exchanged."""
    slots, moved = state.slots | {AVERAGE: state.trained}, dict(state.moved)
    for name, statistic in state.moved.items():
        slot = f"{AVERAGE} of {name}"
        if slot in slots:
            slots[slot], moved[name] = statistic, state.slots[slot]
    return LoopState(trained=state.slots[AVERAGE], moved=moved, slots=slots)


def followed(
    state: LoopState,
    moved: dict[str, Tensor],
    averaged: Mapping[str, str],
    constants: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Return the averages of moved statistics after an update, by slot; `averaged` has the slots."""
    found = {}
    for name, slot in averaged.items():
        share = constants["ema_share"]
        if "applies" in constants:
            share *= tf.cast(constants["applies"] > 0, share.dtype)
        found[slot] = state.slots[slot] + share * (moved[name] - state.slots[slot])
    return found


def copied(state: LoopState) -> State:
    """Return a copy of the state as arrays, by name."""
    return {name: tensor.numpy().copy() for name, tensor in _named(state).items()}


def put_back(state: LoopState, arrays: State) -> LoopState:
    """Return a state like this one with the values that `copied` gave."""
    given = {name: tf.constant(arrays[name]) for name in _named(state)}
    return LoopState(
        trained=given["trained"],
        moved={name: given[f"moved.{name}"] for name in state.moved},
        slots={letter: given[f"slots.{letter}"] for letter in state.slots},
    )


def _named(state: LoopState) -> dict[str, Tensor]:
    return {
        "trained": state.trained,
        **{f"moved.{name}": tensor for name, tensor in state.moved.items()},
        **{f"slots.{letter}": slot for letter, slot in state.slots.items()},
    }
