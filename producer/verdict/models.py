"""The Comparison and its parts: everything a renderer may show, and nothing of how it looks.

The first framework is the reference; every other is compared with it. Nothing enumerates frameworks.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from producer.job.resolve import SettingDifference
from shared.arrays import ArrayRef
from shared.frozen import Frozen
from shared.result import Environment, Failure, Hashes, Timings
from shared.spec.experiment import Experiment, Framework, Job
from shared.spec.fields import Many
from shared.trace import Stage

COMPARISON_SCHEMA_VERSION: Literal[1] = 1

Verdict = Literal["agree", "differ", "inconclusive"]
Measure = Literal["losses", "predictions", "outputs", "weights"]
ArrayValue = list[Any] | ArrayRef
"""Nested lists up to `producer.verdict.framework_runs.MAX_LISTED` elements, else the reference."""


class Tolerance(Frozen):
    """What a gap may be and still count as rounding, and why."""

    relative: float
    why: str


class Gap(Frozen):
    """How far one framework's numbers lie from the reference's, in one measure.

    Losses are relative to the reference's first epoch loss, the rest to the reference's largest
    absolute value.
    """

    measure: Measure
    relative: float | None
    """Null where the two cannot be compared; `problem` then says why."""
    absolute: float | None
    """The largest absolute difference."""
    where: str | None = None
    """Where it is largest: `epoch 12`, `layers.0.kernel`, `row 1`."""
    problem: str | None = None


class SeedGaps(Frozen):
    """One seed: another framework against the reference."""

    seed: int
    reference: Framework
    other: Framework
    gaps: Many[Gap]
    same_initial_weights: bool | None
    """Null where a hash is missing."""
    same_batches: bool | None
    epochs: Many[int]
    """Epochs trained: the reference's, the other's."""
    within_tolerance: bool
    identical: bool
    """Whether predictions, outputs and weights are bit for bit the same."""


class Spread(Frozen):
    """A number over seeds. `deviation` is the sample standard deviation, null for one seed."""

    count: int
    mean: float
    deviation: float | None
    smallest: float
    largest: float


class PairGaps(Frozen):
    """Another framework against the reference, over all seeds that both trained."""

    reference: Framework
    other: Framework
    seeds: int
    """Seeds that both finished."""
    seeds_within_tolerance: int
    seeds_identical: int
    largest: Many[Gap]
    """By measure, the largest gap of any seed."""
    largest_seeds: Many[int]
    """The seeds of `largest`."""


class SeedRun(Frozen):
    """One seed in one framework. `missing`: no result is known, such as of a cancelled run."""

    seed: int
    status: Literal["succeeded", "failed", "missing"]
    failure: Failure | None = None
    epochs: int | None = None
    losses: Many[float] = ()
    validation_losses: Many[float] = ()
    final_loss: float | None = None
    stopped_early: bool = False
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    predictions: ArrayValue | None = None
    outputs: ArrayValue | None = None
    outputs_of: Literal["train", "validation", "test"] | None = None
    weights: dict[str, ArrayValue] = Field(default_factory=dict)
    hashes: Hashes | None = None
    timings: Timings | None = None
    peak_bytes: int | None = None
    device_peak_bytes: int | None = None


class Curves(Frozen):
    """Loss curves of many seeds, as quantiles over those that reach each epoch."""

    seeds: int
    quantiles: Many[float]
    epochs: Many[int]
    """From 1; of very many, evenly chosen ones."""
    losses: Many[Many[float]]
    """A row for each quantile, a number for each epoch."""
    validation_losses: Many[Many[float]] = ()

    @property
    def median(self) -> tuple[float, ...]:
        """The middle one of the loss curves."""
        return self.losses[len(self.quantiles) // 2]


class FrameworkRuns(Frozen):
    """What one framework returned, and what ran it."""

    framework: Framework
    run_id: str | None = None
    """Of several, the first."""
    failure: Failure | None = None
    environment: Environment | None = None
    worker: str | None = None
    attempt: int | None = None
    notes: Many[str] = ()
    """Sentences on how the seeds were trained."""
    seeds: Many[SeedRun]
    curves: Curves | None = None
    """Of seeds whose results are arrays; only some of `seeds` then have their own."""
    final_loss: Spread | None = None
    metrics: dict[str, dict[str, Spread]] = Field(default_factory=dict)
    """By part, by metric."""
    train_s: Spread | None = None
    total_train_s: float | None = None
    """Of all seeds."""


class Twin(Frozen):
    """The same trainings in float64, from the same start."""

    experiment_id: str
    seeds: int
    """Seeds that every framework trained."""
    tolerance: float
    gaps: Many[PairGaps]
    equal: bool
    """Whether the frameworks compute the same, so that a float32 gap is rounding."""


class Equivalence(Frozen):
    """Over seeds, in one measure: two one-sided tests of the other framework against the reference.

    Of a measure with several values, the numbers are of the one furthest outside its margin where they
    differ, else of the one with the least room to it.
    """

    measure: str
    """`final loss`, `test accuracy`, `predictions`."""
    where: str | None = None
    """Of several predictions the one that the numbers are of: `row 2`, or `row 2, output 1` of several."""
    reference: Framework
    other: Framework
    seeds: int
    paired: bool
    """Whether both frameworks started each seed alike."""
    difference: float
    """Of the means, the other's less the reference's."""
    interval: tuple[float, float]
    """Of confidence 90 %."""
    margin: float
    """What the difference may be, either way, and count as the same."""
    margin_declared: bool
    """Else it is half the spread of the reference over seeds, of which no outlier makes more."""
    effect_size: float | None
    """Cohen's d; null where the seeds all give the same."""
    verdict: Verdict
    seeds_to_decide: int | None
    """Seeds that would decide with a probability of 80 %; null beyond what an experiment may have."""


class OwnRerun(Frozen):
    """One framework's training against the same training once more: its noise floor."""

    framework: Framework
    seeds: int
    identical: bool
    """Whether all that it returned was the same bits, the losses too."""
    largest: Many[Gap]
    """By measure, the largest gap of any seed."""


class Growth(Frozen):
    """One seed's gap in the loss by epoch: rounding grows, and is about 1e9 times smaller in float64."""

    other: Framework
    seed: int
    epochs: Many[int]
    """From 1; of very many, evenly chosen ones."""
    declared: Many[float]
    """|difference| relative to the reference's first loss, in the declared precision …"""
    twin: Many[float]
    """… and in the float64 twin."""


class FirstDivergence(Frozen):
    """Where two frameworks part first, found by replaying both and laying their steps open.

    Stages and tensors are those of `shared.trace`: initial weights that differ stand under `forward` with
    step 0, other batches and another order under `data`.
    """

    seed: int
    step: int
    """Updates count from 1; 0 is before the first."""
    stage: Stage
    tensor: str
    """By layer path (`layers.2`), weight name (`layers.2.kernel`) or what it is (`loss`, `x`, `outputs`)."""
    relative_difference: float | None
    """The largest, relative to the reference's largest value there; null where they cannot be compared."""
    reference: Framework
    other: Framework
    values: dict[Framework, float | None] = Field(default_factory=dict)
    """Both values where the difference is largest; empty where they cannot be compared."""
    index: Many[int] = ()
    """Where in the tensor that is; of layers' outputs, x and y the first index is the sample in the batch."""
    problem: str | None = None
    """Why the two cannot be compared, such as other shapes."""
    relation: str | None = None
    """What the other's tensor is to the reference's, where a usual mistake made all of it so:
    `transposed: …`, `times 6`."""
    precision: str
    """In which the replay was trained."""
    given_start: bool = False
    """Whether the replay gave the reference's initial weights to both, since they do not start alike."""
    layers_fed_alike: Many[str] = ()
    """Layers that were given the reference's weights and inputs of that step …"""
    layers_apart: Many[str] = ()
    """… and those of them that differ all the same, so each by itself."""
    learning_rates: dict[Framework, float] = Field(default_factory=dict)
    """Of that update."""
    sentence: str


class Traced(Frozen):
    """What the replay told: where they part, or why that is not known."""

    divergence: FirstDivergence | None = None
    note: str | None = None


class Comparison(Frozen):
    """The verdict over the runs of an experiment."""

    schema_version: Literal[1] = COMPARISON_SCHEMA_VERSION
    experiment_id: str
    name: str
    submitted_s: float
    verdict: Verdict
    reasons: Many[str]
    """Plain sentences, the most important first."""
    setting_differences: Many[SettingDifference]
    first_divergence: FirstDivergence | None = None
    """Where the frameworks part; null where they do not, or were not traced."""
    tolerance: Tolerance
    twin: Twin | None = None
    """What decides in float32; null where it was not trained."""
    equivalence: Many[Equivalence] = ()
    """Over seeds, where there are several."""
    growth: Many[Growth] = ()
    """How the gap in the loss grows, beside the twin's; empty where there is no twin."""
    noise_floor: Many[OwnRerun] = ()
    """What each framework's own numbers move by; empty where nothing was trained again."""
    gaps: Many[PairGaps]
    seed_gaps: Many[SeedGaps]
    runs: Many[FrameworkRuns]
    experiment: Experiment
    jobs: dict[Framework, Job]
    """Each framework's own resolved job."""

    @property
    def frameworks(self) -> tuple[str, ...]:
        """In the experiment's order, the reference first."""
        return tuple(run.framework for run in self.runs)

    @property
    def failed(self) -> bool:
        """Whether any training has no result."""
        return any(seed.status != "succeeded" for run in self.runs for seed in run.seeds)
