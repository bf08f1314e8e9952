"""The loss of an only output, or of each of several by name."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    ConfigDict,
    Discriminator,
    RootModel,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
)

from likewise.shared.job.fields import NAMED, ONE, Handle
from likewise.shared.job.loss import Loss, MeanSquaredError, Reduction, Task

_SETTINGS = MeanSquaredError.model_fields.keys()
"""What a mapping that has lost its type is known by to be one loss."""


class Losses(RootModel[dict[Handle, Loss]]):
    """A loss for each output of a model by its name. Training minimises their sum, each times its weight."""

    model_config = ConfigDict(
        frozen=True, strict=True, defer_build=True, json_schema_extra={"not": {"required": ["type"]}}
    )
    task: ClassVar[Task] = "several"

    @property
    def type(self) -> str:
        """Return the words of all of them."""
        return " + ".join(loss.type for loss in self.root.values())

    @property
    def reduction(self) -> Reduction:
        """Return how batches make an epoch's loss: as means, unless every output's loss is a sum."""
        reductions = {loss.reduction for loss in self.root.values()}
        return "mean" if "mean" in reductions else min(reductions)

    @model_serializer(mode="wrap")
    def _with_every_weight(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, dict[str, Any]] = handler(self)
        return {name: {**one, "weight": self.root[name].weight} for name, one in written.items()}

    def __hash__(self) -> int:
        """Return the hash of its losses by name."""
        return hash(tuple(self.root.items()))


ONLY_OUTPUT = "output"
"""What an only output is called, which has no name of its own."""


def _one_or_several(value: Any) -> str:
    """Tell a loss, which has a type or a setting of one, from a mapping by output."""
    if isinstance(value, Losses):
        return NAMED
    named = isinstance(value, dict) and "type" not in value and not value.keys() & _SETTINGS
    return NAMED if named else ONE


AnyLoss = Annotated[Annotated[Loss, Tag(ONE)] | Annotated[Losses, Tag(NAMED)], Discriminator(_one_or_several)]
"""The loss of the only output, or one for each output by name."""
