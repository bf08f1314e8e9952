"""Deletes experiments, and frees the arrays that nothing else refers to, in Redis and behind the blob URL.

Arrays are stored by content, so that several experiments may share one. Which are still referred to is read
from the documents and results of all runs: a count of references could be wrong, and what it says wrongly
cannot be mended. What runs under way may refer to without any document saying so stays: whatever was stored
since the oldest of them was submitted, or since the look began.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from likewise.shared import names
from likewise.shared.errors import ResultError, UsageError
from likewise.shared.ledger.ledger import batches
from likewise.shared.ledger.records import FINAL, KeptRecord

if TYPE_CHECKING:
    from likewise.producer.session import Session

_REFERENCE = re.compile(rb'"sha256":\s*"([0-9a-f]{64})"')
_SCANNED = 1_000
SUBMITTING_S = 600
"""A submission that has not written its records after so long has failed."""


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """Says what was removed, or would be."""

    experiments: Sequence[KeptRecord]
    freed_bytes: int
    kept: int
    """Arrays that may still be wanted by runs under way."""


@dataclass(frozen=True, kw_only=True)
class _InUse:
    arrays: set[str]
    """The SHA-256 of each array that a run or a result refers to."""
    since_s: float
    """When the oldest run or submission under way began, by the server; where there is none, this look."""
    under_way: bool
    """Whether there is any."""


def delete(session: Session, record: KeptRecord) -> Cleaned:
    """Remove an experiment and what belongs to it, and free its arrays.

    Raises UsageError while one of its runs is not final.
    """
    named = _arrays_of(session, list(_run_ids(session, record)))
    session.ledger.delete(record.experiment_id)
    return _freed(session, [record], named)


def prune(session: Session, *, older_than_s: float, keep: int, dry_run: bool) -> Cleaned:
    """Remove the finished experiments that are older, but for the newest `keep`, and arrays of none.

    With `dry_run` nothing is removed, and the bytes are not known.
    """
    unreadable: list[ResultError] = []
    records = session.ledger.experiments(limit=1_000_000, unreadable=unreadable.append)
    now_s = session.ledger.now()
    old = [one for one in records[keep:] if now_s - one.submitted_s > older_than_s]
    done = [one for one in old if all(run.final for run in session.ledger.records(one.run_ids))]
    if dry_run:
        return Cleaned(experiments=done, freed_bytes=0, kept=0)
    removed = []
    for record in done:
        with suppress(UsageError):  # one that belongs to it is trained just now
            session.ledger.delete(record.experiment_id)
            removed.append(record)
    return _freed(session, removed, session.blobs.stored())


def _freed(session: Session, records: Sequence[KeptRecord], named: Collection[str]) -> Cleaned:
    in_use = _in_use(session)
    freed, kept = session.blobs.free(
        set(named) - in_use.arrays, stored_before_s=in_use.since_s, under_way=in_use.under_way
    )
    return Cleaned(experiments=records, freed_bytes=freed, kept=kept)


def _run_ids(session: Session, record: KeptRecord) -> Iterator[str]:
    """Yield the ids of an experiment's runs and of those that belong to it."""
    yield from record.run_ids
    for related in record.related.values():
        if (other := session.ledger.experiment(related)) is not None:
            yield from _run_ids(session, other)


def _arrays_of(session: Session, run_ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for batch in batches(run_ids):
        with session.client.pipeline(transaction=False) as pipe:
            for run_id in batch:
                pipe.hget(names.run_key(run_id), "run")
                pipe.get(names.result_key(run_id))
            for document in pipe.execute(raise_on_error=False):
                if isinstance(document, bytes):  # else there is none, or the record is damaged
                    found.update(one.decode() for one in _REFERENCE.findall(document))
    return found


def _in_use(session: Session) -> _InUse:
    """Look through all runs, also those of experiments that are not listed.

    A submission leaves the set of those that are being made when its records are written, so that set is read
    before the records are. What is stored after this look has begun may be of one that it does not see.
    """
    client = session.client
    now_s = session.ledger.now()
    since_s = now_s - SUBMITTING_S
    client.zremrangebyscore(names.SUBMITTING, "-inf", f"({since_s}")  # of submissions that came to nothing
    submitting = client.zrangebyscore(names.SUBMITTING, since_s, "+inf", withscores=True)
    begun = [began for _, began in cast("list[tuple[bytes, float]]", submitting)]
    prefix = names.run_key("")
    keys = {key.decode() for key in client.scan_iter(match=f"{prefix}*", count=_SCANNED)}
    run_ids = [key.removeprefix(prefix) for key in keys]
    for batch in batches(run_ids):
        with client.pipeline(transaction=False) as pipe:
            for run_id in batch:
                pipe.hmget(names.run_key(run_id), ["state", "submitted_s"])
            for answer in pipe.execute(raise_on_error=False):
                state, submitted_s = answer if isinstance(answer, list) else (None, None)
                if state is not None and submitted_s is not None and state.decode() not in FINAL:
                    begun.append(float(submitted_s))
    return _InUse(arrays=_arrays_of(session, run_ids), since_s=min([now_s, *begun]), under_way=bool(begun))
