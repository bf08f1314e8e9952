"""Where training starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.job.fields import DataSeed, Numbers, Word


class SharedWeights(Frozen):
    """Drawn from the seed by each layer's declared initializer, and given to every framework."""

    type: Literal["shared"]
    seed: DataSeed | None = None
    """The seed they are drawn from; null is the run's own, so that each seed has its start."""


class FrameworkWeights(Frozen):
    """Each framework's own default initializer, seeded."""

    type: Literal["framework"]


class GivenWeights(Frozen):
    """Written in the job file: `layers.0.kernel: [[0.37]]`, in Keras's layouts."""

    type: Literal["values"]
    weights: dict[str, Numbers] = Field(min_length=1)


class NpzWeights(Frozen):
    """Arrays of a NumPy archive, named `layers.0.kernel` and so on, in Keras's layouts."""

    type: Literal["npz"]
    path: str = Field(min_length=1)


InitialWeights = Annotated[
    SharedWeights | FrameworkWeights | GivenWeights | NpzWeights,
    Field(discriminator="type"),
    Word,
]
