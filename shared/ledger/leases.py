"""What only a worker may do to a run: claim it, renew its lease, finish it, put a lost one back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import redis

from likewise.shared import names
from likewise.shared.ledger.checkpoints import CheckpointRef, read_refs
from likewise.shared.ledger.records import ProgressEvent, RunState
from likewise.shared.ledger.transitions import AHEAD_S, script
from likewise.shared.results.run_result import Failure
from likewise.shared.store.arrays import references

LARGEST_RECORD_BYTES = 64 * 2**20
WhyLetGo = Literal["died", "expired", "returned", "hung", "out_of_memory", "time_limit"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run that is ours until its fence is raised. Times are the server's, in seconds."""

    run_id: str
    experiment_id: str
    framework: str
    side: str
    fence: int
    attempt: int
    submitted_s: float
    claimed_s: float
    document: bytes
    """The Run as JSON, not validated."""
    checkpoints: tuple[CheckpointRef, ...] = ()
    """What earlier attempts left, newest first."""
    spent_s: float = 0.0
    """How long earlier attempts have had it, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Why a run could not be claimed."""

    state: str
    """`unknown`; `misplaced`, since it waits in a queue of other workers; `leased` by a live worker; a final
    state; `host_taken`, since another worker has the host to itself; `host_needed`, since the run is timed
    and this worker does not have the host to itself yet (see `shared.ledger.host_lease`)."""
    lane: str | None = None
    """Where a misplaced run waits."""


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """All that is written when a run becomes final."""

    state: RunState
    payload: bytes | str
    """The result, as Celery's backend stores it."""
    failure: Failure | None = None
    unsent: Sequence[ProgressEvent] = ()
    """Events that were not sent yet; they are sent first."""


@dataclass(frozen=True, kw_only=True)
class HeldRun:
    """The run that a worker's child holds, by its record."""

    run_id: str | None
    """None where it holds none, or has lost it."""
    fence: int
    cancel_requested: bool
    now_s: float
    """It is the time by the server, in seconds."""


class Leases:
    """The leases of one worker, and those that others have lost.

    It may be used from several threads. Each method raises RedisError.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        worker_id: str,
        host: str,
        lease_s: float,
        largest_bytes: int = LARGEST_RECORD_BYTES,
    ) -> None:
        """Take how many bytes a run's document may have at most to be read."""
        self.client = client
        self.worker_id = worker_id
        self.host = host
        self.lease_s = lease_s
        self._largest_bytes = largest_bytes
        self._child = names.child_key(worker_id)
        self._claim = script(client, "claim")
        self._finish = script(client, "finish")
        self._let_go = script(client, "let_go")
        self._look_after = script(client, "look_after")
        self._wake = script(client, "wake")

    def forget_child(self) -> None:
        """Remove what Redis has of a child that is dead; of the next one it hears with the next beat."""
        self.client.delete(self._child)

    def knows(self, run_id: str) -> bool:
        """Return whether there is such a run in this Redis."""
        return bool(self.client.exists(names.run_key(run_id)))

    def claim(self, run_id: str, *, pid: int, queues: Sequence[str] = ()) -> Claim | Refused:
        """Take the run if it is free, which raises its attempt and its fence.

        With `queues`, only a run that waits in one of them.
        """
        answer = cast(
            "list[bytes]",
            self._claim(
                keys=[names.run_key(run_id), names.host_key(self.host)],
                args=[self.worker_id, pid, self.lease_s, self._largest_bytes, *queues],
            ),
        )
        if answer[0] != b"claimed":
            return Refused(state=_text(answer[0]), lane=_text(answer[1]) if len(answer) > 1 else None)
        _, fence, attempt, submitted_s, claimed_s, document, experiment_id, *others = answer
        framework, side, checkpoints, spent_s = others
        return Claim(
            run_id=run_id,
            experiment_id=_text(experiment_id),
            framework=_text(framework),
            side=_text(side or framework),
            fence=int(fence),
            attempt=int(attempt),
            submitted_s=float(submitted_s),
            claimed_s=float(claimed_s),
            document=document,
            checkpoints=read_refs(checkpoints),
            spent_s=float(spent_s),
        )

    def finish(self, run_id: str, *, fence: int, end: RunEnd) -> bool:
        """Make the run final, with its result, in one step. Return whether it was still ours.

        The arrays that the result refers to are in the store already; they live for as long as the
        experiment.
        """
        keys = [names.run_key(run_id), names.result_key(run_id)]
        failure = end.failure.model_dump_json() if end.failure else ""
        events = [event.model_dump_json() for event in end.unsent]
        payload = end.payload if isinstance(end.payload, str) else end.payload.decode()
        arrays = json.dumps(list(references(payload).items()))
        return bool(self._finish(keys=keys, args=[fence, end.state, failure, end.payload, arrays, *events]))

    def let_go(
        self, run_id: str, *, why: WhyLetGo, fence: int = 0, note: str = ""
    ) -> tuple[RunState | None, str]:
        """End a lease without a result: the run's new state (None: nothing was changed) and its queue.

        The `note` is told as the reason where that ends the run.
        """
        state, queue, changed = cast(
            "tuple[bytes, bytes, int]",
            self._let_go(keys=[names.run_key(run_id)], args=[run_id, why, fence, note]),
        )
        return (cast(RunState, _text(state)) if changed else None), _text(queue)

    def look_after(self, *, pid: int | None = None, run_id: str | None = None, fence: int = 0) -> HeldRun:
        """Renew the lease of the run that the child holds, and say in Redis again that it does.

        The arguments are the child's own words; its fence is 0 while it is claiming.
        """
        answer = cast(
            "list[bytes]",
            self._look_after(
                keys=[self._child], args=[self.worker_id, self.lease_s, pid or "", run_id or "", fence]
            ),
        )
        held, held_fence, cancel, now = (one.decode() for one in answer)
        return HeldRun(
            run_id=held or None,
            fence=int(held_fence or 0),
            cancel_requested=cancel == "1",
            now_s=float(now),
        )

    def expired(self, *, now_s: float) -> list[str]:
        """Return the ids of runs whose lease has ended, or ends later than any can, up to 100 of each."""
        latest_s = now_s + self.lease_s + AHEAD_S  # of a worker with a longer lease, the script looks again
        ended = self.client.zrangebyscore(names.LEASED, "-inf", now_s, start=0, num=100)
        ahead = self.client.zrangebyscore(names.LEASED, latest_s, "+inf", start=0, num=100)
        return list(self._ids(names.LEASED, [*cast("list[bytes]", ended), *cast("list[bytes]", ahead)]))

    def waiting(self, lane: str, *, before_s: float, now_s: float) -> list[tuple[str, float]]:
        """Return up to 100 runs queued there for which no message was sent since `before_s`.

        Each comes with the time of its last message. Up to 100 more are those for which one was sent later
        than now, by a clock of the server that was set back since.
        """
        key, since = names.queued_key(lane), dict[bytes, float]()
        for least, most in (("-inf", f"({before_s}"), (now_s + AHEAD_S, "+inf")):
            found = self.client.zrangebyscore(key, least, most, start=0, num=100, withscores=True)
            since.update(cast("list[tuple[bytes, float]]", found))
        return [(run_id, since[run_id.encode()]) for run_id in self._ids(names.queued_key(lane), list(since))]

    def _ids(self, key: str, members: Sequence[bytes]) -> Iterator[str]:
        """Yield the members of a set as ids. What is no text is removed, or would stay for ever."""
        for member in members:
            try:
                yield member.decode()
            except UnicodeDecodeError:
                self.client.zrem(key, member)

    def set_aside(self, run_id: str, *, waiting_in: str) -> None:
        """Take a run whose record cannot be read out of a set that is looked through, for ever."""
        self.client.zrem(waiting_in, run_id)

    def wake(self, lane: str, run_id: str, *, since_s: float) -> bool:
        """Note that a message is about to be sent for a waiting run; False if somebody else has done so."""
        return bool(self._wake(keys=[names.queued_key(lane)], args=[run_id, repr(since_s)]))


def _text(value: bytes) -> str:
    """Return a field of a record as text, whatever it was edited into."""
    return value.decode(errors="replace")
