"""What came of an experiment, as it is kept: a comparison, an explanation, a bench or a sweep.

A comparison and a sweep are computed from what their runs returned each time that they are shown. The timed
runs of a bench are deleted once they are read, and an explanation rests on a budget of that moment, so the
ledger keeps of these what was found. An experiment may have several: `likewise explain ID` and
`likewise bench ID` add to a comparison what it did not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from likewise.producer.bench.models import Bench, TimedRounds
from likewise.producer.blame.explanation import Explained, Explanation
from likewise.producer.display import first_fault
from likewise.producer.experiments import judge, say
from likewise.shared.errors import RefusedByRedisError, ResultError, UsageError
from likewise.shared.ledger.records import ExperimentRecord, Kind

if TYPE_CHECKING:
    from likewise.producer.session import Session

Model = TypeVar("Model", bound=BaseModel)


def keep(session: Session, record: ExperimentRecord, kind: Kind, found: BaseModel, *, complete: bool) -> None:
    """Keep what was found; a Redis that takes no more is told, and is no reason not to show it now."""
    try:
        session.ledger.keep_finding(record.experiment_id, kind, found.model_dump_json(), complete=complete)
    except RefusedByRedisError as error:
        say(f"note: this {kind} is shown and not kept: {error}")


def measured_of(session: Session, record: ExperimentRecord) -> TimedRounds | None:
    """Return the timed runs of an experiment's bench; None where it was not timed."""
    return _found(session, record, "bench", TimedRounds)


def bench_of(session: Session, record: ExperimentRecord) -> Bench:
    """Return an experiment's bench, concluded anew. Raises UsageError where it was not timed."""
    from likewise.producer.bench.flow import concluded

    measured = measured_of(session, record)
    if measured is None:
        raise _missing(record, "bench", "was not timed")
    return concluded(judge(session, record), measured)


def explanations_of(session: Session, record: ExperimentRecord) -> Sequence[Explanation]:
    """Return why each other side differs, as it was found. Raises UsageError where nobody asked."""
    explained = _found(session, record, "explanation", Explained)
    if explained is None:
        raise _missing(record, "explain", "was not explained")
    return explained.explanations


def _missing(record: ExperimentRecord, command: str, what: str) -> UsageError:
    name = record.experiment_id
    return UsageError(f"{name} ({record.experiment.name}) {what}; likewise {command} {name} does it")


def _found(session: Session, record: ExperimentRecord, kind: Kind, model: type[Model]) -> Model | None:
    """Return what is kept. Raises ResultError for what this version cannot read."""
    document = session.ledger.finding(record.experiment_id, kind)
    if document is None:
        return None
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        raise ResultError(
            f"the {kind} of {record.experiment_id} cannot be read: {first_fault(error)} (it is damaged, or "
            "another version of Likewise wrote it); make it anew"
        ) from None
