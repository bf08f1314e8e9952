"""The trainings that a run is made of, and what each of them came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.result import Failure, Hashes, Timings
from shared.run import Run
from shared.spec import Job
from worker.training.seed_record import Outcome


@dataclass(frozen=True, kw_only=True)
class Member:
    """One training of a run: a seed, and the job with the optimizer of one point of a sweep."""

    seed: int
    point: int
    job: Job


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one training came to, as far as it came: either an outcome or a failure."""

    member: Member
    outcome: Outcome | None = None
    failure: Failure | None = None
    losses: list[float] = field(default_factory=list)
    """Of the finished epochs, all finite."""
    validation_losses: list[float] = field(default_factory=list)
    stopped_early: bool = False
    hashes: Hashes | None = None
    timings: Timings | None = None
    peak_bytes: int | None = None
    grown_bytes: int | None = None
    device_peak_bytes: int | None = None


def members_of(run: Run) -> list[Member]:
    """Every seed of each point in turn."""
    jobs = [
        run.job.model_copy(update={"optimizer": optimizer})
        for optimizer in run.optimizers or (run.job.optimizer,)
    ]
    return [Member(seed=seed, point=point, job=job) for point, job in enumerate(jobs) for seed in run.seeds]
