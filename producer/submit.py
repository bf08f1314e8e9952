"""Puts an experiment's runs on the ledger and wakes the workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.ledger import ExperimentRecord, Ledger

if TYPE_CHECKING:
    import celery

    from producer.data import PreparedRun
    from shared.blobs import BlobStore
    from shared.spec import Experiment


def submit(
    experiment: Experiment,
    prepared: Mapping[str, PreparedRun],
    *,
    ledger: Ledger,
    blobs: BlobStore,
    app: celery.Celery,
    queue_anyway: bool = False,
    key: str | None = None,
) -> ExperimentRecord:
    """Store the arrays, write the records, then send one message a run.

    Raises NoWorkerError (with the live workers) unless `queue_anyway`. The same idempotency `key`
    gives the experiment it was first used for.
    """
    raise NotImplementedError
