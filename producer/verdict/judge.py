"""The verdict, one of three words, from gaps, failures and declared differences. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.equivalence import verdict_over
from likewise.producer.verdict.misfits import Misfits
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
from likewise.producer.verdict.usefulness import Usefulness
from likewise.producer.wording.alike import Wording
from likewise.shared.job.experiment import Precision
from likewise.shared.results.run_result import Reason
from likewise.shared.results.seed_table import Float64, SeedRow

NO_WORD_ON_NUMBERS: frozenset[Reason] = frozenset(
    {
        *("out_of_memory", "data_damaged", "data_unreachable", "cancelled"),
        *(
            "too_large",
            "hung",
            "time_limit",
            "program_refused",
            "program_failed",
            "worker_lost",
            "invalid",
            "internal",
        ),
    }
)
"""Failures that the surroundings caused: they leave open what the training would have given."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """It holds everything that the verdict rests on."""

    differences: Sequence[SettingDifference]
    """The settings that differ in what the sides compute."""
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
    usefulness: Mapping[str, Usefulness] = field(default_factory=dict)
    """What each side's training came to."""
    misfits: Sequence[Misfits] = ()
    """What does not fit between the first side and each other one."""
    declared: Sequence[SettingDifference] = ()
    """All settings that differ, also those that are only written differently."""
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    """Each other side's job and the reference's in one wording."""

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
        """Seeds with a gap above the tolerance in what was trained; what is reported of it is no gap then."""
        apart = [gaps for gaps in self.seed_gaps if not gaps.within_tolerance]
        return [] if self.reported_differently else apart

    @property
    def reported_differently(self) -> bool:
        """Whether the losses alone differ: what was trained is the same, and told in other numbers.

        That takes the same bits, or float64, in which a difference of meaning cannot hide; and trainings that
        went somewhere, since weights that stay where they were say nothing of the loss.
        """
        if not self._went_somewhere:
            return False
        if self.twin is not None:
            return self.twin.trained_alike and not self.twin.equal
        apart = [gaps for gaps in self.seed_gaps if not gaps.within_tolerance]
        exact = self.precisions == {"float64"}
        return bool(apart) and all(
            (exact or one.identical) and _only_the_losses(one, self.tolerance) for one in apart
        )

    @property
    def _went_somewhere(self) -> bool:
        """Whether some side's loss changed from epoch to epoch; after one epoch, that all have one loss."""
        if not any(one.path.startswith("loss.") for one in self.differences):
            return True
        losses = [run.table.losses for run in self.runs]
        return any(one.shape[1] > 1 and bool(np.any(_moved(one))) for one in losses)

    def misfits_of(self, other: str) -> Misfits | None:
        """Return what does not fit between the first side and this one; None where nothing is known."""
        return next((one for one in self.misfits if one.sides[1] == other), None)

    def fits(self, other: str) -> bool:
        """Return whether what the first side and this one train on, and train, has the same shapes."""
        known = self.misfits_of(other)
        return known is None or known.parting is None

    def differs_in(self, *sections: str) -> bool:
        """Return whether a setting of one of these sections of a job differs."""
        return any(one.path.partition(".")[0] in sections for one in self.differences)

    @property
    def diverged_everywhere(self) -> bool:
        """Whether every side diverged on every seed."""
        found = [one.diverged for one in self.usefulness.values()]
        return len(found) > 1 and all(one.all() for one in found)

    @property
    def diverged_alone(self) -> bool:
        """Whether on some seed one side diverged, and another trained to the end without."""
        succeeded = [run.table.succeeded for run in self.runs if run.side in self.usefulness]
        diverged = [one.diverged for one in self.usefulness.values()]
        if len(diverged) < 2:
            return False
        trained = np.any([fine & ~bad for fine, bad in zip(succeeded, diverged, strict=True)], axis=0)
        return bool(np.any(np.any(diverged, axis=0) & trained))

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

    1. Every side diverged on every seed: `inconclusive`, whatever the gaps; numbers without bound have no
       scale to measure a gap by.
    2. One side's training diverges, or fails on the job itself, and another's does not: `differ`.
    3. The job declares a margin: the tests over seeds decide whether the results are the same, whatever
       computes them. They also decide where a gap is above the tolerance and no float64 twin decides, unless
       the runs themselves are in float64 from the same start, where rounding cannot have grown that far.
    4. There is a float64 twin that decides: `agree` or `differ`, as it says; `agree`, too, where only the
       losses that are reported differ.
    5. The numbers differ, and so does something that was declared besides the precision, or the precision
       leaves no room for rounding: `differ`. That a lower precision rounds more is no difference: where the
       sides have different precisions, the twin trains all of them in float64 and decides.
    6. Every seed finished everywhere without diverging, within the tolerance: `agree`.
    7. Else `inconclusive`.
    """
    if evidence.diverged_everywhere:
        return "inconclusive"
    if evidence.diverged_alone or _fails_alone(evidence.runs):
        return "differ"
    if decided_over_seeds(evidence):
        verdict = verdict_over(evidence.tests)
        return "inconclusive" if verdict == "agree" and not _complete(evidence) else verdict
    if evidence.deciding_twin is not None:
        return "agree" if evidence.deciding_twin.equal or evidence.reported_differently else "differ"
    exact = evidence.precisions == {"float64"} and evidence.float64_tells
    declared = evidence.outside and (_declared(evidence) or exact)
    if declared:
        return "differ"
    open_yet = evidence.outside or not _complete(evidence) or len(evidence.runs) < 2
    return "inconclusive" if open_yet else "agree"


def decided_over_seeds(evidence: Evidence) -> bool:
    """Return whether the verdict rests on the tests over seeds."""
    if any(test.margin_declared for test in evidence.tests):
        return True
    exact = evidence.precisions == {"float64"} and evidence.float64_tells
    by_seed = exact and not _other_surroundings(evidence)
    return bool(evidence.tests and evidence.outside and evidence.deciding_twin is None and not by_seed)


def _only_the_losses(gaps: SeedGaps, tolerance: Tolerance) -> bool:
    """Return whether a seed's losses differ, and nothing that was trained does."""
    others = [one for one in gaps.gaps if one.measure != "losses"]
    close = [one.relative is not None and one.relative <= tolerance.relative for one in others]
    return bool(close) and all(close) and gaps.epochs[0] == gaps.epochs[1]


def _moved(losses: Float64) -> NDArray[np.bool_]:
    """Return whether each seed's losses (seeds, epochs) differ by more than rounding."""
    first = losses[:, :1]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmax(np.abs(losses - first), axis=1, initial=0.0) > 1e-4 * np.abs(first[:, 0]))


def _complete(evidence: Evidence) -> bool:
    if any(one.diverged.any() for one in evidence.usefulness.values()):
        return False
    return all(seed.status == "succeeded" for run in evidence.runs for seed in run.seeds)


def _other_surroundings(evidence: Evidence) -> bool:
    return bool(evidence.other_start or evidence.other_batches)


def failed_on_the_job(seed: SeedRow) -> bool:
    """Return whether the training failed by what was asked of it, not by its surroundings."""
    return seed.failure is not None and seed.failure.reason not in NO_WORD_ON_NUMBERS


def _declared(evidence: Evidence) -> bool:
    differing = [one for one in evidence.differences if one.path != "precision"]
    return bool(differing) or _other_surroundings(evidence) or any(one.any_shape for one in evidence.misfits)


def _fails_alone(runs: Sequence[SideRuns]) -> bool:
    for same_seed in zip(*(run.seeds for run in runs), strict=True):
        if any(failed_on_the_job(seed) for seed in same_seed) and any(
            seed.status == "succeeded" for seed in same_seed
        ):
            return True
    return False
