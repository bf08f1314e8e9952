"""Declares what a bench found: every time is in seconds, and every raw sample is kept."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer

from likewise.producer.verdict.models import Verdict
from likewise.shared.frozen import Frozen
from likewise.shared.job.experiment import Execution, Experiment, Precision
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Framework, Label
from likewise.shared.results.run_result import Conditions, Environment

BENCH_SCHEMA_VERSION: Literal[1] = 1

Phase = Literal["queue", "import", "build", "compile", "step", "train", "inference", "run"]
Interval = tuple[float, float]


class TimedSide(Frozen):
    """Whatever is said of one side that was timed names the side."""

    framework: Framework
    variant: Execution | Literal["own"]
    """The way of executing, as the side's job has it; `own` for a program of the user's own."""
    side: Label
    """The label under which it was timed: `torch-compiled` for a way that the bench chose."""


def name_of(side: Label, *, of: Label, execution: str) -> str:
    """Return what sentences call a timed side, which is `of` in the comparison.

    It is its label, or `torch compiled` for a way of executing that the bench chose.
    """
    return side if side == of else f"{of} {execution}"


class TimedRun(TimedSide):
    """It holds what came of one timed run."""

    of: Label
    """The label that its side has in the comparison: its own, or its framework's for a way of executing."""
    precision: Precision
    phases: dict[Phase, float]
    samples_per_s: float | None
    peak_bytes: int | None
    grown_bytes: int | None
    device_peak_bytes: int | None
    environment: Environment
    conditions: Conditions | None
    attempt: int = 1
    """Above 1, a worker died or stopped with it, and it was begun again."""

    @property
    def name(self) -> str:
        """Return what sentences call its side."""
        return name_of(self.side, of=self.of, execution=self.variant)

    @property
    def identity(self) -> dict[str, Any]:
        """Return the fields of `TimedSide`."""
        return self.model_dump(include=set(TimedSide.model_fields))


class TimedRounds(Frozen):
    """It holds the timed runs of a bench, from which the bench is concluded; it is kept after every round."""

    schema_version: Literal[1] = BENCH_SCHEMA_VERSION
    experiment: Experiment
    """What is timed: every side is declared in it, those too that are ways of executing a framework."""
    precision: float
    """Half of every side's interval was wanted so narrow, relative to its median."""
    first: dict[Label, TimedRun] = Field(default_factory=dict)
    """Each side's first run, which warms up and compiles."""
    timed: dict[Label, Many[TimedRun]] = Field(default_factory=dict)
    """The runs after it, in the order they ran: two for each round."""
    missing: Many[str] = ()
    """A sentence for each side that could not be timed."""
    complete: bool = False
    """Whether the bench came to its end."""

    @field_serializer("experiment")
    def _as_declared(self, experiment: Experiment) -> dict[str, Any]:
        """Leave out what was left out: `frameworks` beside `sides` would be refused."""
        return experiment.model_dump(mode="json", exclude_unset=True)

    @property
    def rounds(self) -> int:
        """Return how often the sides have taken turns."""
        return max((len(runs) // 2 for runs in self.timed.values()), default=0)


class PhaseTimes(TimedSide):
    """It holds the times of one phase of one side.

    queue: from submission to claim. import: the framework's, once a worker. build: model, weights and data
    on the device. compile: of the first run, what its compiling calls took. step: one update, steady.
    train: all updates but compiling ones. inference: outputs on the held-out samples and the rows to
    predict; of a user's own program, on one batch. run: build, compile, train and inference together, in a
    warm worker; of a user's own program, train and inference.
    """

    phase: Phase
    median_s: float
    interval_s: Interval | None
    """The median lies in it with 95 % confidence; null with fewer than 6 samples."""
    samples: Many[float]
    outliers: int


class Throughput(TimedSide):
    """It says how many samples a side trains on in a second, steadily."""

    samples_per_s: float


class Peak(TimedSide):
    """It says how much memory the timed runs took at most, the first included."""

    process_bytes: int | None
    """The process of the warm worker held so much, its framework and all that it keeps included."""
    grown_bytes: int | None
    """How far the first run, with all that it compiles, rose above what the process held before. Later ones
    find much of it in place. Null where the system cannot forget a peak."""
    device_bytes: int | None


class Rank(TimedSide):
    """It places a side in the ranking by the time of a whole warm run."""

    median_s: float
    ratio: float
    """Times the fastest's median ratio, run beside run."""
    ratio_interval: Interval | None
    slower: bool
    """Whether the interval lies above 1: else it cannot be told from the fastest."""


class Bench(Frozen):
    """This is the document of `bench --json`."""

    schema_version: Literal[1] = BENCH_SCHEMA_VERSION
    experiment_id: str | None
    """Null for two programs of the user's own whose bench could not be kept."""
    name: str
    verdict: Verdict
    """Whether the values agree, as `compare` says it."""
    rows: Many[PhaseTimes]
    throughput: Many[Throughput]
    peak_bytes: Many[Peak]
    work: str = "a whole warm run"
    """What a timed run does, in words."""
    ranking: Many[Rank] | None
    ranking_withheld_because: str | None
    warnings: Many[str]
    rounds: int
    """How often the sides took turns: a round times each of them twice, in one order and back."""
    hosts: Many[str]
    """Where the timed runs were, as their workers are declared."""
    names: dict[Label, str]
    """What sentences call each side that was timed: its label, or `torch compiled` for a way that the bench
    chose."""
    environments: dict[str, Environment]
    """What ran, by the names that sentences use."""
