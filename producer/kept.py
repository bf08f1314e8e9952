"""What came of an experiment, as it is kept, whatever was asked for.

A comparison and a sweep are computed from what their runs returned each time that they are shown. The timed
runs of a bench are deleted once they are read, and an explanation rests on a budget of that moment, so the
ledger keeps of these what was found. An experiment may have several: `likewise explain ID` and
`likewise bench ID` add to a comparison what it did not have.

A check of two programs, their comparison and a bisection have no runs of their own: `keep_answer` makes an
experiment of what they came to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from likewise.producer.bench.models import Bench, TimedRounds
from likewise.producer.blame.explanation import Explained, Explanation
from likewise.producer.display import first_fault
from likewise.producer.experiments import judge, open_for, say
from likewise.producer.runs.submit import new_id
from likewise.shared.errors import LikewiseError, RefusedByRedisError, ResultError, UsageError
from likewise.shared.ledger.records import (
    AnswerKind,
    AnswerRecord,
    ExperimentRecord,
    KeptRecord,
    Kind,
    Subject,
)

if TYPE_CHECKING:
    from likewise.producer.session import Session

Model = TypeVar("Model", bound=BaseModel)
_ANSWERS: dict[AnswerKind, str] = {
    "port-check": "likewise.producer.port.models:PortCheck",
    "port-comparison": "likewise.producer.port.models:PortTraining",
    "port-explanation": "likewise.producer.blame.explanation:Explanation",
    "port-bench": "likewise.producer.bench.models:Bench",
    "bisection": "likewise.producer.bisecting:Bisection",
}
"""The model of each kind of answer."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """It holds what came of something that has no runs of its own, and how it is to be kept."""

    kind: AnswerKind
    subject: Subject
    found: BaseModel
    """What was found: a model of `_ANSWERS`."""
    verdict: str
    tags: Sequence[str] = ()
    note: str = ""


def keep_answer(answer: Answer) -> str | None:
    """Make an experiment of an answer, and return its id.

    It is kept in the configured Redis, or in that of the local stack, which is started for it. Where none
    takes it, that is told, and is no reason not to show it now: None is returned.
    """
    try:
        with open_for(quiet=True) as session:
            record = AnswerRecord(
                experiment_id=new_id(),
                submitted_s=session.ledger.now(),
                kind=answer.kind,
                subject=answer.subject,
                tags=tuple(answer.tags),
                note=answer.note,
            )
            session.ledger.add(record, ())
            document = answer.found.model_dump_json()
            session.ledger.keep_finding(record.experiment_id, answer.kind, document, complete=True)
            session.ledger.keep_verdict(record.experiment_id, answer.verdict)
    except LikewiseError as error:
        say(f"note: this {answer.kind} is shown and not kept: {error}")
        return None
    return record.experiment_id


def answer_of(session: Session, record: AnswerRecord) -> BaseModel:
    """Return the answer as a model of `_ANSWERS`. Raises UsageError where it is not there."""
    module, _, name = _ANSWERS[record.kind].partition(":")
    found: BaseModel | None = _found(session, record, record.kind, getattr(import_module(module), name))
    if found is None:
        raise UsageError(f"the {record.kind} {record.experiment_id} was not kept whole; delete it")
    return found


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


def _found(session: Session, record: KeptRecord, kind: Kind, model: type[Model]) -> Model | None:
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
