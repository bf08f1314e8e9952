"""What a user's functions take and return, and what is told of them, in plain values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def without_ones(shape: Sequence[int]) -> list[int]:
    """Return the sizes of the axes that are not 1."""
    return [size for size in shape if size != 1]


def rounded_rate(value: Any) -> float:
    """Return a learning rate to seven digits, as many as a framework keeps that holds it in float32."""
    return float(f"{float(value):.7g}")


def named(given: Any, kind: type[T]) -> dict[str, T]:
    """Return those of a kind by name: of a mapping, a tuple, an object's attributes, or a lone one."""
    if isinstance(given, kind):
        return {"": given}
    if isinstance(given, Mapping):
        members: Iterable[tuple[Any, Any]] = given.items()
    elif isinstance(given, tuple | list):
        members = enumerate(given)
    else:
        members = vars(given).items() if hasattr(given, "__dict__") else ()
    return {str(name): one for name, one in members if isinstance(one, kind)}


def as_returned(outputs: Mapping[str, T]) -> T | list[T] | dict[str, T]:
    """Return outputs as the model gave them: one alone, several in order, or by name."""
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    if all(name == str(place) for place, name in enumerate(outputs)):
        return list(outputs.values())
    return dict(outputs)


def positional(function: Callable[..., Any], *, without: Sequence[str] = ()) -> list[str] | None:
    """Return the names of a function's arguments, without some; None where it takes any, or one alone."""
    taken = [one for name, one in inspect.signature(function).parameters.items() if name not in without]
    if len(taken) < 2 or any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in taken[:1]):
        return None
    return [one.name for one in taken if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


def as_json(described: Any) -> Any:
    """Return a setting's value as JSON has it."""
    if isinstance(described, np.generic):
        return described.item()
    if isinstance(described, tuple | list):
        return [as_json(one) for one in described]
    if isinstance(described, bool | int | float | str) or described is None:
        return described
    return getattr(described, "__name__", None) or str(described)
