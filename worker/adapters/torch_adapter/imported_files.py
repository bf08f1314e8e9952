"""Checkpoints of a user's PyTorch model: PyTorch's own files, and arrays by the names of its state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from likewise.worker.port.checkpoints import read_arrays, write_arrays
from likewise.worker.port.contract import ProgramError

_OWN = (".pt", ".pth")


def restore(model: nn.Module, file: Path) -> None:
    """Replace a model's weights by those of a file. Raises ProgramError where they do not fit."""
    state = _state(file)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise ProgramError(f"{file.name} does not fit the model: {told[:600]}") from error


def save(model: nn.Module, file: Path) -> None:
    """Write a model's weights as the ending of the file says. Raises ProgramError for another one."""
    state = {name: one.detach().cpu().contiguous() for name, one in model.state_dict().items()}
    if file.suffix in _OWN:
        try:
            torch.save(state, file)
        except (OSError, RuntimeError) as error:
            raise ProgramError(f"{file} cannot be written: {error}") from error
    else:
        write_arrays(file, {name: one.numpy() for name, one in state.items()}, more=_OWN)


def export(model: nn.Module, file: Path, shape: tuple[int, ...]) -> None:
    """Write a model as ONNX for any number of samples of a shape. Raises ProgramError where it cannot."""
    samples = torch.zeros((2, *shape), dtype=torch.get_default_dtype())
    any_number = {0: torch.export.Dim("n")}
    try:
        program = torch.onnx.export(
            model.eval(), (samples,), dynamic_shapes=(any_number,), dynamo=True, verbose=False
        )
    except torch.onnx.OnnxExporterError as error:
        told = " ".join(str(error.__cause__ or error).split())
        raise ProgramError(f"PyTorch cannot write this model as ONNX: {told[:300]}") from error
    if program is None:
        raise ProgramError("PyTorch wrote no ONNX")
    program.save(file)


def _state(file: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint by name. No code in it runs: it is read with weights_only."""
    if file.suffix not in _OWN:
        return {name: torch.as_tensor(array) for name, array in read_arrays(file, more=_OWN).items()}
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by how the file is broken
        raise ProgramError(
            f"{file.name} cannot be read as tensors alone: {' '.join(str(error).split())[:200]}; save "
            "model.state_dict()"
        ) from error
    for name in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
            break
    if not isinstance(state, Mapping) or not all(isinstance(one, torch.Tensor) for one in state.values()):
        raise ProgramError(f"{file.name} has no tensors by name; save model.state_dict()")
    return {str(name).removeprefix("module."): one for name, one in state.items()}
