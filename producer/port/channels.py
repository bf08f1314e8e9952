"""The ways to a program that is hosted: a pipe to a process of this machine, or Redis to a worker's."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from likewise.producer.runs.routing import Need, refuse_unserved
from likewise.producer.runs.submit import new_id
from likewise.producer.session import Session
from likewise.shared.celery_app import send_wakeups
from likewise.shared.errors import NoWorkerError, RedisError, UsageError
from likewise.shared.names import answers_key, asker_key, questions_key
from likewise.shared.port.wire import receive, send
from likewise.shared.run import HostedRun, ProgramData, ProgramFile
from likewise.shared.store.streams import RedisStream

Arrays = dict[str, NDArray[Any]]
_LAST_LINES = 5
_ALIVE_EVERY_S, _ALIVE_FOR_S = 5, 40
_END_S = 10.0
"""How long a program may take to end once it is asked no more."""


class ProgramEndedError(Exception):
    """The program's process is gone, with all that is known of why."""


class Channel(Protocol):
    """Carries questions to a program and answers back."""

    @property
    def where(self) -> str:
        """Return where its process is."""

    def ask(
        self, question: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, Any], Arrays]:
        """Return the answer to a question. Raises ProgramEndedError."""

    def close(self) -> None:
        """Ask no more, and wait until the process has ended."""


class Pipe:
    """A process on this machine, in a Python of the user's or of the local stack's."""

    where = "this machine"

    def __init__(self, framework: str, interpreter: Path, code: Path) -> None:
        """Start it. `code` is the folder of Likewise's own packages."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with the process
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self._process = subprocess.Popen(  # noqa: S603 -- the environment's own Python
            [str(interpreter), "-m", "likewise.worker.port", framework],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={
                **environment,
                "PYTHONPATH": str(code),
                "PYTHONDONTWRITEBYTECODE": "1",  # a program may be edited twice in a second
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
        )

    def ask(
        self, question: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, Any], Arrays]:
        """Return the answer to a question. Raises ProgramEndedError."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ProgramEndedError("the process has no pipes")
        try:
            send(stdin, question, arrays)
            return receive(stdout)
        except (EOFError, BrokenPipeError, ValueError):
            raise ProgramEndedError(f"the program ended its process{self._said()}") from None

    def close(self) -> None:
        """Close the pipes and wait until the process has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # the process is gone
                    pipe.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def _said(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = [line for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        told = " / ".join(lines[-_LAST_LINES:])
        return f" (status {status}){f': {told[-600:]}' if told else ''}"


@dataclass(kw_only=True)
class WorkerHosts:
    """The programs that workers host for one command: those that wait must not wait for one another."""

    session: Session
    tell: Callable[[str], None]
    runs: set[str] = field(default_factory=set)

    def channel(
        self, need: Need, files: Sequence[ProgramFile], *, data: Sequence[ProgramData] = ()
    ) -> QueueChannel:
        """Queue a program; a worker takes it soon. Raises NoWorkerError where none lives that could."""
        workers = self.session.ledger.workers()
        refuse_unserved([need], workers)
        run = HostedRun(
            run_id=new_id(),
            framework=need.framework,
            side=need.label,
            files=tuple(files),
            data=tuple(data),
        )
        lane = self.session.ledger.host(run, need.settled(workers).queue())
        self.runs.add(run.run_id)
        channel = QueueChannel(self, run, need)
        with suppress(RedisError):
            send_wakeups(self.session.app, [(run.run_id, lane)])
        return channel


class QueueChannel:
    """A program that a worker hosts; its questions and answers go through Redis in pieces."""

    def __init__(self, hosts: WorkerHosts, run: HostedRun, need: Need) -> None:
        self._hosts, self._run, self._need = hosts, run, need
        self._client, self._ledger = hosts.session.client, hosts.session.ledger
        self._questions = RedisStream(self._client, questions_key(run.run_id), check=self._check)
        self._answers = RedisStream(self._client, answers_key(run.run_id), check=self._check)
        self._waits = False
        self._closed = threading.Event()
        threading.Thread(target=self._stay, name="asker", daemon=True).start()

    def ask(
        self, question: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> tuple[dict[str, Any], Arrays]:
        """Return the answer to a question. Raises ProgramEndedError."""
        try:
            send(self._questions, question, arrays)
            return receive(self._answers)
        except (EOFError, ValueError):
            self._end()
            self._check()
            raise ProgramEndedError("its worker has sent half an answer") from None

    @property
    def where(self) -> str:
        """Return which worker hosts it."""
        (record,) = self._ledger.records([self._run.run_id]) or (None,)
        return "no worker" if record is None or record.worker is None else record.worker

    def close(self) -> None:
        """Let the worker end the program, and forget the run."""
        self._closed.set()
        with suppress(RedisError, UsageError):
            (record,) = self._ledger.records([self._run.run_id]) or (None,)
            if record is not None and record.attempt == 0:
                self._ledger.cancel(self._run.run_id)  # its message still waits, so its record stays
            else:
                self._end()
                self._ledger.forget_hosted(self._run.run_id)
        self._hosts.runs.discard(self._run.run_id)

    def _end(self) -> None:
        """End the questions, and wait until the run is final."""
        until = time.monotonic() + _END_S
        self._client.lpush(questions_key(self._run.run_id), b"")
        while time.monotonic() < until:
            (record,) = self._ledger.records([self._run.run_id]) or (None,)
            if record is None or record.final:
                return
            time.sleep(0.02)
        self._ledger.cancel(self._run.run_id)

    def _stay(self) -> None:
        """Say that whoever asks is there."""
        while True:
            with suppress(RedisError):
                self._client.set(asker_key(self._run.run_id), "1", ex=_ALIVE_FOR_S)
            if self._closed.wait(_ALIVE_EVERY_S):
                return

    def _check(self) -> None:
        """Raise where no answer will come: the run is over, or no worker will take it."""
        (record,) = self._ledger.records([self._run.run_id]) or (None,)
        if record is None:
            raise ProgramEndedError("its run is gone from Redis")
        if record.final:
            why = record.failure.message if record.failure else "its worker has ended it"
            raise ProgramEndedError(why)
        if record.state != "queued":
            return
        workers = [one for one in self._ledger.workers() if self._need.met_by(one)]
        if not workers:
            raise NoWorkerError(f"no live worker hosts {self._need} any more")
        if all(one.run_id in self._hosts.runs for one in workers):
            raise NoWorkerError(
                f"every worker for {self._need} hosts another side of this; start one for each side"
            )
        if not self._waits:
            self._waits = True
            self._hosts.tell(f"{self._run.side}: waiting for a worker of {self._need}")
