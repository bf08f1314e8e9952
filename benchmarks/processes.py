"""Processes that the benchmarks start: any, and a Redis of their own. Imports no producer and no worker."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from likewise.shared.connection import connect
from likewise.shared.errors import RedisError

READY_S = 120.0


@contextmanager
def private_redis() -> Iterator[str]:
    """A redis-server with a password and an append-only file; its URL."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("there is no redis-server on PATH")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_hex(8)
    with tempfile.TemporaryDirectory() as folder:
        words = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--appendonly", "yes",
                 "--save", "", "--dir", folder]  # fmt: skip
        with process([program, *words], {}):
            url = f"redis://:{password}@127.0.0.1:{port}/0"
            until(lambda: _reachable(url))
            yield url


def _reachable(url: str) -> bool:
    try:
        connect(url).close()
    except RedisError:
        return False
    return True


@contextmanager
def process(words: Sequence[str], settings: dict[str, str]) -> Iterator[None]:
    """A process that ends with the block."""
    started = subprocess.Popen(
        words, env=clean() | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        started.terminate()
        started.wait(timeout=60)


def clean() -> dict[str, str]:
    """The environment without settings of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")}


def until(reached: Callable[[], bool]) -> None:
    """Wait for a condition. Raises TimeoutError."""
    end = time.monotonic() + READY_S
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"not ready within {READY_S:.0f} s")
        time.sleep(0.05)
