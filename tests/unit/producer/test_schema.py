"""What a field's docstring says stands in the JSON Schema, though pydantic never reads it."""

from __future__ import annotations

from pydantic import Field

from likewise.producer.job.schema import documented_schema
from likewise.shared.frozen import Frozen


class Base(Frozen):
    """Has a field."""

    rate: float
    """How fast,
    in hertz."""
    silent: int


class Part(Frozen):
    """Is held."""

    size: int = Field(default=1, ge=1)
    """How large."""


class Whole(Base):
    """Has another."""

    part: Part | None = None
    """What it holds."""
    rate: float = 1.0
    """Otherwise fast."""


def test_each_field_has_its_docstring_or_that_of_the_class_it_comes_from() -> None:
    schema = documented_schema(Whole)
    told = {name: field.get("description") for name, field in schema["properties"].items()}
    assert told == {"rate": "Otherwise fast.", "silent": None, "part": "What it holds."}
    assert documented_schema(Base)["properties"]["rate"]["description"] == "How fast,\nin hertz."


def test_a_model_inside_has_them_too() -> None:
    assert documented_schema(Whole)["$defs"]["Part"]["properties"]["size"]["description"] == "How large."
