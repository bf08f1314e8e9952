"""Checkpoints of a user's Keras model: Keras's own files, and arrays by the variables' paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likewise.worker.adapters.tensorflow_adapter.imported_keras import keras, path_of
from likewise.worker.port.checkpoints import read_arrays, write_arrays
from likewise.worker.port.contract import ProgramError

_OWN = (".keras", ".weights.h5")


def restore(given: Any, file: Path) -> None:
    """Replace a model's weights by those of a file. No layer is made of it, so no code in it runs.

    Raises ProgramError where it does not fit.
    """
    model = _lone(given)
    if file.suffix in (".keras", ".h5"):
        model.load_weights(file)
        return
    arrays = read_arrays(file, more=_OWN)
    variables = {path_of(one): one for one in model.variables if "seed_generator" not in path_of(one)}
    missing = [name for name in variables if name not in arrays]
    if missing:
        there = ", ".join(list(arrays)[:5])
        raise ProgramError(f"{file.name} has no array {missing[0]}; its first ones are {there}")
    for name, one in variables.items():
        one.assign(arrays[name])


def save(given: Any, file: Path) -> None:
    """Write a model's weights as the ending of the file says. Raises ProgramError for another one."""
    model = _lone(given)
    if file.suffix == ".keras":
        model.save(file)
    elif file.suffix == ".h5":
        if not file.name.endswith(".weights.h5"):
            raise ProgramError(f"{file.name} must end in .weights.h5, as Keras has it")
        model.save_weights(file)
    else:
        write_arrays(file, {path_of(one): np.array(one) for one in model.variables}, more=_OWN)


def export(given: Any, file: Path, shape: tuple[int, ...]) -> None:
    """Write a model as ONNX for any number of samples of a shape."""
    model = _lone(given)
    samples = keras.InputSpec(shape=(None, *shape), dtype=model.inputs[0].dtype)
    model.export(str(file), format="onnx", verbose=False, input_signature=[samples])


def _lone(given: Any) -> Any:
    if not isinstance(given, keras.Model):
        raise ProgramError("model() gives several models; a checkpoint is of one")
    return given
