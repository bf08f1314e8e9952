"""What Ctrl-C does to the trainings of a command; either way it ends with status 130 and one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from producer.experiments import say
from producer.queue.submitted import cancel

if TYPE_CHECKING:
    from producer.session import Session
    from shared.ledger.records import ExperimentRecord

INTERRUPTED = 130


@contextmanager
def cancelling(session: Session, record: ExperimentRecord) -> Iterator[None]:
    """Ctrl-C cancels the experiment with all that belongs to it; another one leaves at once."""
    try:
        yield
    except KeyboardInterrupt:
        say(_cancelled(session, record))
        sys.exit(INTERRUPTED)


@contextmanager
def leaving(record: ExperimentRecord) -> Iterator[None]:
    """Ctrl-C leaves the trainings alone."""
    try:
        yield
    except KeyboardInterrupt:
        name = record.experiment_id
        say(f"{name} goes on; likewise cancel {name} ends it")
        sys.exit(INTERRUPTED)


def _cancelled(session: Session, record: ExperimentRecord) -> str:
    """Cancel, and say in one line what becomes of the runs."""
    name = record.experiment_id
    try:
        cancel(name, ledger=session.ledger)
    except KeyboardInterrupt:
        return f"interrupted again: runs of {name} may go on; likewise cancel {name} ends them"
    return f"interrupted: the runs of {name} are cancelled"
