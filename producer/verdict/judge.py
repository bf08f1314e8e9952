"""The verdict, one of three words, from gaps, failures and declared differences. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.equivalence import verdict_over
from likewise.producer.verdict.models import (
    Equivalence,
    OwnRerun,
    PairGaps,
    SeedGaps,
    SideRuns,
    Tolerance,
    Twin,
    Verdict,
)
from likewise.shared.job.experiment import Precision
from likewise.shared.results.run_result import Reason
from likewise.shared.results.seed_table import SeedRow

NO_WORD_ON_NUMBERS: frozenset[Reason] = frozenset(
    {"out_of_memory", "data_damaged", "cancelled", "worker_lost", "invalid", "internal"}
)
"""Failures that the surroundings caused: they leave open what the training would have given."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """It holds everything that the verdict rests on."""

    differences: Sequence[SettingDifference]
    seed_gaps: Sequence[SeedGaps]
    pairs: Sequence[PairGaps]
    tolerance: Tolerance
    runs: Sequence[SideRuns]
    precisions: frozenset[Precision]
    twin: Twin | None = None
    equal_epochs: int | None = None
    """How many first epochs had equal losses in float64, where rounding may have parted them later."""
    tests: Sequence[Equivalence] = ()
    """The tests over seeds, where there are several."""
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
        """Whether a gap in float64 must be real, since rounding alone cannot have grown to it."""
        return self.equal_epochs is None or bool(self.differences or self.other_start or self.other_batches)

    @property
    def deciding_twin(self) -> Twin | None:
        """The twin where it decides, else None."""
        return self.twin if self.twin and (self.twin.equal or self.float64_tells) else None


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict, by the first of these rules that applies.

    1. One side's training fails on the job itself and another's does not: `differ`.
    2. The job declares a margin: the tests over seeds decide whether the results are the same, whatever
       computes them. They also decide where a gap is above the tolerance and no float64 twin decides, unless
       the runs themselves are in float64 from the same start, where rounding cannot have grown that far.
    3. There is a float64 twin that decides: `agree` or `differ`, as it says.
    4. The numbers differ, and so does something that was declared besides the precision, or the precision
       leaves no room for rounding: `differ`. That a lower precision rounds more is no difference: where the
       sides have different precisions, the twin trains all of them in float64 and decides.
    5. Every seed finished everywhere within the tolerance: `agree`.
    6. Else `inconclusive`.
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
    if declared:
        return "differ"
    if evidence.outside or not _complete(evidence) or len(evidence.runs) < 2:
        return "inconclusive"
    return "agree"


def decided_over_seeds(evidence: Evidence) -> bool:
    """Return whether the verdict rests on the tests over seeds."""
    if any(test.margin_declared for test in evidence.tests):
        return True
    exact = evidence.precisions == {"float64"} and evidence.float64_tells
    by_seed = exact and not _other_surroundings(evidence)
    return bool(evidence.tests and evidence.outside and evidence.deciding_twin is None and not by_seed)


def _complete(evidence: Evidence) -> bool:
    return all(seed.status == "succeeded" for run in evidence.runs for seed in run.seeds)


def _other_surroundings(evidence: Evidence) -> bool:
    return bool(evidence.other_start or evidence.other_batches)


def failed_on_the_job(seed: SeedRow) -> bool:
    """Return whether the training failed by what was asked of it, not by its surroundings."""
    return seed.failure is not None and seed.failure.reason not in NO_WORD_ON_NUMBERS


def _declared(evidence: Evidence) -> bool:
    told = [one for one in evidence.differences if one.path != "precision"]
    return bool(told) or _other_surroundings(evidence)


def _fails_alone(runs: Sequence[SideRuns]) -> bool:
    for same_seed in zip(*(run.seeds for run in runs), strict=True):
        if any(failed_on_the_job(seed) for seed in same_seed) and any(
            seed.status == "succeeded" for seed in same_seed
        ):
            return True
    return False
