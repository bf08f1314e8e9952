"""Commands as a user runs them, in processes of their own, on the session's Redis."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(redis_server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a command that uses the session's Redis."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PYTHONPATH": str(ROOT),
        "LIKEWISE_REDIS_URL": redis_server.url,
    }


@pytest.fixture(scope="module")
def likewise(environment: dict[str, str], session_worker: Callable[[str], Any]) -> Command:
    """Runs a command to its end, with a worker of each framework there."""
    session_worker("tensorflow")
    session_worker("torch")

    def run(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "producer", *words], input=stdin, capture_output=True, text=True,
            env=environment, timeout=180, check=False,
        )  # fmt: skip

    return run
