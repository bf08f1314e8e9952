"""The last step of a sweep: collect its runs, and compare the sides at every point."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from producer.experiments import say
from producer.queue.collect import collect
from producer.sweep.table import Sweep, sweep_of

if TYPE_CHECKING:
    from producer.session import Session
    from shared.ledger.records import ExperimentRecord


MANY_POINTS = 100
"""To compare the sides at more takes longer than a second or two, and is worth a word."""


def swept(session: Session, record: ExperimentRecord, *, quiet: bool, full: bool = False) -> Sweep:
    """The table of a finished sweep; `full` has every curve and array of every seed in it."""
    points = prod(len(values) for values in record.experiment.grid.values())
    if points > MANY_POINTS:
        say(f"comparing the frameworks at {points:,} points", only_to_a_terminal=quiet)
    runs = session.ledger.runs(record.run_ids)
    results = collect(record, ledger=session.ledger)
    session.blobs.fetch_ahead(ref for result in results for piece in result.arrays for ref in piece.refs)
    return sweep_of(record, runs, results, session.blobs.get, full=full)
