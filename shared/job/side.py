"""A side: one participant of an experiment, known everywhere by its label.

Its framework, with its version and device, says which workers can train it, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many

Framework = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Label = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?|mps)$")]
_RELEASE = r"\d+(\.\d+)*"
Version = Annotated[str, Field(pattern=rf"^{_RELEASE}((a|b|rc)\d+)?(\.(post|dev)\d+)?$", max_length=40)]
"""A version in full, as PEP 440 spells it."""
VersionOrPattern = Annotated[
    str, Field(pattern=rf"^{_RELEASE}((\.\*)|((a|b|rc)\d+)?(\.(post|dev)\d+)?)$", max_length=40)
]
"""A version, or the beginning of some, as in `2.13.*`."""

Requirement = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*((==|!=|<=|>=|~=|<|>)[0-9][0-9A-Za-z.*!]*"
        r"(,(==|!=|<=|>=|~=|<|>)[0-9][0-9A-Za-z.*!]*)*)?$",
        max_length=80,
    ),
]
"""A package, with the versions that will do as a requirement file spells them: `keras==3.14.*`."""

SETTINGS = ("device", "execution", "precision")
"""The fields of a side that are fields of its job."""
_POSSIBLE = {
    "execution": ("auto", "eager", "compiled", "stock"),
    "precision": ("float32", "float64"),
}
"""What a side's settings can be today."""
_LATER = {
    "environment": "a side trains in the environment that its framework's worker has",
    "program": "every side trains the declared model",
}
"""What holds today for the fields that cannot be chosen yet."""


class SideSettings(Frozen):
    """What one side has of its own. What is left out is as the job says."""

    framework: Framework
    """The framework that trains it."""
    version: VersionOrPattern | None = None
    """The framework's version, such as "2.13.0" or "2.13.*". The local stack makes an environment for it;
    elsewhere a live worker must have it."""
    requirements: Annotated[Many[Requirement], Field(max_length=20)] = ()
    """Packages that the side's environment has in versions of its own, such as "keras==3.14.*". The local
    stack makes it; elsewhere a worker must have been started with them (LIKEWISE_REQUIREMENTS)."""
    device: Device | None = None
    """The side's own `device`: auto, cpu, cuda, cuda:1 or mps."""
    execution: Literal["auto", "eager", "compiled", "stock"] | None = None
    """The side's own `execution`: auto, eager, compiled or stock."""
    precision: Literal["float32", "float64", "bfloat16", "float16", "tf32"] | None = None
    """The side's own `precision`: float32 or float64."""
    environment: str | None = None
    """A virtual environment of the user's own. It cannot be chosen yet."""
    overrides: dict[str, Any] | None = None
    """Dotted paths and the values that replace the job's there; those of `overrides` for the side's framework
    then do not reach it."""
    program: str | None = None
    """A file with a program of the user's own. It cannot be chosen yet."""

    @property
    def obstacle(self) -> tuple[str, str] | None:
        """Return a field whose value nothing can do yet, and what is possible instead."""
        for field, why in _LATER.items():
            if (value := getattr(self, field)) is not None:
                return field, f"is {value!r}, and cannot be chosen yet: {why}"
        for field, known in _POSSIBLE.items():
            value = getattr(self, field)
            if value is not None and value not in known:
                return field, f"is {value!r}, which no worker can do yet: it can be {', '.join(known)}"
        return None

    @property
    def settings(self) -> dict[str, str]:
        """Return the job's settings that this side has of its own, by path."""
        return {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}


class Side(SideSettings):
    """One participant: its label is its identity in the queue, in results, in JSON and on pages."""

    label: Label


class OfSide(Frozen):
    """The base of every document that belongs to one side: it has a `framework` and a `side`, its label.

    In older documents, which have no label, it is the framework's name.
    """

    @model_validator(mode="before")
    @classmethod
    def _name_the_side(cls, document: Any) -> Any:
        if isinstance(document, dict) and "side" not in document and "framework" in document:
            return {**document, "side": document["framework"]}
        return document
