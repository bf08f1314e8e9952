"""A Run: one side, one resolved job, one or more seeds. What is queued, and all a worker needs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.experiment import Job, Precision, Seed
from likewise.shared.job.fields import Many
from likewise.shared.job.loss import Task
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.shape import ShapeError
from likewise.shared.job.side import Framework, Label, OfSide, Version
from likewise.shared.program import DrawAddresses, ProgramSpec, as_drawn_in, compile_job
from likewise.shared.results.step_trace import TraceRequest
from likewise.shared.store.arrays import ArrayRef

RUN_SCHEMA_VERSION: Literal[1] = 1

Timed = Literal["cold", "warm"]
"""Cold, the worker first forgets the programs that it compiled before; warm, it has compiled what it needs
before the clock starts."""


class Samples(Frozen):
    """Samples of one part of the data: x (n, *features) float64; y as in Dataset."""

    x: ArrayRef
    y: ArrayRef
    weights: ArrayRef | None = None
    """float64 (n,), where the data have sample weights."""

    def same_rows(self, other: Samples | None) -> bool:
        """Return whether these are the same samples and targets, whatever they weigh."""
        return other is not None and (self.x, self.y) == (other.x, other.y)


class FittedColumn(Frozen):
    """What became of one column of a table that is not plainly a feature; fitted to the training samples."""

    name: str
    use: Literal["number", "one_hot", "ordinal", "parts", "elapsed", "time_parts", "hours"]
    fill: float | str | None = None
    """What stands where a value is missing; a date in seconds since 1970, a time in seconds since
    midnight. Null if none was filled."""
    indicator: bool = False
    """Whether a further feature is 1 where a value was missing."""
    words: Many[str] = ()
    """The categories in order."""
    start: float | None = None
    """The first date, in seconds since 1970, from which `elapsed` counts."""


class Dataset(Frozen):
    """The data after loading, splitting and standardising, done once by the producer in NumPy.

    x is float64 of shape (n, *features). y is float64 (n, targets) for regression and binary (values
    from 0 to 1), int64 (n,) of class numbers for multiclass. Workers only cast to the run's precision.
    """

    task: Task
    train: Samples
    validation: Samples | None = None
    test: Samples | None = None
    predict: ArrayRef | None = None
    """Rows of `predict`, standardised like the features: float64 (n, *features)."""
    classes: int | None = None
    """Number of classes, for multiclass."""
    class_names: Many[str] = ()
    """Names of the classes, where the data has them."""
    feature_names: Many[str] = ()
    target_names: Many[str] = ()
    columns: Many[FittedColumn] = ()
    """The columns of a table that were not taken as they are."""
    scaling: ArrayRef | None = None
    """The mean and the scale of each feature, where features are standardised: float64 (2, *features)."""
    target_scaling: Many[Many[float]] | None = None
    """The mean and the scale of each standardised target: y·scale + mean is in its own units."""


class ProgramFile(Frozen):
    """A program in the folder that a worker was given (LIKEWISE_PROGRAMS); its text is never in a run."""

    file: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)*\.py$", max_length=400)
    """This is its place in that folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The hash of its bytes; the worker refuses another."""


class ProgramData(Frozen):
    """A file that a program reads, in the folder that a worker was given."""

    file: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)*$", max_length=400)
    """This is its place in that folder."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The hash of its bytes; the worker refuses another."""


class HostedRun(OfSide):
    """A program of the user's that a worker hosts for as long as a producer asks (see `shared.port`)."""

    schema_version: Literal[1] = RUN_SCHEMA_VERSION
    hosts: Literal["program"] = "program"
    """It tells this document from a Run's."""
    run_id: str = Field(pattern=r"^[a-z0-9-]{8,64}$")
    framework: Framework
    side: Label
    """The label of its side."""
    files: Many[ProgramFile] = Field(min_length=1, max_length=1_000)
    """The program, then every other file of its folder that it may import."""
    data: Many[ProgramData] = Field(default=(), max_length=1_000)
    """The files beside it that it reads."""

    @property
    def experiment_id(self) -> str:
        """Return its own id, under which its progress is told: it belongs to no experiment."""
        return self.run_id


class Run(OfSide):
    """The unit that is queued. `job` is resolved for its side; paths in it are never read by a worker."""

    schema_version: Literal[1] = RUN_SCHEMA_VERSION
    run_id: str = Field(pattern=r"^[a-z0-9-]{8,64}$")
    experiment_id: str = Field(pattern=r"^[a-z0-9-]{8,64}$")
    framework: Framework
    side: Label = ""
    """The label of its side."""
    version: Version | None = None
    """The framework's version that it must be trained in; null if any will do."""
    requirements: Many[str] = ()
    """The packages that its environment must have in versions of their own."""
    job: Job
    seeds: Many[Seed] = Field(min_length=1)
    dataset: Dataset
    optimizers: Many[Optimizer] | None = Field(default=None, min_length=1)
    """The points of a sweep that this run trains, each with every seed, all of one
    `shared.job.optimizer.structure`; null trains with the job's own."""
    points: Many[int] | None = None
    """Their numbers in the experiment's grid, counted from 0."""
    given_weights: dict[str, ArrayRef] | None = None
    """The arrays of `initial_weights` of type values or npz, float64; null for shared and framework."""
    draws: DrawAddresses | None = None
    """Where its weights and masks are drawn, so that it starts as the first side does though its layers stand
    at other places; null draws by its own layers' places."""
    program_files: dict[Precision, ProgramFile] = Field(default_factory=dict)
    """The printed programs of its job, where `execution` is stock, in its precision and in that of a twin."""
    timed: Timed | None = None
    """Measured: the worker first gets its machine to itself and records what disturbed it."""
    threads: int | None = Field(default=None, ge=1, le=1_024)
    """The most CPU threads that it takes, on whichever worker, since it trains alone on a host's cores. Null
    takes what its worker gives a training beside others."""
    perturbed: bool = False
    """Whether the start is moved by one unit in the last place, to see how far the training carries that."""
    trace: TraceRequest | None = None
    """Instead of a training: a replay of the first seed in which updates are observed."""
    predicts: bool = False
    """Instead of a training: the outputs that `given_weights` have for the rows of `predict`."""

    @property
    def program(self) -> ProgramSpec:
        """Return what the job compiles to on these data. Raises ShapeError."""
        return compile_job(self.job, self.dataset.train.x.shape[1:], self.draws)

    def drawn_as(self, reference: Run) -> Run:
        """Return the run with its random numbers drawn where the reference's are, as far as they pair."""
        try:
            own = compile_job(self.job, self.dataset.train.x.shape[1:])
            draws = as_drawn_in(reference.program, own)
        except ShapeError:
            return self
        return self if draws == self.draws else self.model_copy(update={"draws": draws})

    @model_validator(mode="before")
    @classmethod
    def _said_how_results_travel(cls, value: Any) -> Any:
        """Read older documents, which say whether the results are arrays; now they always are."""
        if isinstance(value, dict) and "as_arrays" in value:
            return {name: one for name, one in value.items() if name != "as_arrays"}
        return value

    @field_validator("timed", mode="before")
    @classmethod
    def _was_a_bool(cls, value: object) -> object:
        """Older documents say whether it is timed; the worker was warm."""
        return ("warm" if value else None) if isinstance(value, bool) else value
