"""The child: loads its one framework, then trains what it can claim.

A message only names a run. Everything else comes from the ledger, and everything goes back there: the
task itself returns nothing (see `shared.celery_app`).
"""

from __future__ import annotations

import base64
import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import celery
import redis
from celery import signals
from pydantic import ValidationError
from pydantic_core import from_json

from likewise.shared.celery_app import make_app
from likewise.shared.connection import connect, redis_url
from likewise.shared.errors import LikewiseError, RedisError, UsageError
from likewise.shared.frozen import first_problem
from likewise.shared.ledger.checkpoints import CheckpointStore
from likewise.shared.ledger.host_lease import HostLease, wait_until_free
from likewise.shared.ledger.leases import Claim, Leases, Refused, RunEnd
from likewise.shared.ledger.records import ProgressEvent, RunState
from likewise.shared.limits import Limits
from likewise.shared.names import TRAIN_TASK, kind_of, lanes_of
from likewise.shared.results.run_result import Conditions, Failure, RunResult, StoredResult
from likewise.shared.run import HostedRun, Run
from likewise.shared.settings import Settings
from likewise.shared.store.blobs import BlobBatch, BlobStore
from likewise.worker.adapters import load_adapter
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.counters import half_of_the_cores, moment, since, this_host
from likewise.worker.service.child_page import STACK_SIGNAL, ChildPage
from likewise.worker.service.claimed_run import RunCheckpoints, RunLink
from likewise.worker.service.hosting import host_program
from likewise.worker.service.logs import now_about, set_up
from likewise.worker.service.memory import be_first_to_go, memory_bytes
from likewise.worker.service.patience import patiently
from likewise.worker.service.quarantine import send_to_the_back, set_aside
from likewise.worker.service.spool import Spool, SpooledArray, SpooledResult, SpoolFile
from likewise.worker.training.failures import in_short
from likewise.worker.training.run_trainer import RunServices
from likewise.worker.training.runner import Attempt, train_run

log = logging.getLogger(__name__)


class TrainTask(celery.Task):  # type: ignore[misc]
    """Is the only task. In the child it is prepared once and then holds what every run needs."""

    name = TRAIN_TASK
    ignore_result = True
    child: TrainingChild | None = None

    def run(self, run_id: str) -> None:
        """Train one run, if it can be claimed."""
        if self.child is not None:
            self.child.train(run_id)


class TrainingChild:
    """Holds one child's started framework and its connections, and trains what it can claim."""

    def __init__(
        self,
        settings: Settings,
        *,
        worker_id: str,
        client: redis.Redis,
        page: ChildPage,
        queues: Sequence[str],
    ) -> None:
        self._queues = queues
        self._settings = settings
        self._client = client
        self._host = settings.host_id or this_host()
        self._page = page
        self._threads = settings.threads or half_of_the_cores()
        self._leases = Leases(
            client,
            worker_id=worker_id,
            host=self._host,
            lease_s=settings.lease_s,
            largest_bytes=settings.max_record_bytes,
        )
        self._limits = Limits.of(settings, memory_bytes=memory_bytes())
        folder = settings.cache_folder
        self._blobs = BlobStore(
            client,
            url=settings.blob_url,
            redis_limit_bytes=settings.blob_redis_limit_bytes,
            retention_s=settings.retention_s,
            cache_dir=folder,
        )
        self._spool = Spool(folder / "spool", retention_s=settings.retention_s)
        self._checkpoints = CheckpointStore(
            client, url=settings.blob_url, redis_limit_bytes=settings.blob_redis_limit_bytes
        )
        self._link = RunLink(client, page)
        self._adapter: FrameworkAdapter | None = None
        self._import_s: float | None = None

    def start(self) -> None:
        """Load the framework and say that it is ready, or why it is not."""
        self._page.say(pid=os.getpid(), activity="starting")
        be_first_to_go()
        faulthandler.register(STACK_SIGNAL, all_threads=True)  # the parent asks where a training stands still
        try:
            adapter = load_adapter(str(self._settings.framework))
            begin = time.perf_counter()
            adapter.start(device=kind_of(self._settings.worker_device), threads=self._threads)
            self._import_s = time.perf_counter() - begin
            versions = adapter.describe().versions
            for model in (Run, HostedRun, StoredResult, ProgressEvent):
                model.model_rebuild()  # now, not in the first run
            self._link.start()
            self._adapter = adapter
            threading.Thread(target=self._send_what_was_left, name="spool", daemon=True).start()
            self._page.say(activity="idle", versions=versions)
            here = ", ".join(f"{name} {version}" for name, version in versions.items())
            log.info("ready after %.1f s, with %s", self._import_s, here)
        except Exception as error:  # whatever a framework's import raises; the parent tells it and stops
            log.exception("the framework cannot be started")
            said = str(error)[:1_000] or type(error).__name__
            self._page.say(failed=f"{self._settings.framework} cannot be started here: {said}")

    def train(self, run_id: str) -> None:
        """Claim a run, train it, finish it.

        Of a child that is told to end, the page still names the run: the parent hands it back.
        """
        if self._adapter is None:
            return
        told_to_end = False
        try:
            with ExitStack() as held:
                self._page.say(activity="claiming", run_id=run_id, fence=0)
                self._train(run_id, self._adapter, held)
        except SystemExit as error:
            told_to_end = _is_told_to_end(error)
            raise
        finally:
            now_about(run=None, experiment=None, side=None)
            if not told_to_end:
                self._page.say(activity="idle", run_id=None, fence=0, seconds_left=None)

    def _train(self, run_id: str, adapter: FrameworkAdapter, held: ExitStack) -> None:
        try:
            claim = self._claim(run_id, held)
        except RedisError as error:  # the record still says queued, so another message will be sent
            log.warning("run %s cannot be claimed now: %s", run_id, error)
            return
        except Exception as error:  # a record that cannot be read
            log.exception("run %s cannot be claimed", run_id)
            set_aside(self._client, queue="", raw=run_id.encode(), reason=f"cannot be claimed: {error}")
            return
        if isinstance(claim, Refused):
            self._drop(run_id, claim)
            return
        try:
            self._carry_out(claim, adapter)
        except BaseException as error:  # whatever it is, it must not keep the run from its end
            if _is_told_to_end(error):
                raise
            log.exception("run %s failed in a way the runner does not know", run_id)
            self._page.say(activity="sending")
            self._finish(claim, self._broken(claim, error), self._blobs.batch())

    def _carry_out(self, claim: Claim, adapter: FrameworkAdapter) -> None:
        """Train a claimed run and make it final."""
        now_about(run=claim.run_id, experiment=claim.experiment_id, side=claim.side)
        self._page.say(activity="training", fence=claim.fence)
        arrays = self._blobs.batch(defers=True)
        with self._link.open(claim):
            result = self._result(claim, adapter, arrays)
        self._page.say(activity="sending")
        self._finish(claim, result, arrays)

    def _claim(self, run_id: str, held: ExitStack) -> Claim | Refused:
        """Take the run; before, wait for the host where a timed run has it or this one needs it."""
        while True:
            claim = self._leases.claim(run_id, pid=os.getpid(), queues=self._queues)
            match claim:
                case Refused(state="host_taken"):
                    wait_until_free(self._client, self._host)
                case Refused(state="host_needed"):
                    held.enter_context(
                        HostLease(self._client, host=self._host, holder=self._leases.worker_id)
                    )
                case _:
                    return claim

    def _finish(self, claim: Claim, result: RunResult, arrays: BlobBatch) -> None:
        run_id = claim.run_id
        state: RunState = "succeeded" if result.status == "succeeded" else "failed"
        if result.failure is not None and result.failure.reason == "cancelled":
            state = "cancelled"
        now = datetime.now(UTC).isoformat()
        spooled = SpooledResult(
            run_id=run_id,
            fence=claim.fence,
            state=state,
            failure=result.failure,
            payload=StoredResult(result=result, date_done=now, task_id=run_id).model_dump_json(),
            arrays=tuple(
                SpooledArray(ref=ref, data=base64.b64encode(data)) for ref, data in arrays.waiting.items()
            ),
        )
        self._send(spooled, arrays, file=self._spool.keep(spooled), unsent=self._link.unsent)
        with suppress(LikewiseError):  # what is left behind the blob URL then is only a waste of room
            self._checkpoints.forget(run_id)

    def _send(
        self,
        spooled: SpooledResult,
        arrays: BlobBatch,
        *,
        file: SpoolFile | None,
        unsent: Sequence[ProgressEvent] = (),
    ) -> None:
        """Make a run final, however long Redis is away or refuses, and drop what was spooled of it."""
        end = RunEnd(
            state=spooled.state,
            payload=spooled.payload,
            failure=spooled.failure,
            unsent=unsent,
        )

        def send() -> bool:
            arrays.flush()
            return self._leases.finish(spooled.run_id, fence=spooled.fence, end=end)

        if not patiently(send, tell=self._tell_trouble):
            log.warning("run %s was no longer ours when it ended; its result is dropped", spooled.run_id)
        if file is not None:
            file.remove()

    def _send_what_was_left(self) -> None:
        """Send the results that workers of this disk have finished and could not send before they died."""
        for file, spooled in self._spool.left():
            if not patiently(partial(self._leases.knows, spooled.run_id), tell=self._tell_trouble):
                log.warning("run %s, whose result was left on disk, is not of this Redis", spooled.run_id)
                file.leave()
                continue
            log.warning("run %s: its result was left on disk; it is sent now", spooled.run_id)
            arrays = self._blobs.batch()
            for array in spooled.arrays:
                arrays.hold(array.ref, array.data)
            try:
                self._send(spooled, arrays, file=file)
            except Exception:
                log.exception("run %s: its result cannot be sent", spooled.run_id)

    def _tell_trouble(self, reason: str | None) -> None:
        self._page.say(trouble=reason)

    def _result(self, claim: Claim, adapter: FrameworkAdapter, arrays: BlobBatch) -> RunResult:
        """Return what the run came to; small arrays of it still wait in the batch."""
        try:
            run = _read_run(claim.document)
        except ValidationError as error:
            told = f"the run cannot be read: {first_problem(error)}"
            return self._failed(claim, Failure(reason="invalid", message=told))
        if isinstance(run, HostedRun):
            return self._hosted(claim, run)
        most = self._limits.time_of(run.job)
        if most is not None:
            self._page.say(seconds_left=max(0.0, most.seconds - claim.spent_s))
        begin = moment() if run.timed is not None else None
        kept = RunCheckpoints(
            self._checkpoints, claim, wanted=self._link.worker_stopping, before=arrays.flush
        )
        with closing(kept) as checkpoints:
            services = RunServices(
                load=lambda ref: patiently(lambda: self._blobs.get(ref), tell=self._tell_trouble),
                store=arrays.put,
                report=self._link.send,
                stop_requested=self._link.stop_requested,
                checkpoints=checkpoints if run.timed is None and run.trace is None else None,
                checkpoint_s=self._settings.checkpoint_s,
                limits=self._limits,
                spent_s=claim.spent_s,
                programs=self._settings.programs,
            )
            result = train_run(run, adapter=adapter, attempt=self._attempt(claim), services=services)
        return (
            result if begin is None else result.model_copy(update={"conditions": Conditions(**since(begin))})
        )

    def _hosted(self, claim: Claim, run: HostedRun) -> RunResult:
        """Host a program until its producer asks it no more."""
        most = self._limits.memory_bytes
        return host_program(
            run,
            claim,
            client=self._client,
            settings=self._settings,
            most_bytes=None if most is None else int(most),
            link=self._link,
        ).model_copy(update={"worker": self._leases.worker_id, "attempt": claim.attempt})

    def _attempt(self, claim: Claim) -> Attempt:
        return Attempt(
            worker=self._leases.worker_id,
            host=self._host,
            image=self._settings.image,
            number=claim.attempt,
            threads=self._threads,
            queue_s=max(0.0, claim.claimed_s - claim.submitted_s),
            import_s=self._import_s,
        )

    def _failed(self, claim: Claim, failure: Failure) -> RunResult:
        return RunResult.of_failure(claim, failure, worker=self._leases.worker_id, attempt=claim.attempt)

    def _broken(self, claim: Claim, error: BaseException) -> RunResult:
        return self._failed(claim, Failure(reason="internal", message=in_short(error)))

    def _drop(self, run_id: str, refused: Refused) -> None:
        """Drop a message that does nothing; set aside that of a run which nobody has written down.

        That of a run which waits in another queue is moved there.
        """
        if refused.lane is not None:
            if any(refused.lane in lanes_of(queue) for queue in self._queues):  # it would come back at once
                reason = "its record names a lane that is of another queue than its own"
                set_aside(self._client, queue=refused.lane, raw=run_id.encode(), reason=reason)
                return
            log.warning("a message for run %s was in a queue that is not its own; it is moved", run_id)
            with suppress(RedisError):  # or else a worker of that queue sends another
                send_to_the_back(self._client, run_id, refused.lane)
            return
        log.debug("a message for run %s is dropped: the run is %s", run_id, refused.state)
        if refused.state == "unknown":
            set_aside(self._client, queue="", raw=run_id.encode(), reason="there is no such run")


def register(app: celery.Celery) -> TrainTask:
    """Make the task known to an application, as both the parent and the child need it."""
    task: TrainTask = app.register_task(TrainTask())
    return task


def _read_run(document: bytes) -> Run | HostedRun:
    """Return what a run's document says; `hosts` tells a program from a training. Raises ValidationError."""
    try:
        told = from_json(document)
    except ValueError:
        told = None
    kind = HostedRun if isinstance(told, dict) and "hosts" in told else Run
    return kind.model_validate_json(document)


def _is_told_to_end(error: BaseException) -> bool:
    """Return whether it is how billiard ends a child that has got a signal, with -(256 - its number)."""
    return isinstance(error, SystemExit) and error.code in {
        -(256 - number) for number in signal.valid_signals()
    }


def child_app(worker_id: str, page: Path, queues: Sequence[str]) -> celery.Celery:
    """Return the application of a spawned child, made from the environment like its parent's."""
    settings = Settings.from_environment()
    set_up(settings)
    now_about(worker=worker_id)
    url = redis_url(settings)
    if url is None:
        raise UsageError("LIKEWISE_REDIS_URL is not set")
    app = make_app(url, retention_s=settings.retention_s)
    task = register(app)

    def prepare(**_: Any) -> None:
        client = patiently(lambda: connect(url, largest_bytes=settings.max_record_bytes))
        task.child = TrainingChild(
            settings, worker_id=worker_id, client=client, page=ChildPage.open(page), queues=queues
        )
        task.child.start()

    signals.worker_process_init.connect(prepare, weak=False)
    return app
