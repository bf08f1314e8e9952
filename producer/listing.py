"""The experiments that are asked for: found by what they are, where they stand and what they said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from likewise.producer.experiments import verdict_word
from likewise.producer.report.status import FOUND_LATER, ListedExperiment, State, state_of

if TYPE_CHECKING:
    from likewise.producer.session import Session
    from likewise.shared.errors import ResultError
    from likewise.shared.ledger.records import KeptRecord, Kind

Order = Literal["when", "name", "kind", "state", "verdict", "took"]


@dataclass(frozen=True, kw_only=True)
class Query:
    """It says which experiments are listed; what is None or empty asks for nothing."""

    text: str = ""
    """Is in the id, the name, a tag, the note or a side's label, in small letters or capitals."""
    name: str | None = None
    """The name, or a pattern such as `mnist*`."""
    kind: Kind | None = None
    state: State | None = None
    verdict: str | None = None
    tags: Sequence[str] = ()
    """The tags that an experiment must all have."""
    side: str | None = None
    """A side's label, or its framework."""
    newer_than_s: float | None = None
    """It was submitted so many seconds ago at most."""
    older_than_s: float | None = None
    sort: Order = "when"
    """The newest first; of the other orders the first letter, or what took longest."""
    reverse: bool = False
    limit: int = 20


def listed(
    session: Session, query: Query, *, unreadable: Callable[[ResultError], None]
) -> list[ListedExperiment]:
    """Return the experiments that are asked for; `unreadable` is called for each that cannot be read."""
    found = _found(session, query, unreadable)
    if query.sort == "when" and not query.reverse:
        return list(islice(found, query.limit))
    in_order = sorted(found, key=_order(query.sort))
    return (in_order[::-1] if query.reverse else in_order)[: query.limit]


def _found(
    session: Session, query: Query, unreadable: Callable[[ResultError], None]
) -> Iterator[ListedExperiment]:
    workers, now_s = session.ledger.census()
    live = {worker.worker_id for worker in workers}
    at_once = query.limit if query == Query(limit=query.limit) else 500
    for record in session.ledger.newest(at_once=at_once, unreadable=unreadable):
        if not _meets(record, query, age_s=now_s - record.submitted_s):
            continue
        one = look_at(session, record, live=live)
        if query.state in (None, one.state) and query.verdict in (None, one.verdict):
            yield one


def look_at(session: Session, record: KeptRecord, *, live: Collection[str]) -> ListedExperiment:
    """Return an experiment with where it stands; `live` has the ids of the live workers."""
    runs = session.ledger.records(record.run_ids)
    held = [run.worker for run in runs if run.state == "leased"]
    state = state_of(record, runs)
    if state == "unfinished":
        others = [session.ledger.experiment(one) for one in record.related.values()]
        run_ids = [run_id for other in others if other is not None for run_id in other.run_ids]
        if any(not run.final for run in session.ledger.records(run_ids)):
            state = "training"
    before = session.ledger.runs_before(runs) if state == "queued" else {}
    ends = [run.finished_s for run in runs]
    whole = state == "finished" and record.kind not in FOUND_LATER
    return ListedExperiment(
        record=record,
        state=state,
        verdict=verdict_word(session, record) if state == "finished" else None,
        before=min(before.values(), default=None),
        lost=bool(held) and not any(worker in live for worker in held),
        took_s=max(end for end in ends if end is not None) - record.submitted_s
        if whole and any(end is not None for end in ends)
        else None,
    )


def _meets(record: KeptRecord, query: Query, *, age_s: float) -> bool:
    sides = record.frameworks
    words = (record.experiment_id, record.name, *record.tags, record.note, *sides)
    return (
        query.kind in (None, record.kind)
        and (query.name is None or fnmatchcase(record.name, query.name))
        and set(query.tags) <= set(record.tags)
        and (query.side is None or query.side in (*sides, *sides.values()))
        and (query.newer_than_s is None or age_s <= query.newer_than_s)
        and (query.older_than_s is None or age_s > query.older_than_s)
        and query.text.lower() in "\n".join(words).lower()
    )


def _order(sort: Order) -> Callable[[ListedExperiment], Any]:
    """Return what experiments are sorted by; of those that are equal the newest comes first."""
    keys: dict[Order, Callable[[ListedExperiment], Any]] = {
        "when": lambda _: 0,
        "name": lambda one: one.record.name.lower(),
        "kind": lambda one: one.record.kind,
        "state": lambda one: one.state,
        "verdict": lambda one: one.verdict or "~",
        "took": lambda one: -(one.took_s or 0.0),
    }
    return lambda one: (keys[sort](one), -one.record.submitted_s)
