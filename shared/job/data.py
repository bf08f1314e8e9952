"""Where the samples come from, how they are split and whether they are standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import (
    ByName,
    Count,
    DataSeed,
    Fraction,
    Handle,
    Many,
    NonNegative,
    Positive,
    Table,
)
from likewise.shared.job.kinds import Kinds

Missing = Literal["error", "drop", "mean", "median", "most_frequent", "indicator"]
Categories = Literal["one_hot", "ordinal"]
Dates = Literal["parts", "elapsed"]
EVERY_COLUMN = "*"
"""The key that stands for every column which is not named, where a setting is given by column."""


class Split(Frozen):
    """Samples held out, drawn by a permutation from `seed`; the rest is trained on."""

    validation: Fraction = 0.0
    """Fraction of the samples for validation; `rounding` says how it becomes whole samples."""
    test: Fraction = 0.0
    """Fraction of the samples for the test after training; `rounding` says how it becomes whole samples."""
    seed: DataSeed = 0
    rounding: Literal["round", "floor", "ceil"] = "round"
    """How a fraction becomes whole samples: to the nearest (a half upwards), down as Keras's
    `validation_split`, or up as scikit-learn's `train_test_split`."""
    stratify: bool = False
    """Hold out the same fraction of every class, so that none is lost; at least one sample of each stays to
    train on."""
    groups: str | None = None
    """Column of a table whose equal values stay together; the fractions are then of the groups."""
    time: str | None = None
    """Column of a table by which the samples are sorted: the last are the test, those before them the
    validation. Nothing is drawn."""
    column: str | None = None
    """Column of a table that says `train`, `validation` or `test` for each sample; the fractions stay 0."""

    @model_validator(mode="after")
    def _leaves_something(self) -> Split:
        if self.validation + self.test >= 1:
            raise ValueError(f"validation {self.validation} and test {self.test} leave nothing to train on")
        ways = [name for name in ("stratify", "groups", "time", "column") if getattr(self, name)]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} exclude each other; keep one")
        if self.column is not None and (self.validation or self.test):
            raise ValueError("column says which samples are held out; leave validation and test out")
        return self

    @property
    def columns(self) -> dict[str, str]:
        """Return the columns of a table that it asks for, by the name of the field."""
        asked = {"groups": self.groups, "time": self.time, "column": self.column}
        return {field: name for field, name in asked.items() if name is not None}


Files = (
    Annotated[str, Field(min_length=1)]
    | Annotated[Many[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=10_000)]
)
"""One file, or several in order; paths are relative to the job file."""


class _Source(Frozen):
    split: Split = Split()
    standardize: bool | Annotated[Many[Handle], Field(min_length=1)] = False
    """Scale each feature to mean 0 and variance 1 over the training samples; targets stay. Of a model with
    inputs by name, all of them, or those that are listed."""
    mean: ByName[float | Annotated[Many[float], Field(min_length=1)]] | None = None
    """Subtracted from every number of a sample: one for all, or one a channel (the last axis); or a mapping
    with that for some of the model's inputs."""
    scale: ByName[Positive | Annotated[Many[Positive], Field(min_length=1)]] | None = None
    """Divides every number of a sample, after `mean` is subtracted: 255 takes bytes to 0 … 1. Samples are
    stored as they are, and each batch is rescaled in the run's precision. By input as `mean`."""

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
    x: ByName[Table]
    """Rows of numbers, or a mapping with the rows of each input of the model."""
    y: ByName[Table]
    """Targets, a row a sample, or a mapping with those of each output of the model."""
    sample_weights: Annotated[Many[NonNegative], Field(min_length=1)] | None = None
    """One a sample, 0 or more; it multiplies the sample's loss (see `loss.weighting`)."""


class _TableSource(_Source):
    """What every file of named columns has; whatever is fitted is fitted on the training samples alone."""

    path: Files
    """A file relative to the job file, or an address that fsspec opens, such as `s3://bucket/a.csv`. A
    compressed file (gz, bz2, xz, zst, lz4, zip) is read as it is. Several files are read as one table, one
    after another; each has the same columns, in any order."""
    target: ByName[str | Many[str]]
    """Column to predict, a list of several, or a mapping with those of each output of the model."""
    features: ByName[Many[str]] | None = None
    """Columns to train on, or a mapping with those of each input of the model; null takes every column that
    no other setting names."""
    drop: Many[str] = ()
    """Columns that are left out."""
    sample_weights: str | None = None
    """Column of weights of 0 or more, which multiply the samples' losses (see `loss.weighting`)."""
    missing: Missing | dict[str, Missing] = "error"
    """What is done where a value is missing, for all columns or by column (`"*"`: every other one): `error`
    refuses; `drop` leaves out the row; `mean`, `median` and `most_frequent` fill the gap, as scikit-learn's
    SimpleImputer; `indicator` fills it by the mean (text: by a category of its own) and adds a column that
    is 1 where a gap was. A gap in a target is refused, or its row dropped."""
    missing_values: Many[str] = ()
    """Further words that stand for a missing value, such as "unknown" or "-999" (and so -999.0)."""
    categories: Categories | dict[str, Categories] | None = None
    """What becomes of text, for all columns or by column: `one_hot` makes a column of 0 and 1 a category,
    `ordinal` the category's number in sorted order. Null refuses text."""
    dates: Dates | dict[str, Dates] | None = None
    """What becomes of dates, for all columns or by column: `parts` makes year, month, day and weekday (and
    the hour, where times vary), `elapsed` the days since the first date of the training samples. Of times of
    day, such as 13:45, `parts` makes the hour (and the minute, and the second, where some time
    has them), `elapsed` the hours since midnight."""
    date_format: str | None = None
    """How dates are written, such as "%d/%m/%Y" (Python's strptime); null takes ISO 8601 and what only one
    order of day, month and year can mean."""
    decimal: Literal[".", ","] = "."
    """The sign before a number's fraction."""
    thousands: Literal[",", ".", " ", "'", "_"] | None = None
    """The sign between a number's groups of three digits: 3,750. A space stands for narrow and no-break ones,
    too, an apostrophe for a curved one; commas may stand as in India: 12,34,567."""
    unit_signs: Many[str] = ()
    """Signs or units that stand before or after numbers and are no part of them, such as "$", "%" or "kg"."""
    standardize_target: bool = False
    """Train on targets of mean 0 and variance 1 over the training samples (regression); losses are of
    those, predictions and metrics are told in the target's own units."""
    class_names: ByName[Annotated[Many[str], Field(min_length=2)]] | None = None
    """The target's labels in the order of their class numbers, or a mapping with those of some outputs; null
    takes text in sorted order."""


class CsvData(_TableSource):
    """A text file with a row a line, its values separated by commas, semicolons, tabs, bars or blanks."""

    type: Literal["csv"]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """The sign between values; null takes the one of `, ; tab |` that the first line has most. A blank stands
    for any number of blanks and tabs, as for R's `read.table`; where the header has a name less than the rows
    have values, the first column is `rownames`, as there."""
    header: bool = True
    """Whether the first line names the columns; without one they are column_1, column_2, …"""
    skip_lines: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many lines at the beginning come before all that, such as a title."""
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """The sign that begins a line which is no row, such as "#"."""
    encoding: str = "utf-8"
    """The file's encoding, such as "latin-1" or "utf-16"."""


class ParquetData(_TableSource):
    """A Parquet file, whose columns say themselves what they hold."""

    type: Literal["parquet"]


class JsonLinesData(_TableSource):
    """A file of JSON objects, one a line, whose names are the columns."""

    type: Literal["jsonl"]


TableData = CsvData | ParquetData | JsonLinesData


class NpzData(_Source):
    """A NumPy archive: array `x` (samples, ...), array `y` (samples,) or (samples, targets).

    Several archives are joined in their order. One that `numpy.savez` wrote is read as it lies on the disk,
    and so may be larger than memory.
    """

    type: Literal["npz"]
    path: Files
    x: ByName[str] = "x"
    """The name of the array, or a mapping with that of each input of the model."""
    y: ByName[str] = "y"
    """The name of the array, or a mapping with that of each output of the model."""
    sample_weights: str | None = None
    """Array (samples,) of weights of 0 or more, which multiply the samples' losses."""


class NpyData(_Source):
    """NumPy files: `x` (samples, ...) and `y` (samples,) or (samples, targets); several are joined.

    They are read as they lie on the disk, and so may be larger than memory.
    """

    type: Literal["npy"]
    x: ByName[Files]
    """The files, or a mapping with those of each input of the model."""
    y: ByName[Files]
    """The files, or a mapping with those of each output of the model."""
    sample_weights: Files | None = None
    """Files (samples,) of weights of 0 or more, which multiply the samples' losses."""


class ImagesData(_Source):
    """A folder with a folder of images for each class, decoded to bytes once: (height, width, channels).

    Classes are numbered in the order of the folders' names. Bytes become numbers by `mean` and `scale`.
    """

    type: Literal["images"]
    path: str = Field(min_length=1)
    size: Annotated[Many[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)]
    """Height and width that each image is brought to."""
    fit: Literal["stretch", "crop"] = "stretch"
    """`stretch` keeps the whole image, `crop` cuts its middle out in the proportions of `size` first."""
    resize: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    """The rule, as Pillow has it: all but `nearest` average over the pixels that a smaller one covers, which
    others call antialiasing."""
    mode: Literal["RGB", "L", "RGBA"] = "RGB"
    """Three channels, one of grey (luma by ITU-R 601), or four."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """`bgr` is the order of OpenCV."""
    exif: bool = False
    """Whether an image is turned as its EXIF orientation says; most loaders do not."""


class BuiltinData(_Source):
    """A data set that ships with Likewise: the one that scikit-learn has under this name."""

    type: Literal["builtin"]
    name: Literal["diabetes", "digits", "iris", "wine", "breast_cancer"]


class SyntheticData(_Source):
    """Samples drawn from `seed` by a Philox generator.

    `linear`: y = 2·(x₁ + x₂ + …) − 1, x from N(0, 1); `regression`: y = w·x with w and x from N(0, 1);
    `sine`: y = sin(x₁), x from U(−π, π); each plus `noise` times N(0, 1). `classification`: `classes`
    clouds of spread 1 + `noise` around centres from 4·N(0, 1), the samples taking the classes in turn.
    `mnist` and `cifar10` have the shapes, bytes and classes of those sets, (28, 28, 1) and (32, 32, 3), with
    60,000 and 50,000 samples where `samples` is left out; each is half its class's picture and half noise.
    """

    type: Literal["synthetic"]
    kind: Literal["linear", "regression", "classification", "sine", "mnist", "cifar10"]
    samples: Count = 100
    features: Count = 1
    classes: int = Field(default=2, ge=2)
    noise: NonNegative = 0.0
    seed: DataSeed = 0

    @model_validator(mode="before")
    @classmethod
    def _has_the_shape_of(cls, value: Any) -> Any:
        """Fill in how many samples and classes the set has whose shape is asked for."""
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in SHAPED_LIKE:
            return value
        for field in ("features", "classes", "noise"):
            if field in value and value[field] != {"features": 1, "classes": 10, "noise": 0.0}[field]:
                raise ValueError(f"{field} is not asked where kind is {kind}, which has its own")
        return {"samples": SHAPED_LIKE[kind][0], "classes": 10, **value}


SHAPED_LIKE: Mapping[str, tuple[int, tuple[int, int, int]]] = {
    "mnist": (60_000, (28, 28, 1)),
    "cifar10": (50_000, (32, 32, 3)),
}
"""The number of samples and their shape of the sets that `synthetic` data can be like."""


Data = Annotated[
    InlineData
    | CsvData
    | ParquetData
    | JsonLinesData
    | NpzData
    | NpyData
    | ImagesData
    | BuiltinData
    | SyntheticData,
    Kinds(),
]


def is_weighted(data: Data) -> bool:
    """Return whether the samples have weights of their own."""
    return getattr(data, "sample_weights", None) is not None


def inputs_field(data: Data) -> str:
    """Return the field that has what each input takes, where the samples have several."""
    return "features" if isinstance(data, TableData) else "x"


def outputs_field(data: Data) -> str:
    """Return the field that has what each output is compared with, where the model has several."""
    return "target" if isinstance(data, TableData) else "y"


def names_in(data: Data, field: str) -> tuple[str, ...]:
    """Return the names of the inputs or outputs that a field is given for; none where it is no mapping."""
    given = getattr(data, field, None)
    return tuple(given) if isinstance(given, Mapping) else ()


def in_order(data: Data, field: str, names: Sequence[str]) -> Data:
    """Return the same data with what a field has by name in this order."""
    given = getattr(data, field, None)
    if not isinstance(given, Mapping):
        return data
    return data.model_copy(update={field: {name: given[name] for name in names}})
