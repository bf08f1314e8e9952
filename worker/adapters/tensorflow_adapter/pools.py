"""TensorFlow's pools of threads: one for each number that trainings take, of which one is in use.

TensorFlow makes its pool with its context, when the first operation runs, and changes it never again. So each
number has a context of its own, made when it is first asked for and kept; to take another is an assignment.
Tensors and functions belong to the context that they were made in. The contexts are TensorFlow's own, and no
public interface: a version without them keeps one pool, as large as a training may ask for. The decision is
in docs/decisions, "A run keeps its number of threads".
"""

from __future__ import annotations

from typing import Any

OWN_POOLS = {"TF_OVERRIDE_GLOBAL_THREADPOOL": "1"}
"""An environment in which each context has a pool of its own; without it all share that of the first.
TensorFlow reads it once."""


class Pools:
    """The contexts by their number of threads."""

    def __init__(self) -> None:
        self.threads = 1
        """The size of the pool in use."""
        self._contexts: dict[int, Any] = {}
        self._fixed = False

    def start(self, most: int, *, on_cpu: bool) -> None:
        """Set up the first context, before its first operation.

        It has one thread, which is what small trainings take; on a GPU, where it stays alone, it has `most`.
        """
        from tensorflow.python.eager import context

        self._fixed = not on_cpu or not hasattr(context, "_set_context")
        self.threads = most if self._fixed else 1
        self._set_up(self.threads, on_cpu=on_cpu)
        self._contexts = {self.threads: context.context()}

    def take(self, threads: int) -> int:
        """Take the pool of this many threads from now on; return how many it has."""
        from tensorflow.python.eager import context

        if self._fixed or threads == self.threads:
            return self.threads
        if threads in self._contexts:
            context._set_context(self._contexts[threads])
        else:
            self._contexts[threads] = context.Context()
            context._set_context(self._contexts[threads])
            self._set_up(threads, on_cpu=True)
        self.threads = threads
        return threads

    def _set_up(self, threads: int, *, on_cpu: bool) -> None:
        """Say what a context runs on, before its first operation."""
        import tensorflow as tf

        if on_cpu:
            tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        # The graph optimizer regroups products and turns quotients into products; the formulas are
        # pinned operation by operation, so the graph is run as it was written.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
