"""The world that the driver makes worse: a Redis, a network, four workers, and whoever starts them again.

What is known of it is read from Redis and from the table of processes, never from a worker's log.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import PreparedExperiment, prepare_experiment
from likewise.producer.runs.results import collect
from likewise.producer.runs.submit import Request, submit
from likewise.shared.connection import connect
from likewise.shared.errors import LikewiseError, RedisError
from likewise.shared.ledger.records import ExperimentRecord, RunRecord
from likewise.shared.names import Priority, lanes_of, messages_key
from tests.conftest import Desk, RedisServer, WorkerProcess
from tests.faults.driver.jobs import JOBS
from tests.faults.network import Proxy

T = TypeVar("T")

FRAMEWORKS = ("torch", "tensorflow", "torch", "tensorflow")
LEASE_S = 5.0
HANG_S = 10.0
DISK_MB = 96
"""How large the small disks are: one under Redis, one under the workers' caches and temporary files."""
PATIENCE_S = 240.0
"""What does not come within this is a fault of ours."""
CGROUPS = Path("/sys/fs/cgroup/memory")


class NotRecoveredError(Exception):
    """Something that was waited for did not come."""


@dataclass
class Expected:
    """A run that was submitted, and what must become of it."""

    run_id: str
    experiment_id: str
    job: str
    side: str
    outcomes: frozenset[str]
    """The states, or reasons of failure, of which one must be its end."""
    victim_of: str | None = None
    """The kind of fault that it was submitted for."""


@dataclass
class World:
    """All that runs, and all that was submitted."""

    folder: Path
    chance: random.Random
    tell: Callable[[str], None]
    frameworks: Sequence[str] = FRAMEWORKS
    submitted: list[Expected] = field(default_factory=list)
    prepared: dict[str, PreparedExperiment] = field(default_factory=dict)
    workers: list[WorkerProcess | None] = field(default_factory=list)
    settle: Callable[[], None] = lambda: None
    """Accounts for what has ended, before a fault after which nobody could."""

    def open(self) -> None:
        """Start everything."""
        self.mark = f"faults-{secrets.token_hex(4)}"
        self.redis_disk, self.worker_disk = self._disk("redis-disk"), self._disk("worker-disk")
        self.redis = RedisServer(self.redis_disk).start()
        self.proxy = Proxy(self.redis.url_of("worker"))
        self.desk = Desk(self.redis.url, self.redis.url_of("producer"))
        self.groups = [self._memory_group(place) for place in range(len(self.frameworks))]
        self.workers = [None] * len(self.frameworks)
        self.mend()
        self.until(lambda: len(self.idle()) == len(self.frameworks), what="every worker is ready")

    def close(self) -> None:
        """Stop whatever still runs."""
        for worker in self.workers:
            if worker is not None:
                worker.close()
        self.desk.close()
        self.proxy.close()
        self.redis.stop()
        for disk in (self.redis_disk, self.worker_disk):
            subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)
        for group in self.groups:
            with suppress(OSError):
                if group is not None:
                    group.rmdir()

    def _disk(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
        self.small_disks = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        return folder

    def _memory_group(self, place: int) -> Path | None:
        group = CGROUPS / f"{self.mark}-{place}"
        try:
            group.mkdir()
        except OSError:
            return None
        return group

    def mend(self) -> None:
        """Start each worker that is not there, as whoever keeps them would."""
        for place, worker in enumerate(self.workers):
            if worker is not None and worker.process.poll() is None:
                continue
            temporary = self.worker_disk / f"tmp-{place}"
            temporary.mkdir(exist_ok=True)
            started = WorkerProcess(
                self.frameworks[place],
                self.proxy.url,
                self.folder / f"worker-{place}",
                LIKEWISE_LEASE_S=str(LEASE_S),
                LIKEWISE_HANG_S=str(HANG_S),
                LIKEWISE_PATIENCE_S="8",
                LIKEWISE_CHECKPOINT_S="0.3",
                LIKEWISE_THREADS="1",
                LIKEWISE_HOST_ID=self.mark,
                LIKEWISE_CACHE_DIR=str(self.worker_disk / f"cache-{place}"),
                TMPDIR=str(temporary),
            )
            self.workers[place] = started
            group = self.groups[place]
            if group is not None:
                with suppress(OSError):
                    (group / "cgroup.procs").write_text(str(started.pid))

    @property
    def living(self) -> list[WorkerProcess]:
        """The workers whose process is there."""
        return [one for one in self.workers if one is not None and one.process.poll() is None]

    def idle(self) -> list[WorkerProcess]:
        """The workers that say that they take runs, or train one."""
        states = {one.pid: one.state for one in self.desk.ledger.workers()}
        return [one for one in self.living if states.get(one.pid) in ("idle", "busy")]

    def until(self, found: Callable[[], T], *, what: str, within_s: float = PATIENCE_S) -> T:
        """Return what `found` returns once it is true. A Redis that is away is waited for."""
        end = time.monotonic() + within_s
        while True:
            with suppress(RedisError):
                if value := found():
                    return value
            if time.monotonic() > end:
                raise NotRecoveredError(what)
            time.sleep(0.03)

    def took_s(self, found: Callable[[], Any], *, what: str) -> float:
        """Wait until something is true; how long that took."""
        begin = time.monotonic()
        self.until(found, what=what)
        return time.monotonic() - begin

    # what is submitted

    def prepare(self) -> None:
        """Read every job with its data, once."""
        for name, job in JOBS.items():
            path = self.folder / f"{name}.yaml"
            sides = list(dict.fromkeys(self.frameworks))
            path.write_text(yaml.safe_dump({"name": name, "frameworks": sides, **job}))
            self.prepared[name] = prepare_experiment(read_experiment(str(path)))

    def submit(
        self,
        job: str,
        *,
        outcomes: Sequence[str] = ("succeeded",),
        victim_of: str | None = None,
        key: str | None = None,
    ) -> ExperimentRecord:
        """Submit a job to every side."""
        one = self.prepared[job]
        urgent: Priority = "normal" if victim_of is None else "high"  # it is waited for
        record = self.until(
            lambda: submit(
                self.desk,
                one.loaded.experiment,
                one.runs,
                Request(queue_anyway=True, key=key, priority=urgent),
            ),
            what="a submission is taken",
        )
        known = {run.run_id for run in self.submitted}
        self.submitted += [
            Expected(run.run_id, record.experiment_id, job, run.side, frozenset(outcomes), victim_of)
            for run in self.until(lambda: self.desk.ledger.records(record.run_ids), what="the records")
            if run.run_id not in known
        ]
        return record

    def records(self) -> list[RunRecord]:
        """Where every run that was submitted stands."""
        return self.desk.ledger.records([run.run_id for run in self.submitted])

    def run(self, run_id: str) -> RunRecord:
        """Where one run stands."""
        (record,) = self.desk.ledger.records([run_id])
        return record

    def fill(self) -> None:
        """Have enough waiting, so that every worker has something to train."""
        (records,) = self.until(lambda: (self.records(),), what="the records")  # there may be none
        waiting = [run for run in records if not run.final]
        while len(waiting) < 2 * len(self.frameworks):
            names = [name for name, job in JOBS.items() if not name.startswith("victim")]
            record = self.submit(self.chance.choice(names), outcomes=("succeeded",))
            waiting += self.until(
                lambda one=record: self.desk.ledger.records(one.run_ids), what="the records"
            )

    def training(self, framework: str | None = None) -> tuple[RunRecord, WorkerProcess]:
        """A run that is being trained, and the worker that trains it."""

        def found() -> tuple[RunRecord, WorkerProcess] | None:
            self.fill()
            present = {one.worker_id: one for one in self.desk.ledger.workers() if one.state == "busy"}
            pids = {worker.pid: worker for worker in self.living}
            pairs = [
                (run, pids[present[run.worker].pid])
                for run in self.records()
                if run.state == "leased"
                and run.worker in present
                and present[run.worker].pid in pids
                and framework in (None, run.framework)
                and run.attempt < 2
            ]
            return self.chance.choice(pairs) if pairs else None

        return self.until(found, what="a run is trained")

    def child(self, worker: WorkerProcess) -> int:
        """The process of a worker that trains."""
        return self.until(lambda: worker.child_pid(self.desk.ledger), what="a child")

    def kill_child(self, worker: WorkerProcess) -> None:
        """Kill the process of a worker that trains; another where the one that it named has just ended."""

        def killed() -> bool:
            try:
                os.kill(self.child(worker), signal.SIGKILL)
            except ProcessLookupError:
                return False
            return True

        self.until(killed, what="a child is killed")

    # what is waited for after a fault

    def taken_over_s(self, run: RunRecord, *, what: str) -> float:
        """How long it takes until a run is first in its queue, another attempt has it, or it has ended."""

        def moved() -> bool:
            now = self.run(run.run_id)
            return now.state != "leased" or now.fence > run.fence

        return self.took_s(moved, what=what)

    def serves_again_s(self) -> float:
        """How long it takes until a run has ended that was claimed from now on."""
        self.mend()
        now_s = self.until(self.desk.ledger.now, what="Redis answers")

        def served() -> bool:
            self.fill()
            return any(run.state == "succeeded" and (run.claimed_s or 0) > now_s for run in self.records())

        return self.took_s(served, what="runs end again")

    def all_serve_s(self) -> float:
        """How long it takes until every worker says that it takes runs; one that has ended is restarted."""

        def all_serve() -> bool:
            self.mend()
            return len(self.idle()) == len(self.workers)

        return self.took_s(all_serve, what="every worker takes runs again")

    @contextmanager
    def with_client(self) -> Iterator[Any]:
        """A connection to Redis of its own."""
        client = self.until(lambda: connect(self.redis.url), what="Redis answers")
        try:
            yield client
        finally:
            client.close()

    def result_of(self, run: Expected) -> Any:
        """What a run returned; None where it cannot be read."""
        record = self.desk.ledger.experiment(run.experiment_id)
        if record is None:
            return None
        with suppress(LikewiseError):
            return next(one for one in collect(record, ledger=self.desk.ledger) if one.run_id == run.run_id)
        return None

    def processes(self) -> list[int]:
        """Every process that was started for this world, by its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if f"LIKEWISE_HOST_ID={self.mark}".encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found

    def queues(self) -> list[str]:
        """The key of every list in which a run's message may lie."""
        queues = {queue for worker in self.desk.ledger.workers() for queue in worker.queues}
        return [messages_key(lane) for queue in sorted(queues) for lane in lanes_of(queue)]

    def calm(self) -> None:
        """Take back whatever a fault has left that did not come to its end."""
        self.proxy.swallows, self.proxy.delay_s, self.proxy.halves = None, 0.0, False
        self.proxy.cut()
        if self.redis.alive:
            self.redis.signal(signal.SIGCONT)
        else:
            self.redis.start()
        for worker in self.living:
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGCONT)
        self.mend()

    def drain(self) -> None:
        """Wait until every run has ended."""

        def ended() -> bool:
            self.mend()
            return all(run.final for run in self.records())

        self.until(ended, what="every run has ended", within_s=2 * PATIENCE_S)


def stop(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal to processes, of which some may be gone."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
