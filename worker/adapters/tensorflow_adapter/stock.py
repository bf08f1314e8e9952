"""Trains the plain Keras program of a job by its own `fit`, as `likewise code` prints it.

`fit` gets a callback, which hears of epochs. In a comparison the samples come in the given order and dropouts
take the given masks; where it is timed nothing else of it is touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

import keras
import tensorflow as tf

from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.base import Start
from likewise.worker.adapters.placement import Placement
from likewise.worker.adapters.trainer import Floats, StockTrainer, Watch, Weights


class KerasStock(StockTrainer):
    """A functional model with its optimizer and `fit`."""

    def __init__(self, names: dict[str, Any], program: ProgramSpec, job: Job, *, start: Start) -> None:
        """Make the model with the weights that all sides start from."""
        self.execution, self.compiles = "stock (fit)", True
        self._names, self._rescale = names, program.rescale
        self._precision, self._shapes = job.precision, program.weight_shapes
        with self._defaults():
            keras.utils.set_random_seed(start.seed % 2**32)
            self._model = self._made(start.weights)
            self._optimizer = names["optimizer"](self._model)
        self._samples = (self._rescaled(start.samples.x), *start.samples.arrays[1:])

    def train_whole(self, watch: Watch) -> None:
        """Run the program's `fit`."""
        listening, model = _Listening(watch), self._model
        model.fit = partial(_listened, model.fit, listening)
        if watch.order is not None and self._names["dropouts"]:
            model.compile = partial(model.compile, jit_compile=False)  # XLA cannot ask NumPy for masks
        with self._defaults(), _drawn_by(watch, listening, self._names["dropouts"]):
            self._names["train"](model, self._optimizer, *self._samples)

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the outputs in inference mode."""
        if masks is not None:
            raise NotImplementedError("a stock program is given no masks in evaluations")
        outputs: Floats = self._model(tf.constant(self._rescaled(x)), training=False).numpy()
        return outputs

    def weights(self) -> Weights:
        """Return the weights in Keras's layouts."""
        with self._defaults():
            return self._placement.read(_arrays(self._model))

    @cached_property
    def _placement(self) -> Placement:
        dropouts = dict(self._names["dropouts"])
        found = Placement(self._shapes, lambda weights: _arrays(self._made(weights)))
        self._names["dropouts"].update(dropouts)  # those of the model that trains
        return found

    def _made(self, weights: Weights) -> Any:
        self._names["weights"] = weights
        return self._names["model"]()

    def _rescaled(self, x: Any) -> Floats:
        return x if self._rescale is None else self._rescale.apply(x, self._precision)

    @contextmanager
    def _defaults(self) -> Iterator[None]:
        """Have Keras as a program of its own finds it, in the job's precision; then as a worker needs it."""
        floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
        keras.config.set_floatx(self._precision)
        keras.config.set_dtype_policy(self._precision)  # a process that has made a layer keeps the first
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
        try:
            yield
        finally:
            keras.config.set_floatx(floatx)
            keras.config.set_dtype_policy(policy)
            tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


class _Listening(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells of the first update and of each epoch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch, self._compiled = watch, False
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 -- Keras passes it
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 -- Keras passes them
        if not self._compiled:
            self._compiled = True
            self._watch.compiled()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 -- Keras passes it
        self._watch.after_epoch(float(logs["loss"]))


def _listened(
    fit: Any, listening: _Listening, *given: Any, callbacks: Sequence[Any] = (), **named: Any
) -> Any:
    return fit(*given, callbacks=[*callbacks, listening], verbose=0, **named)


def _arrays(model: Any) -> list[Floats]:
    return [one.numpy() for one in model.weights]


@contextmanager
def _drawn_by(
    watch: Watch, listening: _Listening, dropouts: Mapping[str, tuple[Any, bool]]
) -> Iterator[None]:
    """Put the given order in the place of a shuffle, and given masks in that of a dropout's."""
    if watch.order is None:
        yield
        return
    order = watch.order

    def ordered(count: Any) -> Any:
        drawn = tf.numpy_function(lambda: order(listening.epoch), [], tf.int64)
        return tf.ensure_shape(drawn, [count])

    def shuffled(dataset: Any, size: int, *_: Any, **__: Any) -> Any:
        """Give a whole dataset in order: the program shuffles with a buffer for all samples."""
        rows = dataset.batch(size).map(lambda *all: tuple(tf.gather(one, ordered(None)) for one in all))
        return rows.unbatch().apply(tf.data.experimental.assert_cardinality(len(order(0))))

    own = tf.random.shuffle, tf.data.Dataset.shuffle
    tf.random.shuffle = lambda values, *_, **__: tf.gather(values, ordered(values.shape[0]))
    tf.data.Dataset.shuffle = shuffled
    for path, (layer, _) in dropouts.items():
        layer.call = _masked(watch, path)
    try:
        yield
    finally:
        tf.random.shuffle, tf.data.Dataset.shuffle = own


def _masked(watch: Watch, path: str) -> Any:
    steps = iter(range(2**62))

    def call(inputs: Any, training: bool = False) -> Any:
        if not training:
            return inputs
        mask = tf.numpy_function(lambda: watch.masks(path, next(steps)), [], inputs.dtype)
        return inputs * tf.ensure_shape(mask, inputs.shape)

    return call
