"""Follow an experiment from any process, from any moment, to its end.

The stream tells of progress and changes as they happen. The records are read, too, since the stream drops old
entries and says nothing of a run that waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from likewise.producer.display import seconds
from likewise.producer.runs.results import Diverged, count_diverged
from likewise.shared.connection import refusal
from likewise.shared.errors import RedisError
from likewise.shared.ledger.ledger import IDS_A_TRIP, Ledger
from likewise.shared.ledger.records import (
    FINAL,
    ExperimentRecord,
    ProgressEvent,
    RunRecord,
    WorkerPresence,
    end_of_progress,
    read_progress,
)
from likewise.shared.names import host_key

if TYPE_CHECKING:
    import redis

LOOK_EVERY_S = 1.0
"""Seconds between two readings of all records and workers; longer for more than `IDS_A_TRIP` open runs."""
SILENCE_S = 3.0
"""A run that was queued for longer than this is reported as waiting."""
STILL_S = 20.0
"""A training that is silent for so long, and five times its own longest pause, is reported as still."""
IGNORED_S = 10.0
"""A run that waits for this long beside an idle worker of its queue is reported as not taken."""
PATIENCE_S = 20.0
"""How long Redis may be away before following ends with an error."""


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """A training went on. `position` resumes `follow` after this update (`after=position`)."""

    position: str
    event: ProgressEvent


@dataclass(frozen=True, kw_only=True)
class Changed:
    """It brings a run's record as it is now. `follow` begins with one of these for each run."""

    position: str
    record: RunRecord
    diverged: Diverged | None = None
    """How many trainings diverged, for a run that failed only by that."""


@dataclass(frozen=True, kw_only=True)
class Noticed:
    """It says why a run waits: no worker serves its queue, all that do are busy or held, or one is silent."""

    position: str
    run_id: str
    side: str
    text: str


Update = Progressed | Changed | Noticed


def follow(
    record: ExperimentRecord, *, ledger: Ledger, client: redis.Redis, after: str = "0"
) -> Iterator[Update]:
    """Yield updates until every run is final. `after="$"` skips the progress made so far, "0" replays it.

    Ends, too, when the experiment is deleted. Raises RedisError when Redis stays away.
    """
    watch = _Watch(record, ledger)
    position = end_of_progress(client, record.experiment_id) if after == "$" else after
    yield from watch.look(position)
    unended = set(record.run_ids)  # runs whose end was not yet read from the stream
    heard = time.monotonic()
    while True:
        try:
            wait_ms = None if watch.done else int(LOOK_EVERY_S * 1000)
            entries = read_progress(client, record.experiment_id, after=position, block_ms=wait_ms)
            for entry in entries:
                position = entry.position
                if entry.event is not None:
                    watch.hear(entry.position, entry.event)
                    yield Progressed(position=position, event=entry.event)
                elif entry.changed_run_id and entry.state in FINAL:
                    unended.discard(entry.changed_run_id)
            changed = {entry.changed_run_id for entry in entries if entry.changed_run_id}
            if watch.due:
                yield from watch.look(position)
            elif changed:
                yield from watch.look(position, changed)
            if watch.done and not (entries and unended):
                return
        except RedisError:
            if time.monotonic() - heard > PATIENCE_S:
                raise
            time.sleep(0.2)
        else:
            heard = time.monotonic()


@dataclass(frozen=True, kw_only=True)
class _Pace:
    """It keeps a training's last event, its time by the server, and the longest pause between two."""

    at_s: float
    event: ProgressEvent
    longest_s: float


class _Watch:
    """It keeps the records as last seen, and what was last said of each wait."""

    def __init__(self, record: ExperimentRecord, ledger: Ledger) -> None:
        self._open = list(record.run_ids)
        self._ledger = ledger
        self._seen: dict[str, RunRecord] = {}
        self._said: dict[str, str] = {}
        self._ignored: dict[str, float] = {}
        self._paces: dict[str, _Pace] = {}
        self._looked = self._spoke = time.monotonic()

    def hear(self, position: str, event: ProgressEvent) -> None:
        """Take in a training's event, by which it is known how long it may be still."""
        at_s = int(position.partition("-")[0]) / 1000
        pace = self._paces.get(event.run_id)
        pause_s = 0.0 if pace is None or pace.event.compiling else at_s - pace.at_s
        longest_s = max(pause_s, 0.0 if pace is None else pace.longest_s)
        self._paces[event.run_id] = _Pace(at_s=at_s, event=event, longest_s=longest_s)

    @property
    def done(self) -> bool:
        """Whether every run is final, or deleted."""
        return not self._open

    @property
    def due(self) -> bool:
        """Whether it is time to read the records, even if the stream said nothing."""
        trips = -(-len(self._open) // IDS_A_TRIP)
        return not self.done and time.monotonic() - self._looked >= LOOK_EVERY_S * trips

    def look(self, position: str, changed: AbstractSet[str] | None = None) -> Iterator[Update]:
        """Read the records of the open runs, or only of those in `changed`.

        Yields those that are not as last seen, and at most once in LOOK_EVERY_S why runs wait.
        """
        asked = [run_id for run_id in self._open if changed is None or run_id in changed]
        records = self._ledger.records(asked)
        diverged = count_diverged(records, ledger=self._ledger)
        closed = set(asked) - {record.run_id for record in records if not record.final}
        self._open = [run_id for run_id in self._open if run_id not in closed]
        for record in records:
            if self._seen.get(record.run_id) != record:
                self._seen[record.run_id] = record
                yield Changed(position=position, record=record, diverged=diverged.get(record.run_id))
        now = time.monotonic()
        if changed is None:
            self._looked = now
        if self._open and now - self._spoke >= LOOK_EVERY_S:
            self._spoke = now
            yield from self._waits([self._seen[run_id] for run_id in self._open], position)

    def _waits(self, records: list[RunRecord], position: str) -> Iterator[Noticed]:
        workers, now_s = self._ledger.census()
        refused = None if workers else refusal(self._ledger.client)
        # queues of which nothing is to be said: a worker of theirs is busy with a run of this experiment
        asked = {record.queue for record in records if record.state == "leased"}
        for record in records:
            why = _why(record, workers, now_s) or _stands_still(record, self._paces.get(record.run_id), now_s)
            if why is None and record.queue not in asked and _waits_long(record, now_s):
                asked.add(record.queue)  # one run of a queue is enough to say so
                why = why_waiting(record, workers, ledger=self._ledger) or self._not_taken(record, workers)
            if why is not None and refused is not None:
                why = str(refused)  # a worker says by a change that it is there
            if why is not None and self._said.get(record.run_id) != why:
                yield Noticed(position=position, run_id=record.run_id, side=record.side, text=why)
            if why is not None or not record.final:
                self._said[record.run_id] = why or ""

    def _not_taken(self, record: RunRecord, workers: Sequence[WorkerPresence]) -> str | None:
        """Say that a worker of the queue is idle and does not take the run, once it has lasted too long."""
        idle = next((one for one in workers if one.state == "idle" and record.queue in one.queues), None)
        if idle is None:
            self._ignored.pop(record.run_id, None)
            return None
        since = self._ignored.setdefault(record.run_id, time.monotonic())
        if time.monotonic() - since < IGNORED_S:
            return None
        return f"worker {idle.worker_id} is idle and does not take it; `likewise doctor` looks for the reason"


def _waits_long(record: RunRecord, now_s: float) -> bool:
    return record.state == "queued" and now_s - record.submitted_s > SILENCE_S


def _why(record: RunRecord, workers: Sequence[WorkerPresence], now_s: float) -> str | None:
    serving = [worker for worker in workers if record.queue in worker.queues]
    if _waits_long(record, now_s) and not any(worker.takes_runs for worker in serving):
        for worker in serving:
            return f"worker {worker.worker_id} is {worker.state}{_because(worker)}"
        return f"no live worker serves {record.queue}; `likewise workers` shows those there are"
    if record.state == "leased" and record.worker not in {worker.worker_id for worker in workers}:
        return (
            f"worker {record.worker} has gone silent; if it stays so, the run goes back to the queue "
            "when its lease ends"
        )
    return None


def _stands_still(record: RunRecord, pace: _Pace | None, now_s: float) -> str | None:
    """Say that nothing moves; again whenever that has lasted twice as long."""
    if record.state != "leased" or record.claimed_s is None:
        return None
    begun = pace is not None and pace.at_s >= record.claimed_s
    still_s = now_s - (pace.at_s if pace is not None and begun else record.claimed_s)
    least_s = max(STILL_S, 5 * pace.longest_s if pace is not None else 0.0)
    if still_s < least_s:
        return None
    lasted = seconds(STILL_S * 2 ** int(math.log2(still_s / STILL_S)))
    if pace is None or not begun:
        return f"nothing has moved for {lasted}, since its worker took it"
    if pace.event.compiling:
        return f"it has been compiling for {lasted}"
    at = f"at epoch {pace.event.epoch:,} of {pace.event.epochs:,}"
    return f"nothing has moved for {lasted}, {at}; a training that hangs is stopped and goes on elsewhere"


def _because(worker: WorkerPresence) -> str:
    return f": {worker.trouble}" if worker.trouble else ", and no other serves the queue"


def why_waiting(record: RunRecord, workers: Sequence[WorkerPresence], *, ledger: Ledger) -> str | None:
    """Say why a queued run that some worker serves is not begun: its host is held, or all are busy.

    None where a worker is free, or trains for the same experiment, or none serves the queue.
    """
    queue = record.queue
    serving = [worker for worker in workers if queue in worker.queues]
    held = _held({worker.host for worker in serving}, ledger)
    if any(worker.state == "idle" and worker.host not in held for worker in serving):
        return None
    if held:
        host, holder = next(iter(held.items()))
        return f"host {host} is held for a timed run of {holder}{_which_waits(host, holder, workers)}"
    busy = [worker for worker in serving if worker.run_id is not None]
    if not busy:
        return "its worker is starting" if serving else None
    runs = ledger.records([str(worker.run_id) for worker in busy])
    experiments = sorted({run.experiment_id for run in runs})
    if record.experiment_id in experiments:
        return None
    with_what = f"experiment {experiments[0]}" if len(experiments) == 1 else f"{len(experiments)} experiments"
    before = ledger.runs_before([record]).get(record.run_id)
    queue_said = f"; {before:,} {'run comes' if before == 1 else 'runs come'} before it" if before else ""
    who = "worker is" if len(busy) == 1 else f"{len(busy)} workers are"
    return f"its {who} busy with {with_what}{queue_said}"


def _held(hosts: set[str], ledger: Ledger) -> dict[str, str]:
    """Return the hosts that a worker has to itself, or is about to, each with that worker."""
    names = sorted(hosts)
    holders = (
        cast("list[bytes | None]", ledger.client.mget([host_key(name) for name in names])) if names else []
    )
    return {name: holder.decode() for name, holder in zip(names, holders, strict=True) if holder is not None}


def _which_waits(host: str, holder: str, workers: Sequence[WorkerPresence]) -> str:
    """Say for which workers of its host the holder waits: it begins when they are done."""
    begun = any(one.worker_id == holder and one.run_id is not None for one in workers)
    others = [one.worker_id for one in workers if one.host == host and one.run_id is not None]
    return (
        f", which waits until {' and '.join(others)} {'is' if len(others) == 1 else 'are'} done"
        if others and not begun
        else ""
    )
