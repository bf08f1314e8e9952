"""What a bench found: every time is in seconds, every raw sample is kept."""

from __future__ import annotations

from typing import Literal

from producer.verdict.models import Verdict
from shared.frozen import Frozen
from shared.job.experiment import Execution
from shared.job.fields import Many
from shared.job.side import Framework
from shared.results.run_result import Conditions, Environment

BENCH_SCHEMA_VERSION: Literal[1] = 1

Phase = Literal["queue", "import", "build", "compile", "step", "train", "inference", "run"]
Interval = tuple[float, float]


class Variant(Frozen):
    """One framework with one way of executing; what is timed against the others."""

    framework: Framework
    execution: Execution

    @property
    def label(self) -> str:
        """`torch compiled`."""
        return f"{self.framework} {self.execution}"


class Timed(Frozen):
    """One timed run."""

    variant: Variant
    phases: dict[Phase, float]
    samples_per_s: float | None
    peak_bytes: int | None
    grown_bytes: int | None
    device_peak_bytes: int | None
    environment: Environment
    conditions: Conditions | None
    attempt: int = 1
    """Above 1, a worker died or stopped with it, and it was begun again."""


class Row(Frozen):
    """One phase of one variant.

    queue: from submission to claim. import: the framework's, once a worker. build: model, weights and data
    on the device. compile: of the first run, what its compiling calls took. step: one update, steady.
    train: all updates but compiling ones. inference: outputs on the held-out samples and the rows to
    predict. run: build, compile, train and inference together, in a warm worker.
    """

    framework: Framework
    variant: Execution
    phase: Phase
    median_s: float
    interval_s: Interval | None
    """Of confidence 95 % for the median; null with fewer than 6 samples."""
    samples: Many[float]
    outliers: int


class Throughput(Frozen):
    """Training samples a second, steady."""

    framework: Framework
    variant: Execution
    samples_per_s: float


class Peak(Frozen):
    """The largest memory of any timed run, the first included."""

    framework: Framework
    variant: Execution
    process_bytes: int | None
    """Of the warm worker's process: its framework and all it keeps, too."""
    grown_bytes: int | None
    """How far the first run, with all that it compiles, rose above what the process held before. Later ones
    find much of it in place. Null where the system cannot forget a peak."""
    device_bytes: int | None


class Place(Frozen):
    """A variant's place in the ranking by the time of a whole warm run."""

    framework: Framework
    variant: Execution
    median_s: float
    ratio: float
    """Times the fastest's median ratio, run beside run."""
    ratio_interval: Interval | None
    slower: bool
    """Whether the interval lies above 1: else it cannot be told from the fastest."""


class Bench(Frozen):
    """The document of `bench --json`."""

    schema_version: Literal[1] = BENCH_SCHEMA_VERSION
    experiment_id: str
    name: str
    verdict: Verdict
    """Whether the values agree, as `compare` says it."""
    rows: Many[Row]
    throughput: Many[Throughput]
    peak_bytes: Many[Peak]
    ranking: Many[Place] | None
    ranking_withheld_because: str | None
    warnings: Many[str]
    rounds: int
    """Of the alternation: each times every variant twice, in one order and back."""
    hosts: Many[str]
    """On which the timed runs were, as their workers are declared."""
    environments: dict[str, Environment]
    """By variant, such as `torch compiled`."""
