"""Keras as a hosted program is written in it: version 3, or version 2 (`tf_keras`), by one set of names.

Which one is decided before this is imported, by TensorFlow's own switch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

IS_2 = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
keras: Any = import_module("tf_keras" if IS_2 else "keras")
L = keras.layers
CALLED: tuple[Any, ...] = (L.Layer,)
"""The classes whose `__call__` runs whatever a program calls."""
OPS: Any = None
"""The functions of Keras that a program may call by themselves; version 2 has none."""
if IS_2:
    RANDOM: Any = import_module("tf_keras.src.backend").RandomGenerator
    SETTERS: tuple[Any, ...] = (keras.backend.set_floatx, keras.mixed_precision.set_global_policy)
else:
    CALLED = (import_module("keras.src.ops.operation").Operation, L.Layer)
    OPS = keras.ops
    RANDOM = import_module("keras.src.backend").random
    SETTERS = (keras.config.set_floatx, keras.config.set_dtype_policy)


def path_of(variable: Any) -> str:
    """Return the name of a variable with those of its layers."""
    return str(variable.name.partition(":")[0] if IS_2 else variable.path)


def own_variables(layer: Any) -> list[Any]:
    """Return the variables that a layer has beside those of its parts."""
    if IS_2:
        return [*layer._trainable_weights, *layer._non_trainable_weights]
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def children(layer: Any) -> list[Any]:
    """Return the layers that a layer is made of."""
    if isinstance(layer, keras.Model) or IS_2 or hasattr(layer, "_layers"):
        return list(layer._flatten_layers(include_self=False, recursive=False))
    return []
