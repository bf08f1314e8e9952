"""The base of every model that crosses a boundary: frozen, strict, closed to unknown fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Values never change, types are never coerced, unknown fields are refused, numbers are finite.

    Validate through JSON (`model_validate_json`): strict mode then still takes an array for a tuple.
    A class is made ready when it is first used, and the docstrings of its fields are read where a schema is
    shown: a command needs few of the hundred classes that it imports.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        defer_build=True,
    )
