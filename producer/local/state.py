"""The two documents through which commands and supervisor speak, and the lock that tells who lives.

`state.json` is written by the supervisor alone, `wanted.json` by commands under the client lock.
Both hold the whole truth each time, so that a lost or repeated look does no harm.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pydantic import ValidationError

from producer.local.paths import Paths
from shared.frozen import Frozen


class WorkerState(Frozen):
    """One framework's worker as the supervisor sees it."""

    framework: str
    interpreter: str
    pid: int | None = None
    """None while it is not running."""
    ready: bool = False
    """Whether it has its framework loaded, by its own word in Redis."""
    starts: int = 0
    """How often it was started since it was asked for."""
    exit_status: int | None = None
    """Of the last time it ended by itself; negative for a signal."""


class State(Frozen):
    """A running stack."""

    pid: int
    redis_url: str
    redis_pid: int | None
    redis_server: str
    started_s: float
    idle_minutes: float
    own_code: str
    """Fingerprint of the code the supervisor runs."""
    worker_code: str
    """Fingerprint of the code the workers run."""
    variables: dict[str, str]
    """The workers' LIKEWISE_* settings."""
    workers: dict[str, WorkerState]


class Wanted(Frozen):
    """What the stack should be running."""

    interpreters: dict[str, str]
    """By framework."""
    worker_code: str
    variables: dict[str, str]
    idle_minutes: float


def read_state(paths: Paths) -> State | None:
    """The running stack's state; None where there is none or it is of another version."""
    try:
        return State.model_validate_json(paths.state.read_bytes())
    except (OSError, ValidationError):
        return None


def read_wanted(paths: Paths) -> Wanted | None:
    """What was asked for last; None where nothing was, or by another version."""
    try:
        return Wanted.model_validate_json(paths.wanted.read_bytes())
    except (OSError, ValidationError):
        return None


def is_held(lock: Path) -> bool:
    """Whether a living process holds the lock. Asks for a shared one, so that askers do not collide."""
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def hold(lock: Path) -> int | None:
    """Take the lock for the rest of the process's life; None where another has it.

    The kernel gives it back when the process ends, however it ends.
    """
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
