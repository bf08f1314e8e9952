"""A program through XLA, which fuses operations: faster than the graph as written, equal up to rounding.

XLA compiles for fixed sizes. So a block is padded to a fixed number of steps, of which the loop runs only the
real ones, and the samples are padded to a power of two, of which only the real ones are ever gathered. One
program then serves blocks of any length, and data sets of about one size.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import tensorflow as tf

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.tensorflow_adapter.program import Program
from likewise.worker.adapters.tensorflow_adapter.state import BlockSteps, LoopState, Samples
from likewise.worker.adapters.trainer import Marks

Tensor = Any

_SLOW = {"conv1d", "conv2d", "conv3d"}
"""Kinds of stages that XLA runs several times slower on the CPU."""
FROM_UPDATES = 50_000
"""This many updates make `auto` take XLA on the CPU; a third would repay it (decision 0018). Each time
step of a recurrent layer counts as one: XLA gains 20 µs on it."""
MOST_STEPS = 1024
"""The most steps of one call. Padding costs a copy, calls cost 0.2 ms."""
MOST_PADDED_BYTES = 32 * 2**20
MOST_BYTES = 4 * 2**20
"""The most bytes of indices and masks in one call, unless a single step takes more."""


def repays(job: Job, program: ProgramSpec, *, samples: int) -> bool:
    """Return whether a training on so many samples has updates enough to repay the compiling on a CPU."""
    each = max(1, sum(cell.steps for cell in program.cells))
    return BatchPlan.of(job.training, samples).steps * each >= FROM_UPDATES


def kind_of_program(program: ProgramSpec, job: Job, *, samples: int) -> type[Program]:
    """Return how a job on so many samples is compiled: through XLA where it is asked for or pays."""
    pays = repays(job, program, samples=samples) and not tf.config.get_visible_devices("GPU")
    fused = job.execution == "compiled" or (job.execution == "auto" and pays)
    return XlaProgram if fused else Program


class XlaProgram(Program):
    """A program in XLA. What it cannot compile, or runs slower, runs as the graph; `execution` says so."""

    def _compile(self, job: Job, samples: tuple[tf.TensorSpec, ...]) -> None:
        super()._compile(job, samples)
        self.execution = "compiled (XLA)"
        self._graph = self.block
        self._fused = tf.function(self._counted_by_keras, jit_compile=True, autograph=False)
        self._compiled_sizes: set[tuple[int, int]] = set()
        self.block = self._through_xla
        convolves = any(stage.kind in _SLOW for stage in self.network.program.stages)
        if convolves and not tf.config.get_visible_devices("GPU"):
            self._leave_xla("XLA's convolutions are several times slower on the CPU")

    def _counted_by_keras(
        self, count: Tensor, state: LoopState, samples: Samples, steps: BlockSteps
    ) -> tuple[LoopState, Tensor]:
        """Do as `_counted_loop` does, with Keras's recurrent layers: XLA makes the quickest code of those."""
        self.network.recurrent = "keras"
        try:
            return self._counted_loop(count, state, samples, steps)
        finally:
            self.network.recurrent = "looped"

    def _leave_xla(self, why: str) -> None:
        self.block = self._graph
        self.execution = f"compiled (tf.function; {why})"

    def prepared(self, samples: Samples) -> Samples:
        """Return the samples, padded with zeros to a power of two; large ones as they are.

        A copy of those would cost more memory than a program for their very number takes time.
        """
        if sum(array.dtype.size * int(np.prod(array.shape)) for array in samples) > MOST_PADDED_BYTES:
            return samples
        return tuple(_padded(array, _power_of_two(len(array))) for array in samples)

    def ready(self, batch_size: int, samples: Samples) -> bool:
        """Return whether batches of this size need no compiling."""
        if self.block is self._graph:
            return super().ready(batch_size, samples)
        return (batch_size, len(samples[0])) in self._compiled_sizes

    def _through_xla(
        self, state: LoopState, samples: Samples, steps: BlockSteps, every: int
    ) -> tuple[LoopState, Tensor, Marks]:
        """Train the block in calls of equal size; marks stand between two calls."""
        count, batch_size = steps.indices.shape
        most = _steps_at_once(steps)
        apart = most * ceil(every / most)
        start, losses, passed = state, [], []
        for begin in range(0, count, most):
            if begin % apart == 0:
                passed.append(state)
            part = _cut(steps, begin, min(begin + most, count))
            try:
                state, some = self._fused(tf.constant(len(part.indices)), state, samples, _full(part, most))
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
                if (batch_size, len(samples[0])) in self._compiled_sizes or "compil" not in str(error):
                    raise
                self._leave_xla("XLA cannot compile this model")
                return self.block(start, samples, steps, every)
            losses.append(some[: len(part.indices)])
        self._compiled_sizes.add((batch_size, len(samples[0])))
        return state, tf.concat(losses, axis=0), Marks(every=apart, at=passed.__getitem__)


def _steps_at_once(steps: BlockSteps) -> int:
    """Return the steps of one call: a power of two, the same for all blocks with batches of one size."""
    count = len(steps.indices)
    taken = [steps.indices, *steps.masks.values()]
    step_bytes: int = sum(int(np.prod(array.shape)) * array.dtype.size for array in taken) // count
    fitting: int = max(1, MOST_BYTES // step_bytes)
    return min(MOST_STEPS, 1 << (fitting.bit_length() - 1))


def _cut(steps: BlockSteps, begin: int, end: int) -> BlockSteps:
    return _each(steps, lambda array: array[begin:end])


def _full(steps: BlockSteps, count: int) -> BlockSteps:
    return _each(steps, lambda array: _padded(array, count))


def _each(steps: BlockSteps, change: Any) -> BlockSteps:
    """Apply the change to every array that has the steps as its first axis."""
    return BlockSteps(
        indices=change(steps.indices),
        fixed=steps.fixed,
        changing={name: change(values) for name, values in steps.changing.items()},
        masks={path: change(mask) for path, mask in steps.masks.items()},
    )


def _padded(array: Tensor, count: int) -> Tensor:
    """Return the array with zeros after its rows, up to `count` rows."""
    missing = count - len(array)
    return tf.pad(array, [[0, missing], *[[0, 0]] * (len(array.shape) - 1)]) if missing else array


def _power_of_two(count: int) -> int:
    """Return the smallest power of two that is not below the count."""
    return 1 << max(0, count - 1).bit_length()
