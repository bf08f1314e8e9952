"""One job structure as functions of values: a step, a block of steps, the outputs.

Nothing here holds weights, optimizer state, samples or a number of the optimizer: all of them are
arguments, so that a compiled program serves every seed, data set and learning rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from shared.spec import Job
from shared.spec.model import Dropout
from shared.spec.optimizer import structure
from worker.adapters.base import Weights
from worker.adapters.tensorflow_adapter.losses import loss_function
from worker.adapters.tensorflow_adapter.model import Network
from worker.adapters.tensorflow_adapter.optimizers import clip, update
from worker.adapters.tensorflow_adapter.traced import Traced
from worker.training import state as kept
from worker.training.constants import fixed_constants, slot_starts, update_constants

Tensor = Any


class State(NamedTuple):
    """What a step changes.

    The trainable weights lie side by side in one tensor, and so does each slot: a formula then is one
    operation for all of them, and the graph's loop hands on few tensors, each of which costs time a step.
    """

    trained: Tensor
    """(values,): the trainable weights, each flattened, one after another."""
    moved: dict[str, Tensor]
    """The other weights, by canonical name: statistics that layers move."""
    slots: dict[str, Tensor]
    """The optimizer's, by the letter of its formula: (values,)."""


class Samples(NamedTuple):
    """The training samples, or a batch of them."""

    x: Tensor
    y: Tensor


class Steps(NamedTuple):
    """What a block of n steps takes, beside the state and the samples."""

    indices: Tensor
    """(n, b): which samples each batch holds."""
    fixed: dict[str, Tensor]
    """The scalars of `worker.training.constants.fixed_constants`, by name."""
    changing: dict[str, Tensor]
    """Those of `worker.training.constants.update_constants`: (n,)."""
    masks: dict[str, Tensor]
    """The factors of each dropout layer by its path: (n, b, *layer input)."""


class Program:
    """A job's structure for samples of one shape.

    Compiled, a block is one call: a while loop in the graph that gathers each batch from the samples on
    the device. Its signature leaves the number of samples and both sizes of a block open, so that it is
    traced once.
    """

    axes: tuple[None, ...] = ()
    """What stands before the shape of each weight, slot and constant: nothing, for one training."""

    def __init__(self, job: Job, *, input_shape: tuple[int, ...], targets: tf.TensorSpec) -> None:
        """`targets` is the training targets' dtype and shape, of any number of samples."""
        self.network = Network(
            job.model, input_shape=input_shape, precision=job.precision, initializers=False
        )
        self.execution = "eager"
        """As `Trainer.execution`."""
        shapes = self.network.shapes
        self._shapes = [shapes[name] for name in self.network.trainable]
        self._sizes = [prod(shape) for shape in self._shapes]
        self._optimizer = structure(job.optimizer)
        self.dropped = [
            job.model.layer_path(index)
            for index, layer in enumerate(job.model.layers)
            if isinstance(layer, Dropout) and layer.rate > 0
        ]
        """The paths of the layers that are given masks."""
        self._loss = loss_function(job)
        self._precision = job.precision
        self.block: Any = self._steps
        self.outputs: Any = self._outputs
        if job.execution != "eager":
            self._compile(job, targets)

    def prepared(self, samples: Samples) -> Samples:
        """The samples as `block` takes them."""
        return samples

    def ready(self, batch_size: int, samples: Samples) -> bool:  # noqa: ARG002 -- all sizes are one program
        """Whether `block` needs no compiling for batches of this size from these samples."""
        return self.execution == "eager" or self.block.traces > 0

    def _compile(self, job: Job, targets: tf.TensorSpec) -> None:
        self.execution = "compiled (tf.function)"
        self.block = self._compiled_loop(job, targets, indices_rank=2)
        self.outputs = Traced(self._outputs, [self._weights_spec(job), self._inputs_spec(job)])

    def _compiled_loop(self, job: Job, targets: tf.TensorSpec, *, indices_rank: int) -> Traced:
        samples = Samples(self._inputs_spec(job), targets)
        return Traced(self._loop, [self._state_spec(job), samples, self._steps_spec(job, indices_rank)])

    def _inputs_spec(self, job: Job) -> tf.TensorSpec:
        return tf.TensorSpec([None, *self.network.input_shape], job.precision)

    def _weights_spec(self, job: Job) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec([*self.axes, *shape], job.precision)
            for name, shape in self.network.shapes.items()
        }

    def _state_spec(self, job: Job) -> State:
        values = tf.TensorSpec([*self.axes, sum(self._sizes)], job.precision)
        specs = self._weights_spec(job)
        return State(
            trained=values,
            moved={name: spec for name, spec in specs.items() if name not in self.network.trainable},
            slots=dict.fromkeys(slot_starts(job.optimizer), values),
        )

    def _steps_spec(self, job: Job, indices_rank: int) -> Steps:
        floats, axes = job.precision, self.axes
        changing = update_constants(self._optimizer, learning_rates=np.ones(1), first_step=0)
        return Steps(
            indices=tf.TensorSpec([None] * indices_rank, tf.int64),
            fixed={name: tf.TensorSpec(axes, floats) for name in fixed_constants(self._optimizer)},
            changing={name: tf.TensorSpec([*axes, None], floats) for name in changing},
            masks={path: tf.TensorSpec(None, floats) for path in self.dropped},
        )

    def start(self, weights: Weights, starts: Mapping[str, Any]) -> State:
        """The state before the first step; `starts` are the slots' (`worker.training.constants`)."""
        trained = self._side_by_side([weights[name] for name in self.network.trainable])
        return State(
            trained=trained,
            moved={
                name: tf.constant(array)
                for name, array in weights.items()
                if name not in self.network.trainable
            },
            slots={letter: _filled(trained, start) for letter, start in starts.items()},
        )

    def weights(self, state: State) -> dict[str, Tensor]:
        """All of the network's, by canonical name, in its order."""
        weights = state.moved | dict(zip(self.network.trainable, self._apart(state.trained), strict=True))
        return {name: weights[name] for name in self.network.shapes}

    def _apart(self, values: Tensor) -> list[Tensor]:
        """Values (…, size) as the trainable weights: each (…, *shape)."""
        parts = tf.split(values, self._sizes, axis=-1) if self._sizes else []
        before = values.shape[:-1]
        return [tf.reshape(part, [*before, *shape]) for part, shape in zip(parts, self._shapes, strict=True)]

    def _side_by_side(self, weights: Sequence[Any]) -> Tensor:
        """What `_apart` takes apart."""
        if not weights:
            return tf.zeros([*self.axes, 0], self._precision)
        flat = [
            tf.reshape(array, [*array.shape[: len(self.axes)], size])
            for array, size in zip(weights, self._sizes, strict=True)
        ]
        return tf.concat(flat, axis=-1)

    def step(
        self,
        state: State,
        batch: Samples,
        *,
        constants: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
    ) -> tuple[State, Tensor]:
        """One update: the state after it, and the batch's loss before it."""
        weights = self.weights(state)
        trained = [weights[name] for name in self.network.trainable]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)
            outputs, after = self.network(weights, batch.x, masks)
            loss = self._loss(outputs, batch.y)
        moved = {name: after[name] for name in state.moved}
        if not trained:
            return State(state.trained, moved, state.slots), loss
        # an embedding's gradient comes as the rows it touched
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, trained)]
        clipped = clip(self._optimizer, gradients, constants)
        values, slots = update(
            self._optimizer,
            weights=state.trained,
            gradient=tf.concat([tf.reshape(g, [-1]) for g in clipped], axis=0),
            slots=state.slots,
            constants=constants,
        )
        return State(values, moved, slots), loss

    def _outputs(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """In inference mode: x (m, *features) → (m, outputs)."""
        return self.network(weights, x)[0]

    def _step_at(self, i: Tensor, state: State, samples: Samples, steps: Steps) -> tuple[State, Tensor]:
        """Step i of a block."""
        rows = tf.gather(steps.indices, i)
        changing = {name: tf.gather(values, i) for name, values in steps.changing.items()}
        return self.step(
            state,
            Samples(tf.gather(samples.x, rows), tf.gather(samples.y, rows)),
            constants=steps.fixed | changing,
            masks={path: tf.gather(mask, i) for path, mask in steps.masks.items()},
        )

    def _steps(self, state: State, samples: Samples, steps: Steps) -> tuple[State, Tensor]:
        """The block step by step: the state after it, and each batch's loss (n,)."""
        losses = []
        for i in range(len(steps.indices)):
            state, loss = self._step_at(i, state, samples, steps)
            losses.append(loss)
        return state, tf.stack(losses)

    def _loop(self, state: State, samples: Samples, steps: Steps) -> tuple[State, Tensor]:
        """The block as a loop in the graph."""
        return self._counted_loop(tf.shape(steps.indices)[-2], state, samples, steps)

    def _counted_loop(
        self, count: Tensor, state: State, samples: Samples, steps: Steps
    ) -> tuple[State, Tensor]:
        """The first `count` steps of a block; the losses of the others are 0."""

        def body(i: Tensor, state: State, losses: Any) -> tuple[Tensor, State, Any]:
            state, loss = self._step_at(i, state, samples, steps)
            return i + 1, state, losses.write(i, loss)

        losses = tf.TensorArray(self._precision, size=tf.shape(steps.indices)[-2], element_shape=self.axes)
        _, state, losses = tf.while_loop(
            lambda i, *_: i < count, body, (tf.constant(0), state, losses), parallel_iterations=1
        )
        return state, losses.stack()


def _filled(values: Tensor, start: Any) -> Tensor:
    """A slot like the values: (size,) of a number, or (members, size) of (members,) numbers."""
    own = np.reshape(start, (*np.shape(start), 1))
    return tf.constant(np.full(values.shape, own, values.dtype.as_numpy_dtype))


def copied(state: State) -> kept.State:
    """The state's values as arrays, each under a name of its own."""
    return {name: tensor.numpy().copy() for name, tensor in _named(state).items()}


def put_back(state: State, arrays: kept.State) -> State:
    """A state with the names of this one and values that `copied` gave."""
    given = {name: tf.constant(arrays[name]) for name in _named(state)}
    return State(
        trained=given["trained"],
        moved={name: given[f"moved.{name}"] for name in state.moved},
        slots={letter: given[f"slots.{letter}"] for letter in state.slots},
    )


def _named(state: State) -> dict[str, Tensor]:
    return {
        "trained": state.trained,
        **{f"moved.{name}": tensor for name, tensor in state.moved.items()},
        **{f"slots.{letter}": slot for letter, slot in state.slots.items()},
    }
