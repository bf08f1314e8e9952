"""Stacks of the tests' own: a private home each, which is empty of processes when the test ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from likewise.producer.local import client, devices
from likewise.producer.local.home import Paths, StackState
from likewise.producer.local.processes import INSTALLER, STACK, leftovers, mark, sweep
from likewise.shared.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "LIKEWISE_TEST_PYTHON_"


class Home:
    """One home's stack, as commands in this process and in others see it."""

    def __init__(self, folder: Path, environments: Path | None = None) -> None:
        self.paths = Paths(folder)
        self.environments = environments
        self.said: list[str] = []
        self.started: list[subprocess.Popen[str]] = []
        self.settings = Settings(home=folder, environments=environments, device="cpu")

    def up(self, *frameworks: str, patiently: bool = False, **settings: Any) -> str:
        """As a command would; the Redis's URL."""
        self.settings = self.settings.model_copy(update=settings)
        wanted = devices.defaults(self.settings, frameworks)
        return client.ensure(self.settings, wanted, say=self.said.append, patiently=patiently)

    def down(self) -> bool:
        return client.stop(self.settings, say=self.said.append)

    @property
    def state(self) -> StackState:
        state = client.status(self.settings)
        assert state is not None
        return state

    def is_up(self) -> bool:
        return client.is_up(self.settings)

    def processes(self) -> list[str]:
        """Every living process of this home's stack, the supervisor's guard included."""
        found = [_command(pid) for pid in leftovers(mark(self.paths.home, STACK))]
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if str(self.paths.home) in command and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(command))
        return found

    def command(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start `likewise` with this home in another process."""
        return self.python("-m", "likewise.producer", *arguments, **changes)

    def python(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        """Start a Python of the producer's with this home."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")},
            "PYTHONPATH": str(ROOT),
            "LIKEWISE_HOME": str(self.paths.home),
            **({"LIKEWISE_ENVIRONMENTS": str(self.environments)} if self.environments else {}),
            **changes,
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={name: value for name, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.paths.home.parent,  # not the checkout, which Python would import from
            process_group=0,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End every command that was started, and the stack."""
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        self.down()

    def answer(self, *arguments: str, **changes: str) -> tuple[int, str, str]:
        """Run `likewise` to its end: exit status, stdout, stderr."""
        process = self.command(*arguments, **changes)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return str(pid)


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[Callable[..., Home]]:
    """Homes whose stacks end with the test, whatever it did to them."""
    homes: list[Home] = []

    def make(name: str = "home", environments: Path | None = None) -> Home:
        homes.append(Home(tmp_path / name, environments))
        return homes[-1]

    yield make
    for home in homes:
        home.close()
        sweep(mark(home.paths.home, STACK))
        for folder in home.paths.environments.glob("*/"):
            sweep(mark(folder, INSTALLER))


@pytest.fixture
def home(make_home: Callable[..., Home]) -> Home:
    """A home without environments."""
    return make_home()


@pytest.fixture(scope="session")
def environments(unavailable: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The frameworks' environments that the suite was given, as LIKEWISE_ENVIRONMENTS wants them."""
    folder = tmp_path_factory.mktemp("environments")
    for variable, interpreter in os.environ.items():
        if variable.startswith(PREFIX):
            (folder / variable.removeprefix(PREFIX).lower()).symlink_to(Path(interpreter).parent.parent)
    if not any(folder.iterdir()):
        unavailable(f"no {PREFIX}<FRAMEWORK> names a Python with a framework's packages")
    return folder


@pytest.fixture
def served_home(make_home: Callable[..., Home], environments: Path) -> Home:
    """A home whose workers run in the environments that the suite was given."""
    return make_home("served", environments)
