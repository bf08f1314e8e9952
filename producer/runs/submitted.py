"""Finds an experiment by what the user types (an id, its beginning, or `last`), and cancels it."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import TYPE_CHECKING

from likewise.producer.display import printable
from likewise.producer.job.jobfile import LAST, names_a_job
from likewise.shared.errors import CancelledError, ResultError, UsageError
from likewise.shared.ledger.records import ExperimentRecord

if TYPE_CHECKING:
    from likewise.shared.ledger.ledger import Ledger
    from likewise.shared.ledger.records import KeptRecord, RunRecord

SEARCHED = 1_000
"""Among this many of the newest experiments a beginning is looked for."""
LEAST_TO_END = 4
"""What is cancelled or deleted is named by so many letters: a slip of a finger must not end it."""
_SHOWN = 5


def find(ledger: Ledger, given: str, *, least: int = 1) -> ExperimentRecord:
    """Return the experiment with runs that is meant. Raises what `find_kept` does, and UsageError for one
    of which only an answer is kept.
    """
    record = find_kept(ledger, given, least=least)
    if isinstance(record, ExperimentRecord):
        return record
    name = record.experiment_id
    raise UsageError(
        f"{name} ({record.name}) is a {record.kind}, which has no runs of its own; likewise show {name} "
        "shows what it came to"
    )


def find_kept(ledger: Ledger, given: str, *, least: int = 1) -> KeptRecord:
    """Return the experiment that is meant, whatever was asked for; `least` letters of its id must be given.

    Raises UsageError for none or several, with the nearest ids; ResultError for one that this version
    cannot read, the last one too, which would else be another than the user means.
    """
    if given != LAST and (exact := ledger.kept(given)) is not None:
        return exact
    unreadable: list[ResultError] = []
    recent = ledger.experiments(limit=1 if given == LAST else SEARCHED, unreadable=unreadable.append)
    if unreadable and (given == LAST or not recent):
        raise unreadable[0]
    if names_a_job(given) and all(record.name != given for record in recent):
        job = printable(given)
        raise UsageError(f"{job} is a job, not an experiment's id; likewise compare {job} trains it")
    if not recent:
        raise UsageError("there are no experiments yet; start one: likewise compare article")
    if given == LAST:
        return recent[0]
    found = [record for record in recent if given and record.experiment_id.startswith(given)]
    if len(found) == 1 and len(given) < least:
        name = f"{found[0].experiment_id} ({found[0].name})"
        raise UsageError(
            f"{given} begins {name}; this cannot be undone: type {least} letters of the id or more"
        )
    if len(found) == 1:
        return found[0]
    shown = printable(given)
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        ids = ", ".join(record.experiment_id for record in found[:_SHOWN])
        raise UsageError(f"{shown!r} could be {ids}{more}; type more of the id")
    known = [record.experiment_id for record in recent]
    near = difflib.get_close_matches(given[:100], known, n=1, cutoff=0.5)
    named = [record.experiment_id for record in recent if record.name == given]
    hint = f"the newest of that name is {named[0]} " if named else f"did you mean {near[0]}? " if near else ""
    listed = "(likewise list shows them)" if hint else "likewise list shows those there are"
    raise UsageError(f"there is no experiment {shown!r}; {hint}{listed}")


def cancel(experiment_id: str, *, ledger: Ledger) -> list[RunRecord]:
    """Cancel an experiment with all that belongs to it: what is not final, and what would be added.

    Return the runs as they are then, its own first; those of its twin, rerun, replays and so on after them.

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
    """Return the record as it is now. Raises CancelledError where the experiment was cancelled meanwhile."""
    now = ledger.experiment(record.experiment_id) or record
    if now.cancelled:
        name = record.experiment_id
        raise CancelledError(f"{name} was cancelled; likewise show {name} tells what was trained by then")
    return now
