"""Fetches the results of an experiment's finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.ledger import ExperimentRecord, Ledger
from shared.result import RunResult

if TYPE_CHECKING:
    import celery


def collect(record: ExperimentRecord, *, app: celery.Celery, ledger: Ledger) -> list[RunResult]:
    """The results of the runs that are final, in the experiment's order.

    A run that ended without a result (cancelled in the queue, given up) becomes a failed RunResult.
    Raises ResultError for a result of another schema version, a damaged one, or one that is gone.
    """
    raise NotImplementedError
