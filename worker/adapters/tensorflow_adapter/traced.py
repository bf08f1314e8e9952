"""A function traced once, for one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Traced:
    """Calls the one trace of a function directly.

    A tf.function looks for the trace that fits at each call, which takes twice as long as calling it.
    """

    def __init__(self, function: Callable[..., Any], signature: list[Any]) -> None:
        """`signature` has a tf.TensorSpec, or a structure of them, for each argument."""
        self._function = tf.function(function, input_signature=signature, autograph=False)
        self._concrete: Any = None

    @property
    def traces(self) -> int:
        """How often it was traced: 0 or 1."""
        return int(self._function.experimental_get_tracing_count())

    def trace(self) -> None:
        """Trace it, where that is left to do."""
        if self._concrete is None:
            self._concrete = self._function.get_concrete_function()

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns for tensors like the signature."""
        self.trace()
        return self._concrete(*arguments)
