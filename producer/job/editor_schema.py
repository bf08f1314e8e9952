"""The job file's JSON Schema, with what editors want besides pydantic's."""

from __future__ import annotations

from typing import Any

from shared.field_docs import documented_schema
from shared.job import Experiment


def editor_schema() -> dict[str, Any]:
    """A JSON Schema of draft 2020-12; fields carry their docstrings as descriptions."""
    schema = documented_schema(Experiment)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Likewise job file",
        "description": "One training declared once, trained in every framework and compared.",
    }
