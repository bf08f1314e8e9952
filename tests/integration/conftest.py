"""Commands as a user runs them, in processes of their own, on the session's Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(
    redis_server: Any, tmp_path_factory: pytest.TempPathFactory, programs_folder: Path
) -> dict[str, str]:
    """Of a command that uses the session's Redis."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PYTHONPATH": str(ROOT),
        "LIKEWISE_REDIS_URL": redis_server.url_of("producer"),
        "LIKEWISE_PROGRAMS": str(programs_folder),
    }


@pytest.fixture(scope="module")
def likewise(environment: dict[str, str], session_worker: Callable[[str], Any]) -> Command:
    """Runs a command to its end, with a worker of each framework there."""
    session_worker("tensorflow")
    session_worker("torch")

    def run(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "likewise.producer", *words], input=stdin, capture_output=True, text=True,
            env=environment, timeout=180, check=False,
        )  # fmt: skip

    return run


class Started(subprocess.Popen[str]):
    """A command that runs on while it is watched."""

    def heard(self, word: str) -> list[str]:
        """Waits until the command says it on standard error; all it said by then."""
        said: list[str] = []
        assert self.stderr is not None
        for line in self.stderr:
            said.append(line)
            if word in line:
                return said
        raise AssertionError(f"{word!r} was never said, only {said}")


@pytest.fixture
def start(environment: dict[str, str], likewise: Command) -> Iterator[Callable[..., Started]]:  # noqa: ARG001
    """Starts a command that is ended with the test; the workers are there."""
    started: list[Started] = []

    def begin(*words: str) -> Started:
        started.append(
            Started(
                [sys.executable, "-m", "likewise.producer", *words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                process_group=0,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture(scope="module")
def document(likewise: Command) -> Callable[..., Any]:
    """What a command says as JSON."""

    def said(*words: str) -> Any:
        answer = likewise(*words, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return said
