"""A job's structure as pure functions: a step, a block of steps, the outputs.

Nothing here holds weights, optimizer state, samples or a number of the optimizer: all of them are
arguments, so that a compiled program serves every seed, data set and learning rate.

    step           one update of one batch
    _step_at       update i of a block: gathers its batch, constants and masks, then `step`
    _stretch       updates i … j of a block, as a while loop in the graph
    _marked_loop   a whole block as one graph: a stretch after another, with the state kept between them
    _steps         the same block in Python, for eager execution

`block` is what a Trainer calls: `_steps`, `_through_graph` (which calls `_marked_loop`), or XLA's in `xla`.
Longer than 400 lines: these all close over the same structure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf

from likewise.shared.job import Job
from likewise.shared.job.optimizer import structure
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.constants import (
    AVERAGE,
    GATHERED,
    averaged_buffers,
    constants_by_weight,
    fixed_constants,
    gathers,
    sample_accumulation,
    slot_starts,
    update_constants,
)
from likewise.worker.adapters.tensorflow_adapter.constraints import constrained
from likewise.worker.adapters.tensorflow_adapter.losses import total_loss
from likewise.worker.adapters.tensorflow_adapter.model import Computed, Network
from likewise.worker.adapters.tensorflow_adapter.optimizers import clip, penalized, update
from likewise.worker.adapters.tensorflow_adapter.state import (
    BlockSteps,
    LoopState,
    Samples,
    Tensor,
    filled,
    followed,
)
from likewise.worker.adapters.trainer import Marks, Weights


class TracedFunction:
    """Calls the one trace of a function directly.

    A tf.function looks for the trace that fits at each call, which takes twice as long as calling it.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        """`signature` has a tf.TensorSpec, or a structure of them, for each argument."""
        self._function = tf.function(function, input_signature=signature, autograph=False)
        self._concrete: Any = None

    @property
    def traces(self) -> int:
        """Return how often it was traced: 0 or 1."""
        return int(self._function.experimental_get_tracing_count())

    def trace(self) -> None:
        """Trace it, where that is left to do."""
        if self._concrete is None:
            self._concrete = self._function.get_concrete_function()

    def __call__(self, *arguments: Any) -> Any:
        """Call the function with tensors like the signature."""
        self.trace()
        return self._concrete(*arguments)


class Program:
    """A job's structure for samples of one shape.

    Compiled, a block is one call of a graph. Its signature leaves the number of samples and all sizes of a
    block open, so that it is traced once.
    """

    axes: tuple[None, ...] = ()
    """The axes before those of each weight, slot and constant: none for one training."""

    def __init__(self, program: ProgramSpec, job: Job, *, samples: tuple[tf.TensorSpec, ...]) -> None:
        """`samples` has the dtypes and shapes of the training samples' arrays, for any number of them."""
        self.network = Network(program, precision=job.precision, initializers=False)
        self.execution = "eager"
        """This is what `Trainer.execution` says."""
        shapes = program.weight_shapes
        self._shapes = [shapes[name] for name in self.network.trainable]
        self._sizes = [prod(shape) for shape in self._shapes]
        self._optimizer = structure(job.optimizer)
        self._beside = [GATHERED] * gathers(job.training) + [AVERAGE] * job.optimizer.use_ema
        self._averaged = averaged_buffers(program, job.optimizer)
        self._by_weight = {
            name: self._spread(numbers, job.precision)
            for name, numbers in constants_by_weight(program, job.optimizer).items()
        }
        self.dropped = [mask.path for mask in program.masks]
        """The paths of the layers that are given masks."""
        self._loss = total_loss(job.losses, program)
        self._reports_penalty = job.training.report_penalty
        declared = {weight.name: weight.constraint for weight in program.weights}
        self._constraints = [declared[name] for name in self.network.trainable]
        self._precision = job.precision
        self.block: Callable[[LoopState, Samples, BlockSteps, int], tuple[LoopState, Tensor, Marks]] = (
            self._steps
        )
        """Trains a block, marked after every so many updates: the state after it, the losses, the marks."""
        self.outputs: Any = self._outputs
        self.training_outputs: Any = self._training_outputs
        if job.execution != "eager":
            self._compile(job, samples)

    def prepared(self, samples: Samples) -> Samples:
        """Return the samples in the form that `block` takes."""
        return samples

    def ready(self, batch_size: int, samples: Samples) -> bool:  # noqa: ARG002 -- all sizes are one program
        """Return whether `block` is compiled for batches of this size from these samples."""
        return self.execution == "eager" or self._loop.traces > 0

    def _compile(self, job: Job, samples: tuple[tf.TensorSpec, ...]) -> None:
        self.execution = "compiled (tf.function)"
        every = tf.TensorSpec([], tf.int32)
        self._loop = TracedFunction(
            self._marked_loop, [*self._block_spec(job, samples, indices_rank=2), every]
        )
        self.block = self._through_graph
        received = tf.TensorSpec(samples[0].shape, job.precision)
        self.outputs = TracedFunction(self._outputs, [self._weights_spec(job), received])
        masks = {path: tf.TensorSpec(None, job.precision) for path in self.dropped}
        self.training_outputs = TracedFunction(
            self._training_outputs, [self._weights_spec(job), received, masks]
        )

    def _block_spec(self, job: Job, samples: tuple[tf.TensorSpec, ...], *, indices_rank: int) -> list[Any]:
        return [self._state_spec(job), samples, self._steps_spec(job, indices_rank)]

    def _weights_spec(self, job: Job) -> dict[str, tf.TensorSpec]:
        return {
            name: tf.TensorSpec([*self.axes, *shape], job.precision)
            for name, shape in self.network.program.weight_shapes.items()
        }

    def _state_spec(self, job: Job) -> LoopState:
        values = tf.TensorSpec([*self.axes, sum(self._sizes)], job.precision)
        specs = self._weights_spec(job)
        return LoopState(
            trained=values,
            moved={name: specs[name] for name in self.network.program.state},
            slots=dict.fromkeys([*slot_starts(job.optimizer), *self._beside], values)
            | {slot: specs[name] for name, slot in self._averaged.items()},
        )

    def _steps_spec(self, job: Job, indices_rank: int) -> BlockSteps:
        floats, axes = job.precision, self.axes
        changing = update_constants(
            self._optimizer,
            learning_rates=np.ones(1),
            first_step=0,
            accumulation=sample_accumulation(job.training),
        )
        return BlockSteps(
            indices=tf.TensorSpec([None] * indices_rank, tf.int64),
            fixed={name: tf.TensorSpec(axes, floats) for name in fixed_constants(self._optimizer)},
            changing={name: tf.TensorSpec([*axes, None], floats) for name in changing},
            masks={path: tf.TensorSpec(None, floats) for path in self.dropped},
        )

    def start(self, weights: Weights, starts: Mapping[str, Any]) -> LoopState:
        """Return the state before the first step. `starts` has each slot's first value, by its letter."""
        trained = self._side_by_side([weights[name] for name in self.network.trainable])
        return LoopState(
            trained=trained,
            moved={name: tf.constant(weights[name]) for name in self.network.program.state},
            slots={letter: filled(trained, start) for letter, start in starts.items()}
            | {name: trained if name == AVERAGE else tf.zeros_like(trained) for name in self._beside}
            | {slot: tf.constant(weights[name]) for name, slot in self._averaged.items()},
        )

    def weights(self, state: LoopState) -> dict[str, Tensor]:
        """Return all weights of the network, by canonical name, in its order."""
        weights = state.moved | dict(zip(self.network.trainable, self._apart(state.trained), strict=True))
        return {name: weights[name] for name in self.network.program.weight_shapes}

    def _apart(self, values: Tensor) -> list[Tensor]:
        """Return the trainable weights, each (…, *shape), that lie side by side in values (…, size)."""
        parts = tf.split(values, self._sizes, axis=-1) if self._sizes else []
        shapes = zip(parts, self._shapes, strict=True)
        return [tf.reshape(part, [*values.shape[:-1], *shape]) for part, shape in shapes]

    def _side_by_side(self, weights: Sequence[Any]) -> Tensor:
        """Return the trainable weights in one tensor: the reverse of `_apart`."""
        if not weights:
            return tf.zeros([*self.axes, 0], self._precision)
        flat = [
            tf.reshape(array, [*array.shape[: len(self.axes)], size])
            for array, size in zip(weights, self._sizes, strict=True)
        ]
        return tf.concat(flat, axis=-1)

    def _spread(self, numbers: Mapping[str, float], precision: str) -> Tensor:
        """Return a number for each trainable weight as a tensor (values,), over all of its values."""
        parts = [
            np.full(size, numbers[name])
            for name, size in zip(self.network.trainable, self._sizes, strict=True)
        ]
        return tf.constant(np.concatenate(parts), precision)

    def step(
        self,
        state: LoopState,
        batch: Samples,
        *,
        constants: dict[str, Tensor],
        masks: Mapping[str, Tensor],
    ) -> tuple[LoopState, Tensor]:
        """Do one update; return the state after it, and the batch's loss before it."""
        weights = self.weights(state)
        trained = [weights[name] for name in self.network.trainable]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(trained)
            x, *targets = batch
            outputs, after, added = self.network(weights, x, masks)
            loss = self._loss(outputs, *targets)
            whole = loss if added is None else loss + tf.reduce_sum(added)
        moved = {name: after[name] for name in state.moved}
        if not trained:
            return LoopState(state.trained, moved, state.slots), whole if self._reports_penalty else loss
        # an embedding's gradient comes as the rows it touched
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(whole, trained)]
        if self._by_weight.keys() & {"l2", "follows"}:
            whole, gradient = penalized(whole, _flat(gradients), state.trained, self._by_weight)
            gradients = self._apart(gradient)
        reported = whole if self._reports_penalty else loss
        values, slots = self._stepped(state, gradients, constants | self._by_weight)
        slots |= followed(state, moved, self._averaged, constants)
        return LoopState(self._constrained(values), moved, slots), reported

    def _constrained(self, values: Tensor) -> Tensor:
        """Return the trained weights (values,), each as its constraint has it."""
        if not any(self._constraints):
            return values
        weights = zip(self._constraints, self._apart(values), strict=True)
        return _flat([constrained(constraint, weight) for constraint, weight in weights])

    def _stepped(
        self, state: LoopState, gradients: list[Tensor], constants: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weights and slots after a batch whose gradients, by weight, are these.

        The gradients are gathered first, and the update is done where their group is complete.
        """
        others = {*self._beside, *self._averaged.values()}
        own = {name: slot for name, slot in state.slots.items() if name not in others}
        beside = {}
        if GATHERED in self._beside:
            gathered = constants["keeps"] * state.slots[GATHERED] + constants["shares"] * _flat(gradients)
            beside[GATHERED] = gathered
            gradients = self._apart(gathered / constants["divisors"])
        values, slots = update(
            self._optimizer,
            weights=state.trained,
            gradient=_flat(clip(self._optimizer, gradients, constants)),
            slots=own,
            constants=constants,
        )
        if AVERAGE in self._beside:
            average = state.slots[AVERAGE]
            slots[AVERAGE] = average + constants["ema_share"] * (values - average)
        if GATHERED in self._beside:
            applies = constants["applies"] > 0
            values = tf.where(applies, values, state.trained)
            slots = {name: tf.where(applies, slot, state.slots[name]) for name, slot in slots.items()}
        slots |= beside
        return values, {name: slots[name] for name in state.slots if name in slots}

    def _outputs(self, weights: Mapping[str, Tensor], x: Tensor) -> Computed:
        """Compute the outputs in inference mode: x (m, *features) → (m, outputs)."""
        return self.network.computed(weights, x)

    def _training_outputs(
        self, weights: Mapping[str, Tensor], x: Tensor, masks: Mapping[str, Tensor]
    ) -> Computed:
        """Compute the outputs in training mode, of which nothing is kept: x (m, *features) → (m, outputs)."""
        return self.network.computed(weights, x, masks)

    def computed(self, state: LoopState, x: Any, masks: Mapping[str, Any] | None) -> tuple[Any, Any]:
        """Return the outputs and what is added to their loss as arrays, in training mode with masks."""
        if masks is None:
            outputs, added = self.outputs(self.weights(state), tf.constant(x))
        else:
            given = {path: tf.constant(mask) for path, mask in masks.items()}
            outputs, added = self.training_outputs(self.weights(state), tf.constant(x), given)
        return outputs.numpy(), added.numpy()

    def _step_at(
        self, i: Tensor, state: LoopState, samples: Samples, steps: BlockSteps
    ) -> tuple[LoopState, Tensor]:
        """Do step i of a block; return the state after it, and its loss."""
        rows = tf.gather(steps.indices, i)
        changing = {name: tf.gather(values, i) for name, values in steps.changing.items()}
        return self.step(
            state,
            tuple(tf.gather(array, rows) for array in samples),
            constants=steps.fixed | changing,
            masks={path: tf.gather(mask, i) for path, mask in steps.masks.items()},
        )

    def _steps(
        self, state: LoopState, samples: Samples, steps: BlockSteps, every: int
    ) -> tuple[LoopState, Tensor, Marks]:
        """Train the block step by step."""
        losses, passed = [], []
        for i in range(len(steps.indices)):
            if i % every == 0:
                passed.append(state)
            state, loss = self._step_at(i, state, samples, steps)
            losses.append(loss)
        return state, tf.stack(losses), Marks(every=every, at=passed.__getitem__)

    def _through_graph(
        self, state: LoopState, samples: Samples, steps: BlockSteps, every: int
    ) -> tuple[LoopState, Tensor, Marks]:
        """Train the block in one call of the graph."""
        after, losses, passed = self._loop(state, samples, steps, tf.constant(every))

        def at(mark: int) -> LoopState:
            return (
                tf.nest.map_structure(lambda states: tf.gather(states, mark - 1), passed) if mark else state
            )

        return after, losses, Marks(every=every, at=at)

    def _marked_loop(
        self, state: LoopState, samples: Samples, steps: BlockSteps, every: Tensor
    ) -> tuple[LoopState, Tensor, LoopState]:
        """Train the block as a loop in the graph; return its end, the losses, and the states at its marks.

        The last have the marks as their first axis, without the first one, which is the state before the
        block: (marks − 1, …).
        """
        count = tf.shape(steps.indices)[-2]
        marks = (count + every - 1) // every

        def body(
            mark: Tensor, state: LoopState, losses: Any, passed: Any
        ) -> tuple[Tensor, LoopState, Any, Any]:
            passed = tf.nest.map_structure(lambda array, part: array.write(mark, part), passed, state)
            begin = mark * every
            state, losses = self._stretch(
                begin, tf.minimum(begin + every, count), state, losses, samples=samples, steps=steps
            )
            return mark + 1, state, losses, passed

        passed = tf.nest.map_structure(
            lambda part: tf.TensorArray(part.dtype, size=marks, element_shape=part.shape), state
        )
        _, state, losses, passed = tf.while_loop(
            lambda mark, *_: mark < marks,
            body,
            (tf.constant(0), state, self._no_losses(steps), passed),
            parallel_iterations=1,
        )
        # gathering copies, so the states are not gathered where no mark lies within the block
        later = tf.range(1, marks)
        return state, losses.stack(), tf.nest.map_structure(lambda array: array.gather(later), passed)

    def _counted_loop(
        self, count: Tensor, state: LoopState, samples: Samples, steps: BlockSteps
    ) -> tuple[LoopState, Tensor]:
        """Do the first `count` steps of a block as a loop; return the state after them, and the losses."""
        state, losses = self._stretch(
            tf.constant(0), count, state, self._no_losses(steps), samples=samples, steps=steps
        )
        return state, losses.stack()

    def _stretch(
        self,
        begin: Tensor,
        end: Tensor,
        state: LoopState,
        losses: Any,
        *,
        samples: Samples,
        steps: BlockSteps,
    ) -> tuple[LoopState, Any]:
        """Do the steps `begin` to `end` − 1 of a block, and write their losses to the array `losses`."""

        def body(i: Tensor, state: LoopState, losses: Any) -> tuple[Tensor, LoopState, Any]:
            state, loss = self._step_at(i, state, samples, steps)
            return i + 1, state, losses.write(i, loss)

        _, state, losses = tf.while_loop(
            lambda i, *_: i < end, body, (begin, state, losses), parallel_iterations=1
        )
        return state, losses

    def _no_losses(self, steps: BlockSteps) -> Any:
        return tf.TensorArray(self._precision, size=tf.shape(steps.indices)[-2], element_shape=self.axes)


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    """Put the gradients of the trainable weights side by side: (values,)."""
    return tf.concat([tf.reshape(g, [-1]) for g in gradients], axis=0)
