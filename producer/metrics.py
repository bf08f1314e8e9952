"""What a monitoring system is told of the queues, the runs, the workers and Redis: `likewise metrics`.

Reads only, with the rights of the user `monitor`. Each look at Redis is one snapshot, from which
prometheus-client makes the text that Prometheus reads.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import redis

from likewise.shared import names
from likewise.shared.errors import RedisError, ServiceError
from likewise.shared.ledger.records import WorkerPresence
from likewise.shared.worker_code import known_frameworks

if TYPE_CHECKING:
    from prometheus_client.registry import Collector, CollectorRegistry

    from likewise.producer.session import Session

LOOK_FOR_QUEUES_S = 10.0
"""Queues are found by a walk through all keys, which is not taken with every snapshot."""
OLDEST_OF = 20
"""The oldest run of a lane is looked for among so many that come first."""
_KEYS_AT_ONCE = 5_000
_QUEUED = names.queued_key("")


@dataclass(frozen=True, kw_only=True)
class WaitingRuns:
    """The runs that wait in one lane of a queue."""

    queue: str
    priority: str
    runs: int
    oldest_s: float
    """How long the oldest of them has waited, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What is known at one moment, by the server's clock."""

    lanes: list[WaitingRuns] = field(default_factory=list)
    training: Counter[str] = field(default_factory=Counter)
    """How many runs workers hold, by queue."""
    lapsed: int = 0
    """How many of these have a lease that has ended, so that their worker is lost."""
    workers: list[WorkerPresence] = field(default_factory=list)
    now_s: float = 0.0
    dead_letters: int = 0
    redis: dict[str, float] = field(default_factory=dict)
    """Bytes in use and at the most, where there is a limit."""


class Reader:
    """Takes snapshots of one Redis."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._client = session.client
        self._lanes: set[str] = set()
        self._looked_s: float | None = None

    def snapshot(self) -> Snapshot:
        """Return what is known now. Raises RedisError."""
        workers, now_s = self._session.ledger.census()
        leased = self._ids(names.LEASED, 0, -1)
        lapsed = cast("list[bytes]", self._client.zrangebyscore(names.LEASED, "-inf", now_s))
        queues = self._of_runs(leased, "queue")
        memory: dict[str, Any] = self._client.info("memory")
        return Snapshot(
            lanes=list(self._waiting(now_s)),
            training=Counter(queue.decode() for queue in queues if queue),
            lapsed=len(lapsed),
            workers=workers,
            now_s=now_s,
            dead_letters=self._client.xlen(names.DEAD_LETTERS),
            redis={"used": float(memory["used_memory"]), "most": float(memory.get("maxmemory", 0))},
        )

    def _waiting(self, now_s: float) -> Iterator[WaitingRuns]:
        for lane in sorted(self._known_lanes()):
            key = names.queued_key(lane)
            runs = self._client.zcard(key)
            submitted = self._of_runs(self._ids(key, 0, OLDEST_OF - 1), "submitted_s")
            oldest = min((float(one) for one in submitted if one), default=now_s)
            priority = names.priority_of(lane)
            queue = lane.removesuffix(names.LANES[priority])
            yield WaitingRuns(queue=queue, priority=priority, runs=runs, oldest_s=max(0.0, now_s - oldest))

    def _known_lanes(self) -> set[str]:
        """Return the lanes in which runs wait, or have waited since this reader began."""
        now = time.monotonic()
        if self._looked_s is None or now - self._looked_s > LOOK_FOR_QUEUES_S:
            found = self._client.scan_iter(match=f"{_QUEUED}*", count=_KEYS_AT_ONCE)
            self._lanes |= {key.decode().removeprefix(_QUEUED) for key in found}
            self._looked_s = now
        return self._lanes

    def _ids(self, key: str, first: int, last: int) -> list[str]:
        return [one.decode() for one in cast("list[bytes]", self._client.zrange(key, first, last))]

    def _of_runs(self, run_ids: Iterable[str], name: str) -> list[bytes | None]:
        with self._client.pipeline(transaction=False) as pipe:
            for run_id in run_ids:
                pipe.hget(names.run_key(run_id), name)
            return cast("list[bytes | None]", pipe.execute())


def load_of(snapshot: Snapshot) -> Counter[tuple[str, str]]:
    """Return how many runs wait or train, by framework and kind of device, for whoever starts workers.

    Runs that any device may train count for the CPU. Of frameworks that are known here there is a count even
    where it is 0.
    """
    load: Counter[tuple[str, str]] = Counter(
        {(name, device): 0 for name in known_frameworks() for device in ("cpu", "cuda")}
    )
    of_queues = Counter(snapshot.training)
    for lane in snapshot.lanes:
        of_queues[lane.queue] += lane.runs
    for queue, runs in of_queues.items():
        environment, _, device = queue.partition("@")[0].removeprefix("train.").rpartition(".")
        framework = names.parts_of_environment(environment)[0]
        kind = "cpu" if device == "any" else names.kind_of(device)
        load[framework, kind] += runs
    return load


def registry_of(session: Session) -> CollectorRegistry:
    """Return a registry whose every collection is a new snapshot.

    Raises ServiceError without the library, RedisError where a first look does not succeed.
    """
    try:
        from prometheus_client.registry import CollectorRegistry
    except ImportError:
        raise ServiceError(
            "`likewise metrics` needs the package prometheus-client: pip install 'likewise[monitoring]'"
        ) from None
    registry = CollectorRegistry(auto_describe=False)
    reader = Reader(session)
    reader.snapshot()
    registry.register(cast("Collector", _Metrics(reader)))
    return registry


class _Metrics:
    """Makes metric families of snapshots, as prometheus-client asks for them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Any]:
        """Yield the families; where Redis does not answer, that alone."""
        from prometheus_client.core import GaugeMetricFamily as Gauge

        try:
            snapshot = self._reader.snapshot()
        except (RedisError, redis.RedisError):
            yield Gauge("likewise_redis_up", "Whether Redis answers.", value=0)
            return
        yield Gauge("likewise_redis_up", "Whether Redis answers.", value=1)
        yield Gauge("likewise_redis_used_bytes", "Memory that Redis uses.", value=snapshot.redis["used"])
        yield Gauge("likewise_redis_limit_bytes", "Redis's maxmemory; 0: none.", value=snapshot.redis["most"])
        yield Gauge("likewise_dead_letters", "Messages that were set aside.", value=snapshot.dead_letters)
        yield Gauge(
            "likewise_leases_lapsed", "Runs whose worker is lost and that wait for another.",
            value=snapshot.lapsed,
        )  # fmt: skip
        yield from self._of_queues(snapshot)
        yield from self._of_workers(snapshot)

    def _of_queues(self, snapshot: Snapshot) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        lane = ("queue", "priority")
        waiting = Gauge("likewise_queue_runs", "Runs that wait in a queue.", labels=lane)
        oldest = Gauge("likewise_queue_oldest_seconds", "How long the oldest has waited.", labels=lane)
        for one in snapshot.lanes:
            waiting.add_metric([one.queue, one.priority], one.runs)
            oldest.add_metric([one.queue, one.priority], one.oldest_s)
        training = Gauge("likewise_training_runs", "Runs that workers hold, by queue.", labels=["queue"])
        for queue, runs in sorted(snapshot.training.items()):
            training.add_metric([queue], runs)
        load = Gauge(
            "likewise_load_runs", "Runs that wait or train; any device counts as cpu.",
            labels=["framework", "device"],
        )  # fmt: skip
        for (framework, device), runs in sorted(load_of(snapshot).items()):
            load.add_metric([framework, device], runs)
        yield from (waiting, oldest, training, load)

    def _of_workers(self, snapshot: Snapshot) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily as Gauge

        about = ("worker", "framework", "device", "host", "container")
        state = Gauge(
            "likewise_worker_state", "1 for the state that a worker is in.", labels=(*about, "state")
        )
        trouble = Gauge("likewise_worker_trouble", "Whether it takes no runs though it should.", labels=about)
        seen = Gauge("likewise_worker_silent_seconds", "How long it was not heard of.", labels=about)
        for one in snapshot.workers:
            labels = [one.worker_id, one.framework, one.place, one.host, one.hostname]
            state.add_metric([*labels, one.state], 1)
            trouble.add_metric(labels, one.trouble is not None)
            seen.add_metric(labels, max(0.0, snapshot.now_s - one.seen_s))
        yield from (state, trouble, seen)
