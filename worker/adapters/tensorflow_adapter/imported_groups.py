"""Grouped convolutions of a hosted Keras program, whose gradients TensorFlow has no kernel for on a CPU."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2

if not IS_2:  # which has no such functions
    from keras.src import backend

    _whole = backend.nn.conv


def split_groups() -> None:
    """Let Keras convolve group by group from now on, which gives the same numbers and has gradients.

    Keras itself compiles such a convolution, which a hosted program cannot do: its functions run eagerly.
    """
    if not IS_2:
        backend.nn.conv = _conv


def _conv(inputs: Any, kernel: Any, *arguments: Any, **named: Any) -> Any:
    given = named.get("data_format") or (arguments[2] if len(arguments) > 2 else None)
    axis = -1 if backend.standardize_data_format(given) == "channels_last" else 1
    groups = inputs.shape[axis] // kernel.shape[-2]
    if groups == 1:
        return _whole(inputs, kernel, *arguments, **named)
    parts = zip(tf.split(inputs, groups, axis), tf.split(kernel, groups, -1), strict=True)
    return tf.concat([_whole(one, two, *arguments, **named) for one, two in parts], axis)
