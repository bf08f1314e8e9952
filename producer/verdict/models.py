"""The Comparison and its parts: everything a renderer may show, and nothing of how it looks.

The first side is the reference; every other is compared with it. Nothing enumerates sides or frameworks.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field, SkipValidation

from likewise.producer.job.resolve import SettingDifference
from likewise.shared.frozen import Frozen
from likewise.shared.job.experiment import Experiment, Job
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Framework, Label, OfSide
from likewise.shared.results.run_result import Environment, Failure
from likewise.shared.results.seed_table import SeedRow, SeedTable
from likewise.shared.results.step_trace import Stage

COMPARISON_SCHEMA_VERSION: Literal[1] = 1

Verdict = Literal["agree", "differ", "inconclusive"]
Measure = Literal["losses", "predictions", "outputs", "weights"]


NoteCode = Literal[
    "diverged",              # trainings whose numbers grew without bound
    "worse_than_mean",       # a regression that the mean of the targets beats, or equals
    "worse_than_commonest",  # a classification that the commonest class beats, or equals
    "target_not_scaled",     # why: targets far from where a model begins
    "written_differently",   # other settings that compute the same
    "reported_differently",  # the same was trained, and the losses told of it are others
]  # fmt: skip


class Note(Frozen):
    """It says what a reader has to know beside the verdict; scripts look for its `code`."""

    code: NoteCode
    text: str
    """The text is whole sentences."""


class Tolerance(Frozen):
    """It says how large a gap may be to count as rounding, and why."""

    relative: float
    why: str


class Gap(Frozen):
    """It says how far one side's numbers are from the reference's, in one measure.

    Gaps of losses are relative to the reference's first epoch loss, all others to the largest absolute
    value of the reference.
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
    """It sets another side against the reference, for one seed."""

    seed: int
    reference: Label
    other: Label
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
    """It describes a number over seeds. `deviation` is the sample standard deviation, null for one seed
    and where it overflows.
    """

    count: int
    mean: float
    deviation: float | None
    smallest: float
    largest: float


class PairGaps(Frozen):
    """It sets another side against the reference, over all seeds that both trained."""

    reference: Label
    other: Label
    seeds: int
    """Seeds that both finished."""
    seeds_within_tolerance: int
    seeds_identical: int
    largest: Many[Gap]
    """The largest gap of any seed in each measure."""
    largest_seeds: Many[int]
    """The seed of each gap in `largest`."""


class Curves(Frozen):
    """It has the loss curves of all seeds, as quantiles over those that reach each epoch."""

    seeds: int
    quantiles: Many[float]
    epochs: Many[int]
    """The epochs, counted from 1; of very many, evenly chosen ones."""
    losses: Many[Many[float]]
    """A row for each quantile, a number for each epoch."""
    validation_losses: Many[Many[float]] = ()

    @property
    def median(self) -> tuple[float, ...]:
        """The median of the losses, by epoch."""
        return self.losses[len(self.quantiles) // 2]


class SideRuns(OfSide):
    """It holds what one side returned, and what ran it."""

    framework: Framework
    side: Label = ""
    """The label of its side."""
    run_id: str | None = None
    """The run's id; that of the first run where there are several."""
    failure: Failure | None = None
    environment: Environment | None = None
    worker: str | None = None
    attempt: int | None = None
    notes: Many[str] = ()
    """Sentences on how the seeds were trained."""
    table: SkipValidation[SeedTable] = Field(exclude=True, repr=False)
    """The numbers of every seed."""
    curves: Curves | None = None
    """The loss curves of the seeds as quantiles; null where none trained an epoch."""
    final_loss: Spread | None = None
    metrics: dict[str, dict[str, Spread]] = Field(default_factory=dict)
    """Metrics over seeds, by part of the data (`train`, `validation`, `test`) and name."""
    train_s: Spread | None = None
    total_train_s: float | None = None
    """Seconds that all seeds trained, together."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def seeds(self) -> tuple[SeedRow, ...]:
        """The seeds one by one, in the order asked for."""
        return self.table.rows


class Twin(Frozen):
    """It says what the same trainings gave in float64, from the same start."""

    experiment_id: str
    seeds: int
    """Seeds that every side trained."""
    tolerance: float
    gaps: Many[PairGaps]
    equal: bool
    """Whether the sides compute the same, so that a float32 gap is rounding."""
    trained_alike: bool = False
    """Whether all but the losses is the same: what was trained, however it was reported."""
    amplified: Many[str] = ()
    """Weights and outputs that part the sides, and each side from itself where its start moves in the last
    place: rounding alone, of gradients that are nothing else."""


class Equivalence(Frozen):
    """It holds two one-sided tests of the other side against the reference, over seeds, in one measure.

    Of a measure with several values, the numbers are of the one furthest outside its margin where they
    differ, else of the one with the least room to it.
    """

    measure: str
    """`final loss`, `test accuracy`, `predictions`."""
    where: str | None = None
    """Which of several predictions the numbers are of: `row 2`, or `row 2, output 1` where it has several."""
    reference: Label
    other: Label
    seeds: int
    paired: bool
    """Whether both sides started each seed alike."""
    difference: float
    """The difference of the means: the other's less the reference's."""
    interval: tuple[float, float]
    """The interval of confidence 90 % for the difference."""
    margin: float
    """What the difference may be, either way, and count as the same."""
    margin_declared: bool
    """Else it is half the spread of the reference over seeds, of which no outlier makes more."""
    effect_size: float | None
    """Cohen's d; null where the seeds all give the same."""
    verdict: Verdict
    seeds_to_decide: int | None
    """Seeds that would decide with a probability of 80 %; null beyond what an experiment may have."""


class OwnRerun(OfSide):
    """It sets one side's training against the same training once more, which is its noise floor."""

    framework: Framework
    side: Label = ""
    """The label of its side."""
    seeds: int
    identical: bool
    """Whether everything that both trainings returned, the losses too, is the same to the bit."""
    largest: Many[Gap]
    """The largest gap of any seed in each measure."""


class Growth(Frozen):
    """It has a seed's gap in the loss by epoch: rounding grows, and is some 1e9 times smaller in float64."""

    other: Label
    seed: int
    epochs: Many[int]
    """The epochs, counted from 1; of very many, evenly chosen ones."""
    declared: Many[float]
    """The absolute gap, relative to the reference's first loss, in the declared precision, by epoch."""
    twin: Many[float]
    """The same in the float64 twin."""


class Cause(Frozen):
    """It is one of several settings that part two sides, and how much of their gap it makes."""

    path: str
    values: dict[Label, Any]
    """The setting in the reference and in the other side."""
    share: float
    """The part of the gap that switching it closes, below 0 where that widens the gap."""


class FirstDivergence(Frozen):
    """It says where two sides part first, found by replaying both and observing their updates.

    Stages and tensors are those of `shared.results.step_trace`. Initial weights that differ are listed as
    stage `forward` of step 0; other samples in a batch, or another order of them, as stage `data`.
    """

    seed: int
    step: int
    """The update, counted from 1; 0 is before the first."""
    stage: Stage
    tensor: str
    """A layer's path (`layers.2`), a weight's name (`layers.2.kernel`), or a word such as `loss` or `x`."""
    relative_difference: float | None
    """The largest difference, relative to the reference tensor's largest value; null if not comparable."""
    reference: Label
    other: Label
    values: dict[Label, float | None] = Field(default_factory=dict)
    """Both values at the place of the largest difference; empty if they cannot be compared."""
    index: Many[int] = ()
    """That place in the tensor. In layers' outputs, x and y the first index is the sample in the batch."""
    problem: str | None = None
    """Why the two cannot be compared, such as other shapes."""
    shapes: dict[Label, Many[int]] = Field(default_factory=dict)
    """Both shapes, where they are not the same; of what only one side has, its own."""
    relation: str | None = None
    """How the other's whole tensor follows from the reference's, where a usual mistake explains it:
    `transposed: …`, `times 6`."""
    precision: str
    """The precision of the replay."""
    given_start: bool = False
    """Whether both were replayed from the reference's initial weights, since their own differ."""
    layers_fed_alike: Many[str] = ()
    """Layers that the other computed again from the reference's weights and inputs of that step."""
    layers_apart: Many[str] = ()
    """Which of those still give other outputs: each of these layers differs by itself."""
    learning_rates: dict[Label, float] = Field(default_factory=dict)
    """The learning rates of that update."""
    batches: dict[Label, int] = Field(default_factory=dict)
    """How many batches make that update, where the sides gather its samples in other batches; then only what
    stands after updates was compared."""
    causes: Many[Cause] = ()
    """The settings that part the two, the largest share first; empty for a single one, and where that was not
    measured."""
    sentence: str


class Mending(Frozen):
    """It has the code that makes a setting the same where it differs."""

    path: str
    fixes: Many[tuple[Label, Label, str]]
    """A side, the side that it is made like, and the code; every other side is paired with the first."""


class ReplayFindings(Frozen):
    """It says what a replay showed: where each other side parts from the first, or why that is unknown."""

    divergences: Many[FirstDivergence] = ()
    """One for each side that parts, in the order of the sides."""
    notes: Many[str] = ()
    """What is said of the sides that do not part."""


class Comparison(Frozen):
    """It has the verdict over the runs of an experiment, and all that leads to it."""

    schema_version: Literal[1] = COMPARISON_SCHEMA_VERSION
    experiment_id: str
    name: str
    submitted_s: float
    verdict: Verdict
    reasons: Many[str]
    """Plain sentences, the most important first."""
    notes: Many[Note] = ()
    """What a reader has to know beside the verdict; shown right under it."""
    setting_differences: Many[SettingDifference]
    mendings: Many[Mending] = ()
    """How each setting that differs is made the same, where it is known, in the order of the settings."""
    first_divergences: Many[FirstDivergence] = ()
    """Where each other side parts from the first; empty where none does, or nothing was traced. What does
    not fit together by its shape is found without a trace."""
    tolerance: Tolerance
    twin: Twin | None = None
    """The float64 twin, which decides for float32 jobs; null where it was not trained."""
    equivalence: Many[Equivalence] = ()
    """The tests over seeds; empty for a single one."""
    growth: Many[Growth] = ()
    """How the gap in the loss grows over the epochs, and the twin's; empty where there is no twin."""
    noise_floor: Many[OwnRerun] = ()
    """How far each side is from its own rerun; empty where nothing was trained again."""
    gaps: Many[PairGaps]
    seed_gaps: Many[SeedGaps]
    runs: Many[SideRuns]
    experiment: Experiment
    jobs: dict[Label, Job]
    """Each side's own resolved job."""

    @property
    def sides(self) -> tuple[str, ...]:
        """The labels of the sides in the experiment's order, the reference first."""
        return tuple(run.side for run in self.runs)

    @property
    def first_divergence(self) -> FirstDivergence | None:
        """Where a side parts from the first, of several the earliest; None where none is known to."""
        in_order = get_args(Stage)
        return min(
            self.first_divergences, key=lambda one: (one.step, in_order.index(one.stage)), default=None
        )

    @property
    def diverged(self) -> bool:
        """Whether any training's numbers grew without bound."""
        return self.noted("diverged")

    @property
    def misfit(self) -> bool:
        """Whether every other side has something of another shape than the first."""
        others = set(self.sides[1:])
        return bool(others) and others <= {one.other for one in self.first_divergences if one.shapes}

    def noted(self, code: NoteCode) -> bool:
        """Return whether there is a note of this code."""
        return any(note.code == code for note in self.notes)

    @property
    def failed(self) -> bool:
        """Whether any training has no result."""
        return any(seed.status != "succeeded" for run in self.runs for seed in run.seeds)
