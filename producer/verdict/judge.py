"""From gaps, failures and declared differences to one of three words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from producer.resolve import SettingDifference
from producer.verdict.models import FrameworkRuns, PairGaps, SeedGaps, SeedRun, Tolerance, Twin, Verdict
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


def judge(evidence: Evidence) -> Verdict:
    """The verdict.

    Where a float64 twin was trained, it decides. Without one, `agree`: every seed finished everywhere,
    within the tolerance. `differ`: the numbers differ and something declared does too, or the precision
    leaves no room for rounding; or one framework's training fails on the job itself where another's
    does not. `inconclusive`: anything else.
    """
    if _fails_alone(evidence.runs):
        return "differ"
    if evidence.twin is not None:
        return "agree" if evidence.twin.equal else "differ"
    if evidence.outside and (_declared(evidence) or evidence.precisions == {"float64"}):
        return "differ"
    complete = all(seed.status == "succeeded" for run in evidence.runs for seed in run.seeds)
    if evidence.outside or not complete or len(evidence.runs) < 2:
        return "inconclusive"
    return "agree"


def failed_on_the_job(seed: SeedRun) -> bool:
    """Whether the training failed by what was asked of it, not by its surroundings."""
    return seed.failure is not None and seed.failure.reason not in NO_WORD_ON_NUMBERS


def _declared(evidence: Evidence) -> bool:
    return bool(evidence.differences or evidence.other_start or evidence.other_batches)


def _fails_alone(runs: Sequence[FrameworkRuns]) -> bool:
    for same_seed in zip(*(run.seeds for run in runs), strict=True):
        if any(failed_on_the_job(seed) for seed in same_seed) and any(
            seed.status == "succeeded" for seed in same_seed
        ):
            return True
    return False
