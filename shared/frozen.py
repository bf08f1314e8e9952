"""The base of every model that crosses a boundary: frozen, strict, closed to unknown fields."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

SHORT_BYTES = 64 * 1024
"""What processes say of themselves is no longer than this."""
SHORT_TEXT = 500
"""What is said of a document that cannot be read has no more characters: a field's name may have millions."""
MOST_VALUES = 1_000_000
"""A result has fewer values: its arrays are text, one each; most has one of 100,000 seeds that all failed."""


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


def first_problem(error: ValidationError) -> str:
    """Return where a document is wrong first, and how: pydantic's own text lists thousands of places."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'document'}: {first['msg']}"[:SHORT_TEXT]


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


def read_result(model: type[Said], document: bytes) -> Said:
    """Return what the document of a result says. Raises ValidationError; at once for far too many values.

    It is counted by commas, which is more than the values: texts may have some, too.
    """
    values = document.count(b",")
    if values > MOST_VALUES:
        told = PydanticCustomError("too_many_values", "has {values} values", {"values": f"{values:,}"})
        raise ValidationError.from_exception_data(
            model.__name__, [InitErrorDetails(type=told, loc=(), input=None)]
        )
    return model.model_validate_json(document)
