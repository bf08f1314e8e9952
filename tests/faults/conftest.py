"""A network that can be made worse, workers that train in NumPy, and the faults of a training."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.network import Proxy

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = ":".join(str(ROOT / "tests" / name) for name in ("third_adapter", "faulty_adapter"))
"""Adapters of the tests: `numpy`, and `faulty`, which does what the job's name says."""

for _name in ("NUMPY", "FAULTY"):
    os.environ[f"LIKEWISE_TEST_PYTHON_{_name}"] = sys.executable


class Stack:
    """A Redis of its own with a producer, and workers that end with it."""

    def __init__(self, server: Any, folder: Path) -> None:
        from tests.conftest import Desk

        self.server = server
        self.desk = Desk(server.url, server.url_of("producer"))
        self.folder = folder
        self.workers: list[Any] = []

    def worker(self, framework: str = "faulty", **settings: str) -> Any:
        """Start a worker, with the rights of one; it has a folder of its own."""
        from tests.conftest import WorkerProcess

        given = {"PYTHONPATH": f"{ROOT}:{ADAPTERS}", **settings}
        folder = self.folder / f"worker-{len(self.workers)}"
        self.workers.append(WorkerProcess(framework, self.server.url_of("worker"), folder, **given))
        return self.workers[-1]

    def submit(self, name: str = "plain", **changes: Any) -> Any:
        """Submit a job of that name, which is what `faulty` does."""
        return self.desk.submit(frameworks=("faulty",), name=name, queue_anyway=True, **changes)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.desk.close()


@pytest.fixture
def start_stack(start_redis: Any, tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """Starts stacks that end with the test."""
    stacks: list[Stack] = []

    def start(**options: Any) -> Stack:
        stacks.append(Stack(start_redis(**options), tmp_path / f"stack-{len(stacks)}"))
        return stacks[-1]

    yield start
    for stack in stacks:
        stack.close()


@pytest.fixture(scope="module")
def stack(start_redis: Any, tmp_path_factory: Any) -> Iterator[Stack]:
    """A stack that the tests of a module share."""
    shared = Stack(start_redis(), tmp_path_factory.mktemp("stack"))
    yield shared
    shared.close()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[Any], Proxy]]:
    """Proxies to a Redis that end with the test."""
    proxies: list[Proxy] = []

    def start(server: Any) -> Proxy:
        proxies.append(Proxy(server.url))
        return proxies[-1]

    yield start
    for one in proxies:
        one.close()
