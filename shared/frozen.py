"""The base of every model that crosses a boundary: frozen, strict, closed to unknown fields."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

SHORT_BYTES = 64 * 1024
"""What processes say of themselves is no longer than this."""


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


Said = TypeVar("Said", bound=Frozen)


def read_short(model: type[Said], document: bytes) -> Said | None:
    """Return what a short document says; None where it is another model's, or longer than any of ours.

    Each fault that pydantic finds takes a copy of what it was found in: 8 MB of wrong fields took 2.4 GB.
    """
    if len(document) > SHORT_BYTES:
        return None
    try:
        return model.model_validate_json(document)
    except ValidationError:
        return None
