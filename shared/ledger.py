"""The ledger: each run's record in Redis, the only truth about it. Messages are wake-ups."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from shared.records import (
    FINAL,
    ExperimentRecord,
    RunRecord,
    RunState,
    WorkerPresence,
    WorkerState,
)
from shared.run import Run

__all__ = [
    "FINAL",
    "ExperimentRecord",
    "Ledger",
    "RunRecord",
    "RunState",
    "WorkerPresence",
    "WorkerState",
]


class Ledger:
    """The producer's view of the records."""

    def __init__(self, client: redis.Redis, *, retention_s: float) -> None:
        raise NotImplementedError

    def add(
        self, record: ExperimentRecord, runs: Sequence[Run], queues: Sequence[str], *, key: str | None = None
    ) -> str:
        """Write an experiment and its runs as queued, in one step.

        With an idempotency `key` that was used before, nothing is written. Returns the id of the
        experiment that is stored: the given one, or the one the key stands for.
        """
        raise NotImplementedError

    def experiment(self, experiment_id: str) -> ExperimentRecord | None:
        """The experiment, or None where there is none (or no longer)."""
        raise NotImplementedError

    def experiments(self, limit: int = 100) -> list[ExperimentRecord]:
        """The newest experiments, newest first."""
        raise NotImplementedError

    def records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """The records of the runs that are known, in the order given."""
        raise NotImplementedError

    def run(self, run_id: str) -> Run:
        """The run as it was submitted. Raises UsageError for an unknown id, ResultError for another schema."""
        raise NotImplementedError

    def cancel(self, run_id: str) -> RunState:
        """Cancel a queued run at once, ask a leased one to stop; returns the state it is in now.

        Raises UsageError for an unknown id.
        """
        raise NotImplementedError

    def delete(self, experiment_id: str) -> None:
        """Remove an experiment, its runs, results and progress. Raises UsageError while a run is not final."""
        raise NotImplementedError

    def workers(self) -> list[WorkerPresence]:
        """The live workers, by framework and id."""
        raise NotImplementedError

    def now(self) -> float:
        """The server's time in seconds."""
        raise NotImplementedError
