"""A side: one participant of an experiment, known everywhere by its label.

Its framework says which workers can train it, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from shared.frozen import Frozen

Framework = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]


class Side(Frozen):
    """One participant: its label is its identity in the queue, in results, in JSON and on pages."""

    label: Label
    framework: Framework


class OfSide(Frozen):
    """The base of every document that belongs to one side."""

    framework: Framework
    side: Label = ""
    """The side's label; in older documents, which have none, the framework's name."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_side(cls, document: Any) -> Any:
        if isinstance(document, dict) and "side" not in document and "framework" in document:
            return {**document, "side": document["framework"]}
        return document
