"""From gaps, failures and declared differences to one of three words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from producer.job.resolve import SettingDifference
from producer.verdict.equivalence import verdict_over
from producer.verdict.models import (
    Equivalence,
    FrameworkRuns,
    OwnRerun,
    PairGaps,
    SeedGaps,
    SeedRun,
    Tolerance,
    Twin,
    Verdict,
)
from shared.result import Reason
from shared.spec.experiment import Precision

NO_WORD_ON_NUMBERS: frozenset[Reason] = frozenset(
    {"out_of_memory", "data_damaged", "cancelled", "worker_lost", "invalid", "internal"}
)
"""Failures that come from the surroundings: they leave open what the training would have given."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the verdict rests on."""

    differences: Sequence[SettingDifference]
    seed_gaps: Sequence[SeedGaps]
    pairs: Sequence[PairGaps]
    tolerance: Tolerance
    runs: Sequence[FrameworkRuns]
    precisions: frozenset[Precision]
    twin: Twin | None = None
    equal_epochs: int | None = None
    """In how many first epochs float64's losses were equal, where rounding may have parted them later."""
    tests: Sequence[Equivalence] = ()
    """Over seeds, where there are several."""
    noise_floor: Sequence[OwnRerun] = ()

    @property
    def other_start(self) -> list[SeedGaps]:
        """Seeds that did not start from the same weights."""
        return [gaps for gaps in self.seed_gaps if gaps.same_initial_weights is False]

    @property
    def other_batches(self) -> list[SeedGaps]:
        """Seeds that did not train on the same batches."""
        return [gaps for gaps in self.seed_gaps if gaps.same_batches is False]

    @property
    def outside(self) -> list[SeedGaps]:
        """Seeds with a gap above the tolerance."""
        return [gaps for gaps in self.seed_gaps if not gaps.within_tolerance]

    @property
    def float64_tells(self) -> bool:
        """Whether a gap in float64 is a real one: not where rounding alone may have grown to it."""
        return self.equal_epochs is None or bool(self.differences or self.other_start or self.other_batches)

    @property
    def deciding_twin(self) -> Twin | None:
        """The twin, where it decides."""
        return self.twin if self.twin and (self.twin.equal or self.float64_tells) else None


def judge(evidence: Evidence) -> Verdict:
    """The verdict.

    One framework's training fails on the job itself where another's does not: `differ`. A margin was
    declared: the tests over seeds decide whether the results are the same, whatever computes them. Else
    the float64 twin, where there is one, decides whether the frameworks compute the same; in different
    precisions they do not. Without a twin, or where training amplified even float64's rounding, seeds that
    did not start alike, or that rounding took apart, are again for the tests to decide, if there are
    several. What is left: `agree`, if every seed finished everywhere within the tolerance; `differ`, if the
    numbers differ and something declared does too, or the precision leaves no room for rounding;
    `inconclusive`.
    """
    if _fails_alone(evidence.runs):
        return "differ"
    if decided_over_seeds(evidence):
        verdict = verdict_over(evidence.tests)
        return "inconclusive" if verdict == "agree" and not _complete(evidence) else verdict
    if evidence.deciding_twin is not None:
        return "agree" if evidence.deciding_twin.equal else "differ"
    exact = evidence.precisions == {"float64"} and evidence.float64_tells
    declared = evidence.outside and (_declared(evidence) or exact)
    if declared or (len(evidence.precisions) > 1 and not all(gaps.identical for gaps in evidence.seed_gaps)):
        return "differ"
    if evidence.outside or not _complete(evidence) or len(evidence.runs) < 2:
        return "inconclusive"
    return "agree"


def decided_over_seeds(evidence: Evidence) -> bool:
    """Whether the tests over seeds are what the verdict rests on."""
    if any(test.margin_declared for test in evidence.tests):
        return True
    exact = evidence.precisions == {"float64"} and evidence.float64_tells
    by_seed = exact and not _other_surroundings(evidence)
    return bool(evidence.tests and evidence.outside and evidence.deciding_twin is None and not by_seed)


def _complete(evidence: Evidence) -> bool:
    return all(seed.status == "succeeded" for run in evidence.runs for seed in run.seeds)


def _other_surroundings(evidence: Evidence) -> bool:
    return bool(evidence.other_start or evidence.other_batches)


def failed_on_the_job(seed: SeedRun) -> bool:
    """Whether the training failed by what was asked of it, not by its surroundings."""
    return seed.failure is not None and seed.failure.reason not in NO_WORD_ON_NUMBERS


def _declared(evidence: Evidence) -> bool:
    return bool(evidence.differences) or _other_surroundings(evidence)


def _fails_alone(runs: Sequence[FrameworkRuns]) -> bool:
    for same_seed in zip(*(run.seeds for run in runs), strict=True):
        if any(failed_on_the_job(seed) for seed in same_seed) and any(
            seed.status == "succeeded" for seed in same_seed
        ):
            return True
    return False
