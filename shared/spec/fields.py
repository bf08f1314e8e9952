"""Field types that several parts of the job file share."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, Strict

T = TypeVar("T")

Many = Annotated[tuple[T, ...], Strict(False)]
"""A JSON array; its items stay strict."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


def _typed(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


Word = BeforeValidator(_typed, json_schema_input_type=Any)
"""A word may stand for a mapping with only a `type`: `loss: mse` is `loss: {type: mse}`."""
