"""Checkpoints of a user's Keras model: Keras's own files, and arrays by the variables' paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likewise.worker.adapters.tensorflow_adapter.imported_keras import keras, path_of
from likewise.worker.adapters.tensorflow_adapter.imported_plain import PlainModel
from likewise.worker.adapters.tensorflow_adapter.imported_plain_layers import Variables
from likewise.worker.port.checkpoints import read_arrays, write_arrays
from likewise.worker.port.contract import ProgramError

_OWN = (".keras", ".weights.h5")


def restore(given: Any, file: Path) -> None:
    """Replace a model's weights by those of a file. No layer is made of it, so no code in it runs.

    Raises ProgramError where it does not fit.
    """
    model = _lone(given)
    if file.suffix in (".keras", ".h5"):
        _refuse_plain(model, file)
        model.load_weights(file)
        return
    arrays = read_arrays(file, more=_OWN)
    variables = {name: one for name, one in _named(model).items() if "seed_generator" not in name}
    missing = [name for name in variables if name not in arrays]
    if missing:
        there = ", ".join(list(arrays)[:5])
        raise ProgramError(f"{file.name} has no array {missing[0]}; its first ones are {there}")
    for name, one in variables.items():
        one.assign(arrays[name])


def save(given: Any, file: Path) -> None:
    """Write a model's weights as the ending of the file says. Raises ProgramError for another one."""
    model = _lone(given)
    if file.suffix in (".keras", ".h5"):
        _refuse_plain(model, file)
    if file.suffix == ".keras":
        model.save(file)
    elif file.suffix == ".h5":
        if not file.name.endswith(".weights.h5"):
            raise ProgramError(f"{file.name} must end in .weights.h5, as Keras has it")
        model.save_weights(file)
    else:
        write_arrays(file, {name: np.array(one) for name, one in _named(model).items()}, more=_OWN)


def export(given: Any, file: Path, shape: tuple[int, ...]) -> None:
    """Write a model as ONNX for any number of samples of a shape."""
    model = _lone(given)
    _refuse_plain(model, file)
    samples = keras.InputSpec(shape=(None, *shape), dtype=model.inputs[0].dtype)
    model.export(str(file), format="onnx", verbose=False, input_signature=[samples])


def _lone(given: Any) -> Any:
    if not isinstance(given, keras.Model):
        raise ProgramError("model() gives several models; a checkpoint is of one")
    return given


def _named(model: Any) -> dict[str, Any]:
    """Return a model's variables by name: by path, or by attribute where it is nothing of Keras's."""
    if not isinstance(model, PlainModel):
        return {path_of(one): one for one in model.variables}
    found: dict[str, Any] = {}
    for path, part in model.parts:
        held = part.held if isinstance(part, Variables) else {path_of(one): one for one in part.variables}
        found |= {f"{path}.{name}": one for name, one in held.items()}
    return found


def _refuse_plain(model: Any, file: Path) -> None:
    if isinstance(model, PlainModel):
        raise ProgramError(
            f"{file.name} is a file of Keras's, and the program is none of its models; use .npz or "
            ".safetensors, whose arrays have the names of the variables"
        )
