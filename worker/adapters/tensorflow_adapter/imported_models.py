"""What a user's model() gave, and what a model returned, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from likewise.worker.adapters.tensorflow_adapter.imported_keras import keras
from likewise.worker.port.contract import ProgramError


def models_of(given: Any) -> dict[str, Any]:
    """Return the models of what model() returned: one, or several by name or in order."""
    if isinstance(given, keras.Model):
        return {"": given}
    named = dict(enumerate(given)) if isinstance(given, tuple | list) else given
    if isinstance(named, Mapping) and named and all(isinstance(one, keras.Model) for one in named.values()):
        return {str(name): one for name, one in named.items()}
    raise ProgramError(
        f"model() returned a {type(given).__name__}; it must return a keras.Model, or several by name"
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
