"""What the ledger says of experiments, runs and workers: the values, the stream of progress, who is there.

Workers append events to one capped Redis stream an experiment; the ledger's scripts append the id and the new
state of each run whose record changes, so that one blocking read is enough to follow an experiment. A run's
final state comes after all its events.

The live workers are found by a set of their ids, not by a search among all keys: that would take longer with
every experiment that is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import redis
from pydantic import Field

from likewise.shared.frozen import Frozen, read_short
from likewise.shared.gpus import Gpu
from likewise.shared.job.experiment import Experiment
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Framework, Label, OfSide
from likewise.shared.ledger.transitions import STREAM_LENGTH, script
from likewise.shared.names import (
    WORKERS,
    DeviceKind,
    Priority,
    progress_key,
    requirements_of_queue,
    worker_key,
)
from likewise.shared.results.run_result import Failure

RunState = Literal["queued", "leased", "succeeded", "failed", "cancelled"]
WorkerState = Literal["starting", "idle", "busy", "stopping", "stuck"]

AnswerKind = Literal["port-check", "port-comparison", "port-explanation", "port-bench", "bisection"]
"""What has no runs of its own: only what it came to is kept."""
Kind = Literal["comparison", "explanation", "bench", "sweep"] | AnswerKind
"""What was asked for when an experiment was submitted."""
ANSWER_KINDS: tuple[AnswerKind, ...] = get_args(AnswerKind)

LONGEST_PRESENCE_S = 60
"""What a worker says of itself is kept for less than this, unless the server's clock was set back since."""

FINAL: tuple[RunState, ...] = ("succeeded", "failed", "cancelled")
"""States that never change again."""


class RunRecord(OfSide):
    """Where one run stands. All times are seconds by the Redis server's clock."""

    run_id: str
    experiment_id: str
    framework: Framework
    side: Label = ""
    """The label of its side."""
    queue: str
    lane: str = Field(default="", exclude=True)
    """The list of the queue in which it waits, or waited: which comes first is decided by that."""
    state: RunState
    attempt: int
    """How often a worker has claimed it."""
    fence: int
    """Raised by each claim; what carries an older one is refused."""
    worker: str | None = None
    """Who holds it, or held it last."""
    submitted_s: float
    claimed_s: float | None = None
    finished_s: float | None = None
    cancel_requested: bool = False
    failure: Failure | None = None

    @property
    def final(self) -> bool:
        """Return whether the state never changes again."""
        return self.state in FINAL


class KeptRecord(Frozen):
    """What every experiment has, whatever was asked for."""

    experiment_id: str
    submitted_s: float
    run_ids: Many[str] = ()
    related: dict[str, str] = Field(default_factory=dict)
    """Ids of the experiments that belong to it, by what they are for: `twin`, `rerun`, `fingerprints` …"""
    cancelled: bool = False
    """Whether it was cancelled: nothing more may be trained that belongs to it."""
    priority: Priority = "normal"
    """How urgent its runs are, and those of what belongs to it."""
    verdict: str | None = None
    """What the comparison said when it was last made, once every run was final."""
    kind: Kind = "comparison"
    tags: Many[str] = ()
    """Words of the user's by which it is found again."""
    note: str = ""
    """A line of the user's on what it is for."""
    findings: dict[str, Literal["partial", "complete"]] = Field(default_factory=dict)
    """What was found besides and is kept, such as `bench`, and whether all of it was found."""

    @property
    def name(self) -> str:
        """Return the word for lists and reports."""
        raise NotImplementedError

    @property
    def frameworks(self) -> dict[Label, Framework]:
        """Return each side's framework by its label, the reference's first."""
        raise NotImplementedError

    @property
    def declared(self) -> str:
        """Return what was declared as JSON, as the ledger keeps it."""
        raise NotImplementedError


class ExperimentRecord(KeptRecord):
    """A submitted experiment and the runs made of it."""

    experiment: Experiment
    run_ids: Many[str]

    @property
    def name(self) -> str:
        """Return the job's name."""
        return self.experiment.name

    @property
    def frameworks(self) -> dict[Label, Framework]:
        """Return each side's framework by its label, the reference's first."""
        return {side.label: side.framework for side in self.experiment.side_list}

    @property
    def declared(self) -> str:
        """Return the experiment as JSON; what was left out stays left out."""
        return self.experiment.model_dump_json(exclude_unset=True)


class SubjectSide(Frozen):
    """One side of what an answer is about."""

    framework: Framework
    version: str | None = None
    program: str | None = None
    """The file of a user's program."""
    files: dict[str, str] = Field(default_factory=dict)
    """The SHA-256 of that file and of each that it imports from its folder, by name."""


class Subject(Frozen):
    """What an answer is about where there is no declared job with runs: two programs, or two versions."""

    name: str
    sides: dict[Label, SubjectSide]


class AnswerRecord(KeptRecord):
    """An experiment that has no runs: its answer is kept as its finding."""

    kind: AnswerKind
    subject: Subject

    @property
    def name(self) -> str:
        """Return the name of the port or of the job."""
        return self.subject.name

    @property
    def frameworks(self) -> dict[Label, Framework]:
        """Return each side's framework by its label, the reference's first."""
        return {label: side.framework for label, side in self.subject.sides.items()}

    @property
    def declared(self) -> str:
        """Return the subject as JSON."""
        return self.subject.model_dump_json()


class WorkerPresence(Frozen):
    """A live worker, as it described itself at its last beat."""

    worker_id: str
    framework: Framework
    device: DeviceKind
    queues: Many[str]
    host: str
    """The name of its machine, which its timed runs have to themselves."""
    hostname: str = ""
    """What the machine, or the worker's container on it, calls itself."""
    pid: int
    versions: dict[str, str]
    """Until the framework is loaded, its own alone, where the worker's packages name it."""
    threads: int
    """The most that a training takes beside others."""
    threads_alone: int | None = None
    """The most that a training takes which is alone on the host's cores."""
    gpu: Gpu | None = None
    """The GPU that is its own."""
    image: str | None = None
    code: str | None = None
    """A digest of the code that it runs (`shared.worker_code`)."""
    state: WorkerState
    trouble: str | None = None
    """Why it takes no runs though it should, or its run does not go on."""
    run_id: str | None = None
    """The run it is busy with."""
    started_s: float
    seen_s: float

    @property
    def takes_runs(self) -> bool:
        """Return whether it takes runs now, or will when its framework is loaded or its run is done."""
        return self.state not in ("stopping", "stuck")

    @property
    def requirements(self) -> tuple[str, ...]:
        """Return the packages that it has in versions of their own, as its queues name them."""
        return requirements_of_queue(self.queues[0]) if self.queues else ()

    @property
    def place(self) -> str:
        """Return its device, with the number of its GPU where it has one of its own: `cuda:1`."""
        return self.device if self.gpu is None else f"{self.device}:{self.gpu.index}"

    @property
    def version(self) -> str | None:
        """Return the version of its framework, where it is known."""
        return self.versions.get(self.framework)


class ProgressEvent(OfSide):
    """Where one run stands. `epoch` counts finished epochs; `position` counts seeds from 1.

    Of seeds that train together it names the first, and gives the median of their losses.
    """

    run_id: str
    framework: Framework
    side: Label = ""
    """The label of its side."""
    seed: int
    position: int = Field(ge=1)
    seeds: int = Field(ge=1)
    together: int = Field(default=1, ge=0)
    """Seeds that train at once, from `position` on."""
    epoch: int = Field(ge=0)
    epochs: int = Field(ge=1)
    loss: float | None = None
    """The last finished epoch's loss; null before the first, or when it is not finite."""
    validation_loss: float | None = None
    compiling: bool = False
    """Whether a program is compiled first, which can take half a minute without another event."""
    samples_per_s: float | None = None
    """Training rate since the event before, without what was compiled or done for the first time; null
    where there was nothing else."""
    done: float | None = Field(default=None, ge=0, le=1)
    """How much of the updates of these seeds is done, from 0 to 1; null in events of older workers."""

    @property
    def share(self) -> float:
        """Return how much of the run is done, from 0 to 1."""
        done = self.epoch / self.epochs if self.done is None else self.done
        return (self.position - 1 + self.together * done) / self.seeds


@dataclass(frozen=True, kw_only=True)
class StreamEntry:
    """One entry of the stream: a training's event, or the id of a run whose record changed."""

    position: str
    event: ProgressEvent | None = None
    changed_run_id: str | None = None
    state: str | None = None
    """What that run became; None in streams that an older version has written."""


def append_progress(pipe: redis.client.Pipeline, experiment_id: str, event: ProgressEvent) -> None:
    """Add an event to what the pipeline sends. The ledger's scripts set the stream's time to live."""
    pipe.xadd(
        progress_key(experiment_id),
        {"event": event.model_dump_json()},
        maxlen=STREAM_LENGTH,
        approximate=True,
    )


def read_progress(
    client: redis.Redis, experiment_id: str, *, after: str = "0", block_ms: int | None = None
) -> Sequence[StreamEntry]:
    """Return entries after a position, oldest first; waits up to `block_ms` for one."""
    answer = cast(
        "list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]",
        client.xread({progress_key(experiment_id): after}, count=1_000, block=block_ms),
    )
    found = answer[0][1] if answer else []
    return [_entry(position.decode(), fields) for position, fields in found]


def end_of_progress(client: redis.Redis, experiment_id: str) -> str:
    """Return the position after which nothing has been appended yet."""
    last = cast("list[tuple[bytes, Any]]", client.xrevrange(progress_key(experiment_id), count=1))
    return last[0][0].decode() if last else "0"


def _entry(position: str, fields: dict[bytes, bytes]) -> StreamEntry:
    """Return an entry; one that cannot be read, such as another version's, tells of nothing."""
    with suppress(UnicodeDecodeError):
        if b"event" in fields:
            event = read_short(ProgressEvent, fields[b"event"])
            return StreamEntry(position=position, event=event)
        changed, state = (fields[name].decode() if name in fields else None for name in (b"run", b"state"))
        return StreamEntry(position=position, changed_run_id=changed, state=state)
    return StreamEntry(position=position)


def announce_worker(client: redis.Redis, worker_id: str, document: str, *, lives_s: int) -> None:
    """Say in Redis what a worker is. Without another such beat within `lives_s` it counts as gone."""
    script(client, "announce")(keys=[worker_key(worker_id)], args=[worker_id, document, lives_s])


def withdraw_worker(client: redis.Redis, worker_id: str) -> None:
    """Take back what a worker that stops has said of itself."""
    with client.pipeline() as pipe:
        pipe.delete(worker_key(worker_id))
        pipe.srem(WORKERS, worker_id)
        pipe.execute()


def presences(client: redis.Redis) -> list[bytes]:
    """Return the documents of the live workers."""
    return census(client)[1:]


def silent_workers(client: redis.Redis) -> list[str]:
    """Return the ids of workers that have not withdrawn and are not heard of, until another one speaks."""
    ids = sorted(one.decode() for one in cast("set[bytes]", client.smembers(WORKERS)))
    found = cast("list[bytes | None]", client.mget([worker_key(one) for one in ids])) if ids else []
    return [worker_id for worker_id, document in zip(ids, found, strict=True) if document is None]


def census(client: redis.Redis) -> list[bytes]:
    """Return the server's time in microseconds, then the documents of the live workers."""
    ids = cast("set[bytes]", client.smembers(WORKERS))
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        for worker_id in ids:
            pipe.get(worker_key(worker_id.decode()))
            pipe.pttl(worker_key(worker_id.decode()))
        (seconds, microseconds), *found = pipe.execute()
    now = f"{seconds}{microseconds:06d}".encode()
    told = zip(found[::2], found[1::2], strict=True)
    most_ms = LONGEST_PRESENCE_S * 1_000
    return [now, *(document for document, left_ms in told if document is not None and left_ms <= most_ms)]
