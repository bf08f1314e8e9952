"""The model in Keras layers, trained or looked into; weight names and layouts are Keras's own already."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Literal, cast

import keras
import tensorflow as tf

from likewise.shared.job import Job
from likewise.shared.job.layers.recurrent import Bidirectional, Gru, Lstm
from likewise.shared.job.regularizers import ActivityRegularizer, strengths
from likewise.shared.program import ProgramSpec, Stage
from likewise.shared.program.penalties import penalized_outputs
from likewise.worker.adapters.common import check_weights, with_penalty
from likewise.worker.adapters.tensorflow_adapter.layers import Cell, keras_layer, step_by_step
from likewise.worker.adapters.tensorflow_adapter.losses import loss_terms
from likewise.worker.adapters.tensorflow_adapter.recurrence import is_written_out, recurrence
from likewise.worker.adapters.trainer import Batch, Floats, Observed, Observer, Weights

Tensor = Any
Computed = tuple[Tensor, Tensor]
"""The outputs for a batch, and the two numbers (2,) that are added to its loss."""


class Network:
    """The model's layers, applied one after another to weights that are given: it keeps none itself."""

    def __init__(self, program: ProgramSpec, *, precision: str, initializers: bool) -> None:
        """Build every layer; `initializers` is whether `initial` are Keras's own, else they are zeros."""
        self._layers: list[tuple[Stage, Any]] = []
        self._variables: dict[str, Any] = {}
        self.sources = [stage.reads for stage in program.stages]
        self.paths = [stage.path for stage in program.stages]
        for stage in program.stages:
            built = keras_layer(stage, precision=precision, initializers=initializers)
            if stage.weights:
                built.build(*((None, *shape) for shape in stage.inputs))
                for weight, variable in zip(stage.weights, built.weights, strict=True):
                    self._variables[weight.name] = variable
            self._layers.append((stage, built))
        self._precision = precision
        # by a constant XLA would multiply with its reciprocal, which has other bits
        self._mean, self._scale = (
            None if values is None else tf.Variable(values, dtype=precision, trainable=False)
            for values in (program.rescale.mean, program.rescale.scale)
        )
        self._penalized = penalized_outputs(program)
        self.recurrent: Literal["looped", "unrolled", "keras"] = "looped"
        """How recurrent layers go: in loops of our own, step by step in the graph as tf.vectorized_map needs
        them, or as Keras has them, which XLA compiles to the quickest code."""
        self.program = program
        self.input_shape, self.output_shape = program.input_shape, program.output_shape
        self.trainable = program.trainable
        """The names of the weights that the optimizer sees."""

    def __call__(
        self, weights: Mapping[str, Tensor], x: Tensor, masks: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        """Return the outputs for x (b, *input_shape), the weights after it, and what the loss has added.

        The weights are those given, with the statistics that a layer moved; what is added is None where no
        layer's output is penalized. In training with a mask for each dropout layer, else without masks.
        """
        with self.given(weights) as scope:
            outputs = self._outputs(x, masks)
        after = {name: scope.get_current_value(variable) for name, variable in self._variables.items()}
        return outputs[-1], after, self.penalty(outputs)

    def computed(
        self, weights: Mapping[str, Tensor], x: Tensor, masks: Mapping[str, Tensor] | None = None
    ) -> Computed:
        """Return the outputs, and what the loss has added, which is zeros for nothing."""
        outputs, _, added = self(weights, x, masks)
        return outputs, tf.zeros([2], outputs.dtype) if added is None else added

    def given(self, weights: Mapping[str, Tensor]) -> Any:
        """Make a context in which `apply_layer` uses these weights; Keras keeps there what a layer moves."""
        return keras.StatelessScope(
            state_mapping=[(variable, weights[name]) for name, variable in self._variables.items()]
        )

    def _outputs(self, x: Tensor, masks: Mapping[str, Tensor] | None) -> list[Tensor]:
        outputs = [self.received(x)]
        for index, sources in enumerate(self.sources):
            outputs.append(self.apply_layer(index, [outputs[place] for place in sources], masks))
        return outputs

    def penalty(self, outputs: Sequence[Tensor]) -> Tensor | None:
        """Return what the outputs (b, …) of x and of every layer add to a batch's loss; None for nothing.

        Those are two numbers (2,): the samples' means, and their sums (see `shared.job.regularizers`).
        """
        found = [_penalty(one, outputs[place + 1]) for place, one in self._penalized.items()]
        return reduce(add, found) if found else None

    def received(self, x: Tensor) -> Tensor:
        """Return samples, stored in any dtype, as the first layer takes them: see `Rescale`."""
        x = tf.cast(x, self._precision)
        if self._mean is not None:
            x -= self._mean
        return x if self._scale is None else x / self._scale

    def apply_layer(self, index: int, inputs: Sequence[Tensor], masks: Mapping[str, Tensor] | None) -> Tensor:
        """Apply one layer to its inputs, with the weights `given`; `sources` names them, 0 being x."""
        stage, built = self._layers[index]
        inputs, told = inputs[: len(stage.sources)], inputs[len(stage.sources) :]
        options: dict[str, Any] = {"mask": _counted(stage, told)} if stage.padding else {}
        x = inputs[0]
        if stage.kind == "batch_norm":
            options["training"] = masks is not None and stage.layer.uses_batch
        if len(inputs) > 1:
            return built(list(inputs), **options)
        if stage.cells and (self.recurrent == "unrolled" or self._loops(stage)):
            weights = [weight.value for weight in built.weights]
            if self.recurrent == "unrolled":
                return step_by_step(cast("Cell | Bidirectional", stage.layer), weights, x, **options)
            return recurrence(cast("Lstm | Gru | Bidirectional", stage.layer), weights, x)
        if built is not None:
            # Keras would hand its own mask on; what a stage leaves out is said by its padding alone
            return tf.identity(built(x, **options)) if stage.padding else built(x, **options)
        if masks is not None and stage.mask is not None:
            return x * tf.ensure_shape(masks[stage.path], x.shape)
        return x

    def _loops(self, stage: Stage) -> bool:
        return self.recurrent == "looped" and not stage.padding and is_written_out(stage.layer)

    def initial(self) -> Weights:
        """Return the weights that the layers were built with."""
        return {name: variable.numpy() for name, variable in self._variables.items()}


def _penalty(regularizer: ActivityRegularizer, output: Tensor) -> Tensor:
    """Return what an output (b, …) adds to its batch's loss as a mean, and as a sum: (2,)."""
    l1, l2 = strengths(regularizer)
    total = l1 * tf.reduce_sum(tf.abs(output)) + l2 * tf.reduce_sum(tf.square(output))
    if regularizer.reduction == "sum":
        return tf.stack([tf.zeros_like(total), total])
    return tf.stack([total / tf.cast(tf.shape(output)[0], total.dtype), tf.zeros_like(total)])


def _counted(stage: Stage, told: Sequence[Tensor]) -> Tensor:
    """Return which steps count (b, steps), from the numbers that say which are padding."""
    counted = None
    for padding, numbers in zip(stage.padding, told, strict=True):
        here = tf.not_equal(numbers, tf.constant(padding.value, numbers.dtype))
        here = tf.reduce_any(here, axis=-1) if len(here.shape) > 2 else here
        counted = here if counted is None else tf.logical_or(counted, here)
    return counted


def default_weights(program: ProgramSpec, *, precision: str, seed: int) -> Weights:
    """Return what `keras.utils.set_random_seed(seed)` and Keras's default initializers give.

    Keras's initializers take their seeds from Python's generator, which is put back afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        network = Network(program, precision=precision, initializers=True)
    finally:
        random.setstate(state)
    return network.initial()


class TensorFlowObserver(Observer):
    """Looks into a step in TensorFlow, on a network of its own that is given the weights each time."""

    def __init__(self, program: ProgramSpec, job: Job, *, device: str) -> None:
        self._device = device
        with tf.device(device):
            self._network = Network(program, precision=job.precision, initializers=False)
        self._terms = loss_terms(job.losses, program)

    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        """Compute outputs, loss and gradients of one step (see `Observer.observe`)."""
        check_weights(self._network.program.weight_shapes, weights)
        with tf.device(self._device):
            given, dropping = _constants(weights), _constants(masks)
            x, *targets = map(tf.constant, batch.arrays)
            outputs = [self._network.received(x)]
            trained = {name: given[name] for name in self._network.trainable}
            with tf.GradientTape(watch_accessed_variables=False) as tape, self._network.given(given):
                tape.watch(trained)
                for index, sources in enumerate(self._network.sources):
                    inputs = [outputs[place] for place in sources]
                    outputs.append(self._network.apply_layer(index, inputs, dropping))
                terms = self._terms(outputs[-1], *targets)
                added = self._network.penalty(outputs)
                loss = reduce(add, [*terms.values(), *([] if added is None else [tf.reduce_sum(added)])])
            # an embedding's gradient comes as the rows it touched
            gradients = {
                name: tf.convert_to_tensor(g).numpy() for name, g in tape.gradient(loss, trained).items()
            }
        observed = Observed(
            layers={
                path: output.numpy() for path, output in zip(self._network.paths, outputs[1:], strict=True)
            },
            loss=float(loss),
            terms={name: float(term) for name, term in terms.items()},
            gradients=gradients,
        )
        return with_penalty(observed, self._network.program, weights)

    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """Compute single layers again (see `Observer.refed`)."""
        check_weights(self._network.program.weight_shapes, weights)
        with tf.device(self._device), self._network.given(_constants(weights)):
            dropping = _constants(masks)
            return {
                path: self._network.apply_layer(
                    index, [tf.constant(one) for one in inputs[path]], dropping
                ).numpy()
                for index, path in enumerate(self._network.paths)
                if path in inputs
            }


def _constants(arrays: Mapping[str, Floats]) -> dict[str, Tensor]:
    return {path: tf.constant(array) for path, array in arrays.items()}
