"""What a user's model() gave, and what a model returned, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from likewise.worker.adapters.tensorflow_adapter.imported_keras import IS_2, keras
from likewise.worker.adapters.tensorflow_adapter.imported_plain import PlainModel, is_plain
from likewise.worker.port.contract import ProgramError


def as_models(given: Any) -> Any:
    """Return what model() returned, with what is nothing of Keras's as models of its that call it."""
    if is_plain(given):
        return PlainModel(given)
    if isinstance(given, Mapping):
        return {name: as_models(one) for name, one in given.items()}
    return type(given)(map(as_models, given)) if type(given) in (list, tuple) else given


def called_by(model: Any) -> Callable[..., Any]:
    """Return the user's function that a model calls, whose arguments are its inputs."""
    found: Callable[..., Any] = model.function if isinstance(model, PlainModel) else model.call
    return found


def models_of(given: Any) -> dict[str, Any]:
    """Return the models of what model() returned: one, or several by name or in order."""
    if isinstance(given, keras.Model):
        return {"": given}
    named = dict(enumerate(given)) if isinstance(given, tuple | list) else given
    if isinstance(named, Mapping) and named and all(isinstance(one, keras.Model) for one in named.values()):
        return {str(name): one for name, one in named.items()}
    raise ProgramError(
        f"model() returned a {type(given).__name__}; it must return a keras.Model, a tf.Module or a "
        "function, or several by name"
    )


def by_name(result: Any) -> dict[str, Any]:
    """Return what a model returned by name: one tensor, several in order, or a mapping."""
    if isinstance(result, Mapping):
        return {str(name): one for name, one in result.items()}
    if isinstance(result, tuple | list):
        return {str(place): one for place, one in enumerate(result)}
    if hasattr(result, "dtype"):
        return {"": result}
    raise ProgramError(f"the model returned a {type(result).__name__}; it must return tensors")


def compiled_with(model: Any) -> dict[str, Callable[..., Any]]:
    """Return the `loss` and the `optimizer` that a model is compiled with, as a side's file defines them."""
    found: dict[str, Callable[..., Any]] = {}
    if not isinstance(model, keras.Model) or getattr(model, "optimizer", None) is None:
        return found
    optimizer = model.optimizer
    found["optimizer"] = lambda _: type(optimizer).from_config(optimizer.get_config())
    of_outputs = getattr(model, "compiled_loss" if IS_2 else "_compile_loss", None)
    if of_outputs is not None:
        found["loss"] = lambda outputs, targets: of_outputs(targets, outputs)
    return found
