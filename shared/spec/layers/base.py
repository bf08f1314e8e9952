"""What all layers share: a name, and where their input comes from."""

from __future__ import annotations

from pydantic import Field

from shared.frozen import Frozen
from shared.spec.fields import Many


class BaseLayer(Frozen):
    """A layer by itself."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    """A handle for overrides and reports; weights are named by it, or by `layers.<index>`."""
    inputs: Many[str] | None = None
    """Whose output the layer takes, by name; `input` is the model's input. Null is the layer before it."""
