"""What the ledger says of runs, experiments and workers, as values."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.frozen import Frozen
from shared.job.experiment import Experiment
from shared.job.fields import Many
from shared.job.side import Framework, Label, OfSide
from shared.results.run_result import Failure

RunState = Literal["queued", "leased", "succeeded", "failed", "cancelled"]
WorkerState = Literal["starting", "idle", "busy"]

FINAL: tuple[RunState, ...] = ("succeeded", "failed", "cancelled")
"""States that never change again."""


class RunRecord(OfSide):
    """Where one run stands. All times are seconds by the Redis server's clock."""

    run_id: str
    experiment_id: str
    framework: Framework
    side: Label = ""
    """The label of its side."""
    queue: str
    state: RunState
    attempt: int
    """How often a worker has claimed it."""
    fence: int
    """Raised by each claim; what carries an older one is refused."""
    worker: str | None = None
    """Who holds it, or held it last."""
    submitted_s: float
    claimed_s: float | None = None
    finished_s: float | None = None
    cancel_requested: bool = False
    failure: Failure | None = None

    @property
    def final(self) -> bool:
        """Whether the state never changes again."""
        return self.state in FINAL


class ExperimentRecord(Frozen):
    """A submitted experiment and the runs made of it."""

    experiment_id: str
    submitted_s: float
    experiment: Experiment
    run_ids: Many[str]
    related: dict[str, str] = Field(default_factory=dict)
    """Ids of the experiments that belong to it, by what they are for: `twin`, `rerun`, `fingerprints` …"""
    cancelled: bool = False
    """Whether it was cancelled: nothing more may be trained that belongs to it."""
    verdict: str | None = None
    """What the comparison said when it was last made, once every run was final."""


class WorkerPresence(Frozen):
    """A live worker, as it described itself at its last beat."""

    worker_id: str
    framework: Framework
    device: Literal["cpu", "cuda"]
    queues: Many[str]
    host: str
    pid: int
    versions: dict[str, str]
    """Until the framework is loaded, its own alone, where the worker's packages name it."""
    threads: int
    image: str | None = None
    state: WorkerState
    run_id: str | None = None
    """The run it is busy with."""
    started_s: float
    seen_s: float

    @property
    def version(self) -> str | None:
        """The version of its framework, where it is known."""
        return self.versions.get(self.framework)
