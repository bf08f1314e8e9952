"""Hosts a user's program for a producer that asks it: a process of its own, and bytes to and from Redis.

The program has its own process (`worker.port`), so that whatever it does to that ends the program alone:
an exit, a hang, more memory than there is. What it prints goes to this worker's log. Nothing of a message is
read here.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import redis

from likewise.shared.errors import RedisError
from likewise.shared.ledger.leases import Claim
from likewise.shared.limits import GB
from likewise.shared.names import answers_key, asker_key, questions_key
from likewise.shared.port.wire import PROGRAM_FAILED
from likewise.shared.results.run_result import Failure, RunResult
from likewise.shared.run import HostedRun
from likewise.shared.settings import Settings
from likewise.shared.store.streams import PIECE_BYTES, RedisStream
from likewise.worker.service.claimed_run import RunLink
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.stock import read_program

said = logging.getLogger("likewise.program")
"""Programs' prints are written here."""
said.setLevel(logging.INFO)

LOOK_S = 0.1
MOST_LINES = 2_000
"""The log takes so many lines that a program prints; the rest are counted."""
LONGEST_LINE = 2_000
SLOWER = 4
"""The first answer, before which it is imported, may take so many times as long as others."""
ALONE_S = 60.0
"""A producer that was not heard of for so long is gone."""
_OURS = "LIKEWISE_"


def host_program(
    run: HostedRun,
    claim: Claim,
    *,
    client: redis.Redis,
    settings: Settings,
    most_bytes: int | None,
    link: RunLink,
) -> RunResult:
    """Host a program until its producer asks it no more; return why that ended, where it should not have."""
    failure: Failure | None = None
    try:
        if claim.attempt > 1:  # what was asked of it died with its process
            raise TrainingError("worker_lost", "The worker that hosted the program is gone")
        program = HostedProgram(run, client=client, settings=settings, most_bytes=most_bytes)
        program.carry_out(link)
    except TrainingError as error:
        failure = error.failure()
    return RunResult(
        run_id=run.run_id,
        experiment_id=run.experiment_id,
        framework=run.framework,
        side=run.side,
        status="failed" if failure else "succeeded",
        failure=failure,
    )


class HostedProgram:
    """One program in a process of its own, until it is asked no more."""

    def __init__(
        self,
        run: HostedRun,
        *,
        client: redis.Redis,
        settings: Settings,
        most_bytes: int | None,
    ) -> None:
        """Start it. Raises TrainingError (`program_refused`) where its files are not what the run names."""
        for file in run.files:
            read_program(file, settings.programs)
        for one in run.data:
            read_program(one, settings.programs)
        self._run = run
        self._client = client
        self._hang_s = settings.hang_s
        self._most_bytes = most_bytes
        self._asked_s: float | None = None
        """Since when it owes an answer; None while it waits for a question."""
        self._answers = 0
        """How many pieces of answers it has given."""
        self._heard_s = time.monotonic()
        self._ended = threading.Event()
        """Whether it is asked no more, or has said its last."""
        self._last_line = ""
        folder = Path(settings.programs or "").resolve()
        hashes = json.dumps({one.file: one.sha256 for one in run.files})
        self._process = subprocess.Popen(  # noqa: S603 -- the worker's own Python
            [sys.executable, "-m", "likewise.worker.port", run.framework, "--only", str(folder), hashes],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            start_new_session=True,
        )

    @property
    def standing(self) -> str:
        """Return what it does now, in words."""
        return f"{self._run.files[0].file} " + (
            "works on a question" if self._asked_s else "is asked nothing"
        )

    def carry_out(self, link: RunLink) -> None:
        """Answer until the producer ends it, or cancels the run. Raises TrainingError."""
        threads = [
            threading.Thread(target=one, name=one.__name__, daemon=True)
            for one in (self._feed, self._read, self._write_log)
        ]
        for thread in threads:
            thread.start()
        try:
            while self._process.poll() is None:
                link.alive(self.standing)
                if link.stop_requested():
                    raise TrainingError("cancelled", "Cancelled while its program was hosted")
                self._refuse_what_cannot_go_on()
                self._ended.wait(LOOK_S)
                if self._ended.is_set():
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(LOOK_S)
        finally:
            self._ended.set()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for thread in threads:
                thread.join(timeout=5)
        self._judge(self._process.returncode)

    def _refuse_what_cannot_go_on(self) -> None:
        now = time.monotonic()
        most_s = self._hang_s * (1 if self._answers else SLOWER)
        if self._asked_s is not None and now - self._asked_s > most_s:
            raise TrainingError(
                "hung", f"The program has not answered for {most_s:g} s (LIKEWISE_HANG_S); it was ended"
            )
        held = _resident_bytes(self._process.pid)
        if self._most_bytes is not None and held > self._most_bytes:
            raise TrainingError(
                "out_of_memory",
                f"The program took {held / GB:.1f} GB of the {self._most_bytes / GB:.1f} GB that its "
                "worker has (LIKEWISE_MAX_MEMORY_GB); it was ended",
            )
        if now - self._heard_s > ALONE_S and self._asked_s is None:
            with suppress(RedisError):
                if not self._client.exists(asker_key(self._run.run_id)):
                    raise TrainingError("cancelled", "Who asked is gone")
                self._heard_s = now

    def _judge(self, status: int) -> None:
        """Raise TrainingError where the process has ended otherwise than it should."""
        if status == 0:
            return
        if status == PROGRAM_FAILED:
            raise TrainingError("program_failed", self._last_line)
        if status == -signal.SIGKILL:
            raise TrainingError(
                "out_of_memory", "The program was killed (SIGKILL), as the kernel does where memory runs out"
            )
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        last = f"; the last that it said: {self._last_line}" if self._last_line else ""
        raise TrainingError("program_failed", f"The program ended its process {how}{last}")

    # ---- threads

    def _feed(self) -> None:
        """Take questions to the program until they end."""
        stdin, pieces = self._process.stdin, self._pieces(questions_key(self._run.run_id))
        while stdin is not None and not self._ended.is_set():
            try:
                piece = pieces.pop()
            except RedisError:  # it comes back, or the producer gives up
                time.sleep(LOOK_S)
                continue
            if piece is None:
                continue
            self._heard_s = time.monotonic()
            if not piece:
                break
            self._asked_s = self._heard_s
            try:
                stdin.write(piece)
                stdin.flush()
            except OSError:  # the process is gone
                return
        if stdin is not None:
            with suppress(OSError):
                stdin.close()
        self._ended.set()

    def _read(self) -> None:
        """Take answers to Redis for as long as the program gives any."""
        stdout, pieces = self._process.stdout, self._pieces(answers_key(self._run.run_id))
        while stdout is not None and (piece := stdout.read1(PIECE_BYTES)):  # type: ignore[attr-defined]
            self._asked_s = None
            self._answers += 1
            while not self._ended.is_set():
                try:
                    pieces.push(piece)
                    break
                except RedisError:
                    time.sleep(LOOK_S)

    def _write_log(self) -> None:
        """Write what the program prints into the worker's log."""
        lines = 0
        for raw in self._process.stderr or ():
            line = raw[:LONGEST_LINE].decode(errors="replace").rstrip()
            if line:
                self._last_line = line
            lines += 1
            if lines <= MOST_LINES:
                said.info("%s: %s", self._run.files[0].file, line)
        if lines > MOST_LINES:
            said.warning("%s: %d lines more", self._run.files[0].file, lines - MOST_LINES)

    def _pieces(self, key: str) -> RedisStream:
        return RedisStream(self._client, key, check=self._check)

    def _check(self) -> None:
        if self._ended.is_set():
            raise RedisError("the program has ended")


def _resident_bytes(pid: int) -> int:
    """Return what a process holds in memory; 0 where nobody tells."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
