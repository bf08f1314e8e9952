"""Cancels an experiment with all that belongs to it: its twin, rerun, replays, mixtures and timed runs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.errors import CancelledError, UsageError

if TYPE_CHECKING:
    from shared.ledger.ledger import Ledger
    from shared.ledger.records import ExperimentRecord, RunRecord


def cancel(experiment_id: str, *, ledger: Ledger) -> list[RunRecord]:
    """Cancel what is not final and refuse what would be added; the runs as they are then, its own first.

    A command that still trains for the experiment ends at its next step, with CancelledError.
    """
    ledger.refuse_more(experiment_id)  # before the look at what belongs to it
    record = ledger.experiment(experiment_id)
    if record is None:
        return []
    for run in ledger.records(record.run_ids):
        if not run.final:
            with suppress(UsageError):  # a timed run, which ended and was deleted meanwhile
                ledger.cancel(run.run_id)
    runs = ledger.records(record.run_ids)
    for related in record.related.values():
        runs += cancel(related, ledger=ledger)
    return runs


def still_wanted(record: ExperimentRecord, *, ledger: Ledger) -> ExperimentRecord:
    """The record as it is now. Raises CancelledError where the experiment was cancelled meanwhile."""
    now = ledger.experiment(record.experiment_id) or record
    if now.cancelled:
        name = record.experiment_id
        raise CancelledError(f"{name} was cancelled; likewise show {name} tells what was trained by then")
    return now
