"""The ledger: a record in Redis for each run, which alone says where the run stands.

A message on the queue only wakes a worker up; the record decides what is done. Every change of a record's
state is one of the Lua scripts in `shared.ledger.transitions`. This module is the producer's view of the
ledger; what only a worker may do is in `shared.ledger.leases`. Many records are read in pipelines, a group in
each round trip, so that no answer of Redis gets large.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice, takewhile
from typing import Any, TypeVar, cast

import redis
from redis.client import Pipeline

from likewise.shared import names
from likewise.shared.connection import explained, refusal
from likewise.shared.errors import CancelledError, RedisError, RefusedByRedisError, ResultError, UsageError
from likewise.shared.frozen import read_short
from likewise.shared.ledger.reading import RECORD_FIELDS, kept_of, record_of, run_of, text_of
from likewise.shared.ledger.records import (
    ExperimentRecord,
    KeptRecord,
    RunRecord,
    RunState,
    WorkerPresence,
    census,
)
from likewise.shared.ledger.transitions import script
from likewise.shared.run import HostedRun, Run
from likewise.shared.store.arrays import references

T = TypeVar("T")

IDS_A_TRIP = 500
"""Records that are read in one round trip."""
RUNS_AT_ONCE = 200
"""Runs whose documents are written in the step that adds them; those of further runs are stored before it."""
RESERVE = 0.1
"""This share of Redis's memory is kept for runs that are under way: new ones do not get it."""
HOSTED_S = 86_400
"""How long Redis keeps what it knows of a hosted program whose producer is gone, in seconds."""
RESULTS_A_TRIP = 50
"""Results that are read in one round trip."""


class Ledger:
    """The records, as every process may read and change them. Safe to use from several threads.

    Each method raises RedisError when Redis cannot serve it.
    """

    def __init__(self, client: redis.Redis, *, retention_s: float) -> None:
        self.client = client
        self.retention_s = int(retention_s)
        self._add = script(client, "add")
        self._host = script(client, "host")
        self._cancel = script(client, "cancel")
        self._set_if_there = script(client, "set_if_there")
        self._keep_finding = script(client, "keep_finding")

    def add(
        self,
        record: KeptRecord,
        runs: Sequence[tuple[Run, str]],
        *,
        key: str | None = None,
        belongs_to: tuple[str, str] | None = None,
    ) -> str:
        """Write an experiment and its runs, each with its queue, in one step; the server's clock dates them.

        `belongs_to` is a relation, such as `twin`, and the id of another experiment: this one is then not
        listed by itself, but found in the `related` of the other's record. Raises CancelledError if the
        other was cancelled. The arrays that the runs refer to are in the store already; from now on they live
        for as long as the experiment.

        With an idempotency `key` that was used before, nothing is written. Returns the id of the experiment
        that is stored: the given one, or the one that the key stands for.
        """
        documents = [run.model_dump_json() for run, _ in runs]
        arrays = {name: count for one in documents for name, count in references(one).items()}
        arguments: list[Any] = [
            record.experiment_id,
            record.declared,
            json.dumps(record.run_ids),
            self.retention_s,
            key or "",
            *(belongs_to or ("", "")),
            record.priority,
            record.kind,
            json.dumps(record.tags),
            record.note,
            json.dumps(list(arrays.items())),
        ]
        early = [(run.run_id, document) for (run, _), document in zip(runs, documents, strict=True)]
        self._store_documents(early[RUNS_AT_ONCE:])
        for place, (run, queue) in enumerate(runs):
            document = documents[place] if place < RUNS_AT_ONCE else ""
            timed = int(run.timed is not None)
            lane = names.lane_of(queue, record.priority)
            arguments += [run.run_id, run.framework, run.side, queue, lane, document, timed]
        keys = [names.experiment_key(record.experiment_id), names.submission_key(key or "")]
        stored = text_of(self._add(keys=keys, args=arguments))
        if not stored and belongs_to:
            raise CancelledError(
                f"experiment {belongs_to[1]} was cancelled or deleted; no more of it is trained"
            )
        return stored

    def host(self, run: HostedRun, queue: str) -> str:
        """Queue a program that a worker is to host; return the lane of the queue in which it waits.

        It comes before what is trained, since somebody waits for its answers.
        """
        lane = names.lane_of(queue, "high")
        arguments: list[Any] = [
            run.run_id,
            run.framework,
            run.side,
            queue,
            lane,
            run.model_dump_json(),
            HOSTED_S,
        ]
        self._host(keys=[names.run_key(run.run_id)], args=arguments)
        return lane

    def forget_hosted(self, run_id: str) -> None:
        """Remove what there is of a program that was hosted."""
        keys = (names.run_key, names.result_key, names.progress_key)
        more = (names.questions_key, names.answers_key, names.asker_key)
        self.client.unlink(*(key(run_id) for key in (*keys, *more)))

    def _store_documents(self, documents: Sequence[tuple[str, str]]) -> None:
        """Store the documents of runs that are about to be added, each with its run's id before it.

        Such records have no state yet, so nobody takes them for runs; if they are never added, they expire.
        """
        for begin in range(0, len(documents), RUNS_AT_ONCE):
            with self.client.pipeline(transaction=False) as pipe:
                for run_id, document in documents[begin : begin + RUNS_AT_ONCE]:
                    pipe.hset(names.run_key(run_id), "run", document)
                    pipe.expire(names.run_key(run_id), self.retention_s)
                pipe.execute()

    def experiment(self, experiment_id: str) -> ExperimentRecord | None:
        """Return an experiment that has runs, or None where there is none or it has expired.

        Raises ResultError for one of another schema version.
        """
        record = self.kept(experiment_id)
        return record if isinstance(record, ExperimentRecord) else None

    def kept(self, experiment_id: str) -> KeptRecord | None:
        """Return what `experiment` does, also where only an answer is kept."""
        return kept_of(experiment_id, self._whole_hashes([names.experiment_key(experiment_id)])[0])

    def keep_verdict(self, experiment_id: str, verdict: str) -> None:
        """Note the verdict of an experiment whose runs are finished, to be shown in lists.

        A Redis that refuses is no reason not to show the verdict now.
        """
        with suppress(RefusedByRedisError):
            self._set_if_there(keys=[names.experiment_key(experiment_id)], args=["verdict", verdict])

    def keep_finding(self, experiment_id: str, kind: str, document: str, *, complete: bool) -> None:
        """Keep what was found of an experiment, as JSON, in the place of an earlier finding of that kind.

        `complete` is whether nothing more of it is to come. Nothing is kept of an experiment that is gone.
        """
        keys = [names.experiment_key(experiment_id), names.findings_key(experiment_id)]
        whole = "complete" if complete else "partial"
        self._keep_finding(keys=keys, args=[kind, document, whole, self.retention_s])

    def finding(self, experiment_id: str, kind: str) -> bytes | None:
        """Return the JSON that `keep_finding` was given; None where there is none."""
        return cast("bytes | None", self.client.hget(names.findings_key(experiment_id), kind))

    def label(self, experiment_id: str, *, tags: Sequence[str], note: str) -> None:
        """Give an experiment these tags and this note, in the place of those that it has."""
        key = names.experiment_key(experiment_id)
        self._set_if_there(keys=[key], args=["tags", json.dumps(list(tags))])
        self._set_if_there(keys=[key], args=["note", note])

    def experiments(
        self, limit: int = 100, *, unreadable: Callable[[ResultError], None] = lambda _: None
    ) -> list[KeptRecord]:
        """Return the newest experiments, newest first.

        Experiments of another schema version are left out; `unreadable` is called for each of them that is
        met on the way to `limit`.
        """
        return list(islice(self.newest(at_once=limit, unreadable=unreadable), limit))

    def newest(
        self, *, at_once: int = IDS_A_TRIP, unreadable: Callable[[ResultError], None] = lambda _: None
    ) -> Iterator[KeptRecord]:
        """Yield what `experiments` returns, without a limit; so many are read `at_once`."""
        ids = [text_of(one) for one in cast("list[bytes]", self.client.zrevrange(names.EXPERIMENTS, 0, -1))]
        while ids:
            batch, ids = ids[:at_once], ids[at_once:]
            fields = self._whole_hashes([names.experiment_key(one) for one in batch])
            for experiment_id, values in zip(batch, fields, strict=True):
                try:
                    record = kept_of(experiment_id, values)
                except ResultError as error:
                    unreadable(error)
                    continue
                if record is None:  # its retention has ended
                    with suppress(RefusedByRedisError):
                        self.client.zrem(names.EXPERIMENTS, experiment_id)
                else:
                    yield record

    def records(self, run_ids: Sequence[str]) -> list[RunRecord]:
        """Return the records of the runs that are known, in the order given."""
        hashes = self._hashes([names.run_key(run_id) for run_id in run_ids], RECORD_FIELDS)
        return [record for record in map(record_of, hashes) if record is not None]

    def runs_before(self, records: Iterable[RunRecord]) -> dict[str, int]:
        """Return how many runs of its queue come before each of those that are queued, by its id."""
        queued = [record for record in records if record.state == "queued"]
        before: dict[str, int] = {}
        for batch in batches(queued):
            earlier = {
                record.lane: list(takewhile(record.lane.__ne__, names.lanes_of(record.queue)))
                for record in batch
            }
            with self.client.pipeline(transaction=False) as pipe:
                for lanes in earlier.values():
                    for lane in lanes:
                        pipe.zcard(names.queued_key(lane))
                for record in batch:
                    pipe.zrank(names.queued_key(record.lane), record.run_id)
                answers = iter(pipe.execute())
            ahead = {lane: sum(next(answers) for _ in lanes) for lane, lanes in earlier.items()}
            ranks = zip(batch, answers, strict=True)
            before |= {one.run_id: ahead[one.lane] + rank for one, rank in ranks if rank is not None}
        return before

    def run(self, run_id: str) -> Run:
        """Return the run as it was submitted.

        Raises UsageError for an unknown id, ResultError for one of another schema version.
        """
        (run,) = self.runs([run_id])
        return run

    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        """Return what `run` does, for many runs."""
        found: list[Run] = []
        for batch in batches(run_ids):
            with self.client.pipeline(transaction=False) as pipe:
                for run_id in batch:
                    pipe.hget(names.run_key(run_id), "run")
                documents = pipe.execute()
            found += [run_of(run_id, document) for run_id, document in zip(batch, documents, strict=True)]
        return found

    def records_with_payloads(self, run_ids: Sequence[str]) -> Iterator[tuple[RunRecord, bytes | None]]:
        """Yield what `records` returns, each with its result as Celery's backend stores it, or None."""
        for begin in range(0, len(run_ids), RESULTS_A_TRIP):
            with self.client.pipeline(transaction=False) as pipe:
                for run_id in run_ids[begin : begin + RESULTS_A_TRIP]:
                    pipe.hmget(names.run_key(run_id), list(RECORD_FIELDS))
                    pipe.get(names.result_key(run_id))
                answers = self._answers(pipe)
            for values, payload in zip(answers[::2], answers[1::2], strict=True):
                record = record_of(dict(zip(RECORD_FIELDS, values or (), strict=False)))
                if record is not None:
                    yield record, payload

    def cancel(self, run_id: str) -> RunState:
        """Cancel a queued run at once, or ask a leased one to stop; returns the state it is in now.

        Raises UsageError for an unknown id.
        """
        state = text_of(self._cancel(keys=[names.run_key(run_id)]))
        if not state:
            raise UsageError(f"there is no run {run_id}; `likewise list` shows the experiments")
        return cast(RunState, state)

    def refuse_more(self, experiment_id: str) -> None:
        """Note that an experiment was cancelled, so that nothing more is added that belongs to it."""
        self._set_if_there(keys=[names.experiment_key(experiment_id)], args=["cancelled", 1])

    def allow_more(self, experiment_id: str) -> None:
        """Forget that an experiment was cancelled."""
        self.client.hdel(names.experiment_key(experiment_id), "cancelled")

    def delete(self, experiment_id: str) -> None:
        """Remove an experiment and those that belong to it, their runs, results and progress.

        Raises UsageError for an unknown id, and while a run is not final.
        """
        record = self.kept(experiment_id)
        if record is None:
            raise UsageError(f"there is no experiment {experiment_id}; `likewise list` shows those there are")
        for run in self.records(record.run_ids):
            if not run.final:
                raise UsageError(
                    f"experiment {experiment_id} is not done: its {run.side} run is {run.state}; "
                    f"cancel it first: likewise cancel {experiment_id}"
                )
        for related in record.related.values():
            if self.experiment(related) is not None:
                self.delete(related)
        # A full Redis refuses transactions, so there is none. The experiment goes last: until then it can be
        # deleted again.
        with self.client.pipeline(transaction=False) as pipe:
            for run_id in record.run_ids:
                pipe.unlink(names.run_key(run_id), names.result_key(run_id))
            pipe.unlink(names.progress_key(experiment_id), names.findings_key(experiment_id))
            pipe.zrem(names.EXPERIMENTS, experiment_id)
            pipe.unlink(names.experiment_key(experiment_id))
            pipe.execute()

    def workers(self) -> list[WorkerPresence]:
        """Return the live workers, sorted by framework and id, without those of another schema version.

        Raises RefusedByRedisError where none is live and Redis refuses changes: by a change a worker says
        that it is there.
        """
        found = self.census()[0]
        if not found and (refused := refusal(self.client)) is not None:
            raise refused
        return found

    def census(self) -> tuple[list[WorkerPresence], float]:
        """Return the live workers and, from the same look, the server's time in seconds."""
        clock, *documents = census(self.client)
        read = (read_short(WorkerPresence, document) for document in documents)
        found = [worker for worker in read if worker is not None]
        return sorted(found, key=lambda worker: (worker.framework, worker.worker_id)), int(clock) / 1e6

    def begin_submission(self, experiment_id: str, *, now_s: float) -> None:
        """Note that arrays are about to be stored for an experiment, so that none is freed before `add`.

        Raises RedisError where Redis has no more room than is kept for the runs that are under way.
        """
        self._refuse_when_nearly_full()
        self.client.zadd(names.SUBMITTING, {experiment_id: now_s})

    def _refuse_when_nearly_full(self) -> None:
        with suppress(RefusedByRedisError):  # INFO may be forbidden
            memory = self.client.info("memory")
            used, most = int(memory.get("used_memory", 0)), int(memory.get("maxmemory", 0))
            if most and used > (1 - RESERVE) * most:
                raise RedisError(
                    f"Redis holds {used / 1e6:.0f} MB of {most / 1e6:.0f} MB, and the rest is kept for runs "
                    "that are under way; delete old experiments (likewise prune, likewise delete ID), or "
                    "raise maxmemory"
                )

    def now(self) -> float:
        """Return the server's time in seconds."""
        seconds, microseconds = self.client.time()
        return seconds + microseconds / 1e6

    def _whole_hashes(self, keys: Sequence[str]) -> list[dict[bytes, bytes]]:
        with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            return [answer or {} for answer in self._answers(pipe)]

    def _hashes(self, keys: Sequence[str], fields: Sequence[str]) -> list[dict[str, bytes | None]]:
        found: list[dict[str, bytes | None]] = []
        for batch in batches(keys):
            with self.client.pipeline(transaction=False) as pipe:
                for key in batch:
                    pipe.hmget(key, list(fields))
                answers = self._answers(pipe)
            nothing = [None] * len(fields)
            found += [dict(zip(fields, values or nothing, strict=True)) for values in answers]
        return found

    def _answers(self, pipe: Pipeline) -> list[Any]:
        """Return the answers of a pipeline; None for a key that is of another type than a record is.

        One such key must not keep all others from being read.
        """
        answers = pipe.execute(raise_on_error=False)
        for error in answers:
            if isinstance(error, redis.RedisError) and "WRONGTYPE" not in str(error):
                raise explained(error, self.client)
        return [None if isinstance(answer, redis.RedisError) else answer for answer in answers]


def batches(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield ids, or what has one, in groups, one for each round trip."""
    for begin in range(0, len(ids), IDS_A_TRIP):
        yield ids[begin : begin + IDS_A_TRIP]
