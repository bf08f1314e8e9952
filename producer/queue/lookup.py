"""From what the user types for an experiment (an id, its beginning, or `last`) to the experiment."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from producer.display import printable
from shared.errors import ResultError, UsageError

if TYPE_CHECKING:
    from shared.ledger.ledger import Ledger
    from shared.ledger.records import ExperimentRecord

LAST = "last"
SEARCHED = 1_000
"""Among this many of the newest experiments a beginning is looked for."""
_SHOWN = 5


def find(ledger: Ledger, given: str) -> ExperimentRecord:
    """The experiment meant.

    Raises UsageError for none or several, with the nearest ids; ResultError for one that this version
    cannot read, the last one too, which would else be another than the user means.
    """
    if given != LAST and (exact := ledger.experiment(given)) is not None:
        return exact
    unreadable: list[ResultError] = []
    recent = ledger.experiments(limit=1 if given == LAST else SEARCHED, unreadable=unreadable.append)
    if unreadable and (given == LAST or not recent):
        raise unreadable[0]
    if not recent:
        raise UsageError("there are no experiments yet; start one: likewise compare article")
    if given == LAST:
        return recent[0]
    found = [record for record in recent if given and record.experiment_id.startswith(given)]
    if len(found) == 1:
        return found[0]
    shown = printable(given)
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        ids = ", ".join(record.experiment_id for record in found[:_SHOWN])
        raise UsageError(f"{shown!r} could be {ids}{more}; type more of the id")
    known = [record.experiment_id for record in recent]
    near = difflib.get_close_matches(given[:100], known, n=1, cutoff=0.5)
    named = [record.experiment_id for record in recent if record.experiment.name == given]
    hint = f"the newest of that name is {named[0]} " if named else f"did you mean {near[0]}? " if near else ""
    listed = "(likewise list shows them)" if hint else "likewise list shows those there are"
    raise UsageError(f"there is no experiment {shown!r}; {hint}{listed}")
