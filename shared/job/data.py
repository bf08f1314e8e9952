"""Where the samples come from, how they are split and whether they are standardised."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Count, DataSeed, Fraction, Many, NonNegative, Positive, Table, Word


class Split(Frozen):
    """Samples held out, drawn by a permutation from `seed`; the rest is trained on."""

    validation: Fraction = 0.0
    """Fraction of the samples for validation, rounded to whole samples."""
    test: Fraction = 0.0
    """Fraction of the samples for the test after training, rounded to whole samples."""
    seed: DataSeed = 0

    @model_validator(mode="after")
    def _leaves_something(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        return self


class _Source(Frozen):
    split: Split = Split()
    standardize: bool = False
    """Scale each feature to mean 0 and variance 1 over the training samples; targets stay."""
    mean: float | Annotated[Many[float], Field(min_length=1)] | None = None
    """Subtracted from every number of a sample: one for all, or one a channel (the last axis)."""
    scale: Positive | Annotated[Many[Positive], Field(min_length=1)] | None = None
    """Divides every number of a sample, after `mean` is subtracted: 255 takes bytes to 0 … 1. Samples are
    stored as they are, and each batch is rescaled in the run's precision."""

    @model_validator(mode="after")
    def _is_scaled_once(self) -> Self:
        if self.standardize and (self.mean is not None or self.scale is not None):
            raise ValueError(
                "standardize scales each feature already; leave it out, or leave out mean and scale"
            )
        return self


class InlineData(_Source):
    """Samples written in the job file."""

    type: Literal["inline"]
    x: Table
    y: Table
    sample_weights: Annotated[Many[NonNegative], Field(min_length=1)] | None = None
    """One a sample, 0 or more; it multiplies the sample's loss (see `loss.weighting`)."""


class CsvData(_Source):
    """A CSV file with a header; the path is relative to the job file."""

    type: Literal["csv"]
    path: str = Field(min_length=1)
    target: str | Many[str]
    features: Many[str] | None = None
    """Columns to train on; null takes every column that is neither a target nor the weights."""
    sample_weights: str | None = None
    """Column of weights of 0 or more, which multiply the samples' losses (see `loss.weighting`)."""


class ParquetData(_Source):
    """A Parquet file; the path is relative to the job file."""

    type: Literal["parquet"]
    path: str = Field(min_length=1)
    target: str | Many[str]
    features: Many[str] | None = None
    sample_weights: str | None = None
    """Column of weights of 0 or more, which multiply the samples' losses (see `loss.weighting`)."""


class NpzData(_Source):
    """A NumPy archive: array `x` (samples, ...), array `y` (samples,) or (samples, targets)."""

    type: Literal["npz"]
    path: str = Field(min_length=1)
    x: str = "x"
    y: str = "y"
    sample_weights: str | None = None
    """Array (samples,) of weights of 0 or more, which multiply the samples' losses."""


class BuiltinData(_Source):
    """A data set that ships with Likewise: the one that scikit-learn has under this name."""

    type: Literal["builtin"]
    name: Literal["diabetes", "digits", "iris", "wine", "breast_cancer"]


class SyntheticData(_Source):
    """Samples drawn from `seed` by a Philox generator.

    `linear`: y = 2·(x₁ + x₂ + …) − 1, x from N(0, 1); `regression`: y = w·x with w and x from N(0, 1);
    `sine`: y = sin(x₁), x from U(−π, π); each plus `noise` times N(0, 1). `classification`: `classes`
    clouds of spread 1 + `noise` around centres from 4·N(0, 1), the samples taking the classes in turn.
    """

    type: Literal["synthetic"]
    kind: Literal["linear", "regression", "classification", "sine"]
    samples: Count = 100
    features: Count = 1
    classes: int = Field(default=2, ge=2)
    noise: NonNegative = 0.0
    seed: DataSeed = 0


Data = Annotated[
    InlineData | CsvData | ParquetData | NpzData | BuiltinData | SyntheticData,
    Field(discriminator="type"),
    Word,
]


def is_weighted(data: Data) -> bool:
    """Return whether the samples have weights of their own."""
    return getattr(data, "sample_weights", None) is not None
