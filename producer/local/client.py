"""What commands ask of the local stack: be up with these workers, say how you are, stop.

A warm stack is answered from its state document: no process is started, nothing heavy is imported.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from likewise.producer.local import environments
from likewise.producer.local.home import (
    OWN_LOG,
    Paths,
    StackState,
    Wanted,
    WantedWorker,
    WorkerEnvironment,
    is_held,
    last_line,
    locked,
    read_state,
    read_wanted,
    stack_paths,
    write_private,
)
from likewise.producer.local.private_redis import forget_passwords
from likewise.shared.errors import StackError
from likewise.shared.settings import Settings

START_S = 30.0
"""How long the supervisor and its Redis, which loads what it kept, may take to start."""
READY_S = 180.0
"""How long a worker may take, whose first start on a cold disk is slow."""
STOP_S = 40.0
HOPELESS_STARTS = 3
"""A worker that was started again this often and is not there is given up on."""
POLL_S = 0.02
LEAST_FREE_BYTES = 8 * 2**20
"""The stack's Redis, its logs and its documents need so much room on the disk to begin with."""
REDIS_SHARE_MB = 4
"""Arrays up to this size are kept in the stack's Redis, larger ones in its folder."""

Say = Callable[[str], None]


def ensure(
    settings: Settings, wanted: Sequence[WorkerEnvironment], *, say: Say, patiently: bool = False
) -> str:
    """Have the stack up with a worker for each environment; return its Redis's URL.

    `patiently` does not trust the state document but waits for the supervisor to confirm it. Raises
    StackError with the way out.
    """
    paths = stack_paths(settings.home)
    if not patiently:
        state = read_state(paths)
        if state is not None and is_held(paths.supervisor_lock) and _serves(state, settings, wanted):
            return state.redis_url
    return _bring_up(paths, settings, wanted, say=say)


def prepare(
    settings: Settings, wanted: Sequence[WorkerEnvironment], *, say: Say
) -> dict[WorkerEnvironment, str]:
    """Make the environments and start nothing; return their interpreters."""
    paths = stack_paths(settings.home)
    with _room_on_disk(paths):
        _make(paths, settings, wanted, say=say)
        environments.link_worker_code(paths.code)
    _tidy(paths, settings, wanted, status(settings))
    return {environment: _interpreter(settings, environment) for environment in wanted}


def worker_line(settings: Settings, framework: str, interpreter: str) -> str:
    """Return the shell's line that starts a worker in an environment made here, for a Redis of the user's."""
    code = shlex.quote(str(stack_paths(settings.home).code))
    here = f"PYTHONPATH={code} LIKEWISE_FRAMEWORK={framework} {shlex.quote(interpreter)} -m likewise.worker"
    return f"LIKEWISE_REDIS_URL=redis://user:password@host:6379/0 {here}"


def status(settings: Settings) -> StackState | None:
    """Return the running stack, or None."""
    paths = stack_paths(settings.home)
    return read_state(paths) if is_held(paths.supervisor_lock) else None


def is_up(settings: Settings) -> bool:
    """Return whether a supervisor lives and has not withdrawn."""
    return status(settings) is not None


def stop(settings: Settings, *, say: Say) -> bool:
    """End the stack and every process of it; returns whether there was anything to end."""
    paths = stack_paths(settings.home)
    if not paths.stack.exists():
        return False
    with _client_lock(paths, say):
        return _end(paths, say)


def rotate_passwords(settings: Settings, *, say: Say) -> None:
    """End the stack, and forget the passwords of its Redis: the next start draws others.

    Experiments are kept, and runs in progress go back to the queue. Raises StackError.
    """
    paths = stack_paths(settings.home)
    with _room_on_disk(paths), _client_lock(paths, say):
        if _end(paths, say):
            say("the local stack has ended; it starts again with new passwords")
        forget_passwords(paths.redis)


def _serves(state: StackState, settings: Settings, wanted: Sequence[WorkerEnvironment]) -> bool:
    if state.own_code != environments.stack_fingerprint():
        return False
    return not wanted or state.serves(_wanted(settings, wanted))


def _bring_up(paths: Paths, settings: Settings, wanted: Sequence[WorkerEnvironment], *, say: Say) -> str:
    with _room_on_disk(paths):
        return _started(paths, settings, wanted, say=say)


@contextlib.contextmanager
def _room_on_disk(paths: Paths) -> Iterator[None]:
    """Raise StackError where the disk of the stack is full, before or while it is written to."""
    paths.make()
    if (free := shutil.disk_usage(paths.home).free) < LEAST_FREE_BYTES:
        raise StackError(
            f"the disk of {paths.home} is full: {free / 2**20:.0f} MB are left, and the local stack needs "
            f"{LEAST_FREE_BYTES / 2**20:.0f} MB; make room, or set LIKEWISE_HOME to a folder on another disk"
        )
    try:
        yield
    except OSError as error:
        raise StackError(
            f"{error.filename or paths.home} cannot be written: {(error.strerror or str(error)).lower()}; "
            "make room, or set LIKEWISE_HOME to a folder on another disk"
        ) from None


def _started(paths: Paths, settings: Settings, wanted: Sequence[WorkerEnvironment], *, say: Say) -> str:
    _make(paths, settings, wanted, say=say)
    with _client_lock(paths, say):
        state = _running(paths)
        if state is not None and state.own_code != environments.stack_fingerprint():
            say("restarting the local stack: its code has changed")
            _end(paths, say)
            state = None
        environments.link_worker_code(paths.code)
        asked = _wanted(settings, wanted)
        if wanted:
            _ask(paths, asked)
        if state is None:
            say("starting the local stack")
            state = _start(paths, settings)
    if not wanted:
        return state.redis_url
    state = _wait_for_workers(paths, asked, say=say)
    _tidy(paths, settings, wanted, state)
    return state.redis_url


def _make(paths: Paths, settings: Settings, wanted: Sequence[WorkerEnvironment], *, say: Say) -> None:
    if settings.environments is None:
        environments.ensure([environments.find(paths, environment) for environment in wanted], paths, say=say)


def _interpreter(settings: Settings, environment: WorkerEnvironment) -> str:
    if settings.environments is not None:
        return str(environments.ready_made(settings.environments.absolute(), environment))
    return str(environments.find(stack_paths(settings.home), environment).interpreter)


def with_arrays(settings: Settings) -> Settings:
    """Return the settings with the stack's own folders for programs, and for large arrays if none is given.

    A folder of this machine serves more quickly than Redis, which keeps all in memory. So its share is small,
    unless the user has set it.
    """
    paths = stack_paths(settings.home)
    changes: dict[str, object] = {"programs": paths.programs}
    if settings.blob_url is not None:
        return settings.model_copy(update=changes)
    changes["blob_url"] = f"file://{paths.arrays}"
    if "blob_redis_limit_mb" not in settings.model_fields_set:
        changes["blob_redis_limit_mb"] = REDIS_SHARE_MB
    return settings.model_copy(update=changes)


def _variables(settings: Settings) -> dict[str, str]:
    """Return the settings that a worker of the stack takes from the command that asked for it."""
    passed = (
        "allow_volatile_redis",
        "blob_redis_limit_mb",
        "blob_url",
        "checkpoint_s",
        "lease_s",
        "max_data_gb",
        "max_epochs",
        "max_layers",
        "max_memory_gb",
        "max_record_mb",
        "max_seconds",
        "max_seeds",
        "max_weights",
        "retention_days",
        "threads",
    )
    given = with_arrays(settings).model_dump(mode="json", include=set(passed))
    return {
        f"LIKEWISE_{name.upper()}": str(value) for name, value in sorted(given.items()) if value is not None
    }


def _wanted(settings: Settings, wanted: Sequence[WorkerEnvironment]) -> Wanted:
    return Wanted(
        workers=tuple(
            WantedWorker(environment=environment, interpreter=_interpreter(settings, environment))
            for environment in wanted
        ),
        worker_code=environments.worker_fingerprint(),
        variables=_variables(settings),
        idle_minutes=settings.idle_minutes,
    )


def _ask(paths: Paths, wanted: Wanted) -> None:
    """Add to what the stack is asked for; the caller holds the client lock."""
    before = read_wanted(paths) if is_held(paths.supervisor_lock) else None
    workers = {
        worker.environment: worker for worker in (*(before.workers if before else ()), *wanted.workers)
    }
    every = wanted.model_copy(update={"workers": tuple(workers.values())})
    write_private(paths.wanted, every.model_dump_json())


def _running(paths: Paths) -> StackState | None:
    """Return the stack as it is once it is neither starting nor stopping; None where there is none."""
    deadline = time.monotonic() + STOP_S
    while is_held(paths.supervisor_lock):
        state = read_state(paths)
        if state is not None:
            return state
        if time.monotonic() > deadline:
            _end(paths, lambda _: None)  # it neither runs nor ends
            return None
        time.sleep(POLL_S)
    return None


def _start(paths: Paths, settings: Settings) -> StackState:
    from likewise.producer.local.private_redis import find_server
    from likewise.producer.local.processes import clean_environment

    find_server(paths.redis)  # tells here, in one line, that there is none
    paths.state.unlink(missing_ok=True)
    with paths.log(f"{OWN_LOG}-output").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [
                sys.executable,
                "-m",
                "likewise.producer.local.supervisor",
                os.fspath(paths.home),
                str(settings.idle_minutes),
            ],
            env={**clean_environment(), "PYTHONPATH": os.fspath(environments.PACKAGE.parent)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=paths.home,
            start_new_session=True,  # a Ctrl-C in this terminal is not for it
        )
    deadline = time.monotonic() + START_S
    while True:
        state = read_state(paths)
        if state is not None:
            # It outlives this command; without this, Python warns that it was left running.
            process.returncode = 0
            return state
        if process.poll() is not None or time.monotonic() > deadline:
            _end(paths, lambda _: None)
            process.wait()
            said = last_line(paths.log("redis")) or last_line(paths.log(OWN_LOG))
            raise StackError(
                f"the local stack did not start ({said or 'it said nothing'}); the logs are in {paths.logs}; "
                "`likewise doctor` looks closer"
            )
        time.sleep(POLL_S)


def _wait_for_workers(paths: Paths, wanted: Wanted, *, say: Say) -> StackState:
    """Wait until the stack has what was asked for, which is not asked anew: code may change meanwhile."""
    deadline = time.monotonic() + READY_S
    told = False
    before: dict[str, int] = {}  # starts that were in vain before we asked
    while True:
        state = read_state(paths)
        if state is not None and state.serves(wanted):
            return state
        _refuse_rivals(wanted, read_wanted(paths))
        missing = [
            worker.environment for worker in wanted.workers if state is None or not state.is_ready(worker)
        ]
        if missing and not told:
            say(f"starting the worker of {' and '.join(map(str, missing))}")
            told = True
        for environment in missing:
            worker = state.workers.get(environment.name) if state else None
            starts = worker.starts if worker else 0
            before[environment.name] = min(starts, before.get(environment.name, starts))
            if starts - before[environment.name] >= HOPELESS_STARTS:
                raise _not_starting(paths, environment)
        if not is_held(paths.supervisor_lock):
            raise StackError(
                f"the local stack ended while its workers were starting; the logs are in {paths.logs}"
            )
        if time.monotonic() > deadline:
            raise _not_starting(paths, missing[0] if missing else wanted.workers[0].environment)
        time.sleep(POLL_S)


def _refuse_rivals(wanted: Wanted, latest: Wanted | None) -> None:
    """Raise StackError where another command has asked for what excludes ours."""
    if latest is None:
        return
    rival = sorted(name for name, _ in set(wanted.variables.items()) ^ set(latest.variables.items()))
    if wanted.worker_code != latest.worker_code:
        rival.append("another version of the code")
    if rival:
        raise StackError(
            f"another command has asked the local stack for something else ({', '.join(rival)}); use the "
            "same in both, or give one of them a LIKEWISE_HOME of its own"
        )


def _not_starting(paths: Paths, environment: WorkerEnvironment) -> StackError:
    log = paths.log(f"worker-{environment.name}")
    return StackError(
        f"the {environment} worker does not start ({last_line(log) or 'it said nothing'}); "
        f"its log is {log}; `likewise doctor` looks closer"
    )


def _tidy(
    paths: Paths, settings: Settings, wanted: Sequence[WorkerEnvironment], state: StackState | None
) -> None:
    """Remove environments that older code needed and no worker runs from."""
    if settings.environments is not None:
        return
    environments.remove_unused(
        paths,
        needed=[environments.find(paths, environment) for environment in wanted],
        in_use=[worker.interpreter for worker in state.workers.values()] if state else [],
    )


def _end(paths: Paths, say: Say) -> bool:
    """End the supervisor, by force where need be, and whatever is left; the caller holds the client lock."""
    from likewise.producer.local.processes import STACK, mark, sweep, wait_until

    found = False
    if is_held(paths.supervisor_lock):
        found = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(paths.supervisor_pid.read_text()), number)
            if wait_until(lambda: not is_held(paths.supervisor_lock), timeout_s=STOP_S):
                break
            say("the supervisor does not end; killing it")
    found = sweep(mark(paths.home, STACK)) > 0 or found
    for leftover in (paths.state, paths.supervisor_pid, paths.wanted):
        leftover.unlink(missing_ok=True)
    return found


def _client_lock(paths: Paths, say: Say) -> AbstractContextManager[None]:
    return locked(
        paths.client_lock,
        on_wait=lambda: say(
            "another likewise command is starting or stopping the local stack; waiting for it"
        ),
    )
