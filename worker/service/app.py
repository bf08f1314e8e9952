"""The worker process: checks what it needs, then runs Celery's worker around one spawned child.

The parent imports no framework. It consumes messages (`intake`, `quarantine`), keeps the lease of the run
that its child holds (`keeper`) and puts lost runs back (`reconciler`); the child trains (`tasks`). Exit
status: 0 stopped, 2 bad settings, 4 something it needs is missing.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import celery
import celery.apps.worker
import redis
from celery import signals
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning
from celery.worker import state as celery_state
from packaging.requirements import Requirement

from likewise.shared.celery_app import make_app, queue
from likewise.shared.connection import address, connect, redis_url
from likewise.shared.errors import LikewiseError, RedisError, RefusedByRedisError, ServiceError, UsageError
from likewise.shared.gpus import Gpu
from likewise.shared.ledger.leases import Leases
from likewise.shared.names import PREFIX, environment_key, host_queue, train_queue
from likewise.shared.settings import Settings
from likewise.shared.worker_code import worker_code
from likewise.worker.adapters import adapter_names
from likewise.worker.counters import this_host
from likewise.worker.service.child_page import ChildPage
from likewise.worker.service.gpu_lock import devices_served, own_gpu
from likewise.worker.service.intake import Consumer, Intake
from likewise.worker.service.keeper import Identity, Keeper
from likewise.worker.service.logs import now_about, set_up
from likewise.worker.service.metrics import WorkerMetrics
from likewise.worker.service.offspring import Offspring
from likewise.worker.service.quarantine import guarded_transport
from likewise.worker.service.reconciler import Reconciler
from likewise.worker.service.tasks import child_app, register

log = logging.getLogger(__name__)


class WorkerApp(celery.Celery):  # type: ignore[misc]
    """Is the parent's application; pickled for the child, it becomes the child's own, made from scratch."""

    worker_id: str
    page: Path
    queues: tuple[str, ...]

    def __reduce__(self) -> tuple[Callable[..., celery.Celery], tuple[str, Path, tuple[str, ...]]]:
        return child_app, (self.worker_id, self.page, self.queues)


class Worker(celery.apps.worker.Worker):  # type: ignore[misc]
    """Hands its run back and stops on SIGINT (Ctrl-C) as on SIGTERM, with status 0."""

    def install_platform_tweaks(self, worker: celery.apps.worker.Worker) -> None:
        """Handle signals as Celery does, but for SIGINT, which would cut off the run and give status 1."""
        super().install_platform_tweaks(worker)
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGTERM))


def main() -> None:
    """Run a worker until it is stopped."""
    # Celery warns root of pickled messages; we accept JSON alone, and of that only a run id.
    warnings.simplefilter("ignore", SecurityWarning)
    # And of each connection that is lost what another version of it will do with messages that we drop.
    warnings.simplefilter("ignore", CPendingDeprecationWarning)
    try:
        settings = Settings.from_environment()
        set_up(settings)
        sys.exit(serve(settings))
    except LikewiseError as error:
        print(f"likewise worker: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)


def serve(settings: Settings) -> int:
    """Serve the queues of one framework on one device; returns Celery's exit status.

    Raises UsageError or ServiceError when something needed is missing.
    """
    url, framework = _checked(settings)
    client = connect(url, largest_bytes=settings.max_record_bytes)
    if not settings.allow_volatile_redis:
        refuse_volatile(client)
    refuse_other_users(client)
    with own_gpu(settings, framework, environ=os.environ) as gpu:
        return _serve(settings, client=client, url=url, framework=framework, gpu=gpu)


def _serve(settings: Settings, *, client: redis.Redis, url: str, framework: str, gpu: Gpu | None) -> int:
    machine = socket.gethostname()  # a container's own, by which its engine knows it
    host = settings.host_id or this_host()
    version = installed_version(framework)
    refuse_unmet(settings.requirement_list)
    served = devices_served(settings.worker_device, gpu)
    queues = queues_of(environments_of(framework, version, settings), devices=served, host=host)
    worker_id = f"{framework}-{served[-1].replace(':', '')}-{machine}-{secrets.token_hex(3)}"
    now_about(worker=worker_id)
    leases = Leases(client, worker_id=worker_id, host=host, lease_s=settings.lease_s)
    intake = Intake()
    page = ChildPage.create()
    app = _application(settings, url, client, intake)
    app.worker_id, app.page, app.queues = worker_id, page.path, queues
    app.conf.task_queues = [queue(name) for name in queues]
    app.conf.task_default_queue = queues[0]
    log.info("worker %s starts for the Redis at %s", worker_id, address(client))
    failures: list[str] = []

    def give_up(reason: str) -> None:
        failures.append(reason)
        celery_state.should_stop = ServiceError.exit_status

    versions = {} if version is None else {framework: version}
    identity = Identity(
        settings=settings,
        queues=queues,
        hostname=machine,
        gpu=gpu,
        code=worker_code(framework),
        versions=versions,
    )
    offspring = Offspring()
    offspring.adopt()
    keeper = Keeper(identity, leases=leases, page=page, intake=intake, offspring=offspring, give_up=give_up)
    if settings.metrics_listen is not None:
        keeper.metrics = WorkerMetrics(settings.metrics_listen)
    reconciler = Reconciler(
        leases=leases, app=app, queues=queues, largest_bytes=settings.max_message_kb * 1024
    )

    def when_stopping(**_: Any) -> None:
        reconciler.stop()
        keeper.drain()

    signals.worker_shutting_down.connect(when_stopping, weak=False)
    signals.worker_ready.connect(lambda **_: reconciler.start(), weak=False)
    keeper.start()
    try:
        worker = Worker(
            app=app,
            hostname=f"likewise@{worker_id}",
            loglevel="WARNING",
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        offspring.own = lambda: worker.pool.info["processes"]
        worker.start()
    finally:
        log.info("worker %s ends", worker_id)
        offspring.own = tuple
        reconciler.stop()
        keeper.stop()
        offspring.end()
        page.close()
    if failures:
        raise ServiceError(failures[0])
    return int(worker.exitcode or 0)


def _application(settings: Settings, url: str, client: redis.Redis, intake: Intake) -> WorkerApp:
    """Return the parent's application, which takes messages as `intake` lets it."""
    app: WorkerApp = make_app(url, retention_s=settings.retention_s, app_class=WorkerApp)
    largest_bytes = settings.max_message_kb * 1024
    app.conf.broker_transport = guarded_transport(client, intake, largest_bytes=largest_bytes)
    app.conf.worker_consumer = Consumer
    register(app)
    return app


def _checked(settings: Settings) -> tuple[str, str]:
    """Return the URL of Redis and the framework. Raises UsageError for a setting that will not do."""
    url = redis_url(settings)
    if url is None:
        raise UsageError("LIKEWISE_REDIS_URL is not set; a worker needs the Redis of its producers")
    if settings.framework is None or settings.framework not in adapter_names():
        given = "not set" if settings.framework is None else repr(settings.framework)
        raise UsageError(
            f"LIKEWISE_FRAMEWORK is {given}; there are adapters for {', '.join(adapter_names())}"
        )
    heartbeat = settings.heartbeat_file
    if heartbeat is not None and not os.access(heartbeat.parent, os.W_OK):
        raise UsageError(
            f"LIKEWISE_HEARTBEAT_FILE is {str(heartbeat)!r}; it takes a file in a folder that is there and "
            "that the worker may write to"
        )
    return url, settings.framework


def installed_version(framework: str) -> str | None:
    """Return the version of a framework's package here, which is read without importing the framework."""
    packages = metadata.packages_distributions().get(framework, ())
    return metadata.version(packages[0]) if packages else None


def environments_of(framework: str, version: str | None, settings: Settings) -> list[str]:
    """Return the environments, as queues name them, that runs may ask this worker for.

    A worker with requirements takes only runs that ask for these, a dedicated one only those that ask for
    its version.
    """
    requirements = settings.requirement_list
    exact = [] if version is None else [environment_key(framework, version, requirements)]
    if settings.dedicated and not requirements:
        return exact
    return [environment_key(framework, None, requirements), *exact]


def refuse_unmet(requirements: Sequence[str]) -> None:
    """Raise UsageError where a package of LIKEWISE_REQUIREMENTS is not here in a version that will do."""
    for one in requirements:
        wanted = Requirement(one)
        try:
            here = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            here = None
        if here is None or not wanted.specifier.contains(here, prereleases=True):
            found = "is not installed" if here is None else f"is {here}"
            raise UsageError(f"LIKEWISE_REQUIREMENTS names {one}, and {wanted.name} {found} here")


def queues_of(environments: Sequence[str], *, devices: Sequence[str], host: str) -> tuple[str, ...]:
    """Return the queues that a worker of these environments and devices serves."""
    return tuple(
        name
        for environment in environments
        for name in (
            *(train_queue(environment, device) for device in devices),
            train_queue(environment, "any"),
            *(host_queue(environment, device, host) for device in devices),
        )
    )


def refuse_other_users(client: redis.Redis) -> None:
    """Raise RedisError for a user of Redis who may not do what a worker does, such as the producers'."""
    try:
        client.lindex(PREFIX + train_queue("none", "any"), 0)  # which of our users a worker's alone may call
    except RefusedByRedisError as error:
        if error.code == "NOPERM":
            raise RedisError(f"{error}; a worker needs the rights of the user worker") from None


def refuse_volatile(client: redis.Redis) -> None:
    """Raise RedisError for a Redis that would lose runs: one that evicts keys or keeps nothing on disk."""
    advice = "or accept the loss with LIKEWISE_ALLOW_VOLATILE_REDIS=true"
    memory: dict[str, Any] = client.info("memory")
    policy = memory.get("maxmemory_policy")
    if int(memory.get("maxmemory", 0)) > 0 and policy != "noeviction":
        raise RedisError(
            f"Redis evicts keys when full (maxmemory-policy {policy}), so runs and results could vanish; "
            f"set maxmemory-policy noeviction, {advice}"
        )
    if int(client.info("persistence").get("aof_enabled", 0)):
        return
    try:
        saves = client.config_get("save").get("save", "")
    except (redis.ResponseError, RedisError):  # CONFIG may be forbidden; what cannot be seen is not refused
        return
    if not saves:
        raise RedisError(
            "Redis keeps nothing on disk, so a restart would lose every run; set appendonly yes, " + advice
        )
