"""A real container engine, the images of this checkout, and a compose project that is always removed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
Done = subprocess.CompletedProcess[str]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Engine:
    """`docker` with the environment it needs here."""

    environment: Mapping[str, str]

    def __call__(
        self, *arguments: str | Path, check: bool = True, cwd: Path = ROOT, timeout: float = 240
    ) -> Done:
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            cwd=cwd, env={**self.environment, "PWD": str(cwd)},
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of a container, an image or a network."""
        (document,) = json.loads(self("inspect", name).stdout)
        return dict(document)

    def python(self, image: str, code: str, *options: str) -> Done:
        """Run Python code in a fresh container of an image."""
        return self("run", "--rm", *options, "--entrypoint", "python", image, "-c", code, check=False)


@dataclass(frozen=True)
class Compose:
    """`docker compose` on this checkout's files, in a project of its own."""

    engine: Engine
    project: str
    files: Sequence[str] = ("docker-compose.yml",)
    variables: Mapping[str, str] = field(default_factory=dict)
    """What a file `.env` beside docker-compose.yml would say."""

    def __call__(
        self, *arguments: str | Path, check: bool = True, cwd: Path = ROOT, timeout: float = 240
    ) -> Done:
        files = [word for name in self.files for word in ("-f", ROOT / name)]
        with tempfile.NamedTemporaryFile("w", prefix="likewise-", suffix=".env") as variables:
            variables.writelines(f"{name}={value}\n" for name, value in self.variables.items())
            variables.flush()
            project = ("compose", "-p", self.project, "--env-file", variables.name, *files)
            return self.engine(*project, *arguments, check=check, cwd=cwd, timeout=timeout)

    def likewise(self, *arguments: str, check: bool = True, cwd: Path = ROOT, timeout: float = 240) -> Done:
        """A command of the producer among the containers that run, as they are."""
        run = ("run", "--rm", "-T", "--no-deps", "producer")  # -T: a test has no terminal
        return self(*run, *arguments, check=check, cwd=cwd, timeout=timeout)

    def python(self, code: str, *, timeout: float = 240) -> Done:
        """Python code in a producer's container, among the containers that run."""
        run = ("run", "--rm", "-T", "--no-deps", "--entrypoint", "python", "producer")
        return self(*run, "-c", code, timeout=timeout)

    def password(self, user: str) -> str:
        """The password of one of Redis's users, which only the service that draws them can read of all."""
        show = ("run", "--rm", "-T", "--entrypoint", "cat", "password", f"/run/likewise/{user}/password")
        return self(*show).stdout.strip()

    def containers(self, service: str) -> list[str]:
        """The ids of a service's running containers."""
        return self("ps", "-q", service).stdout.split()


def poll(what: str, ask: Callable[[], Answer | None], *, within_s: float) -> Answer:
    """Ask until there is an answer; each question starts a container, so none is asked in vain."""
    deadline = time.monotonic() + within_s
    while (answer := ask()) is None:
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
    return answer


def workers(compose: Compose) -> list[dict[str, Any]]:
    """The live workers, as the command says."""
    return list(json.loads(compose.likewise("workers", "--json").stdout)["workers"])


def wait_for_workers(compose: Compose, number: int) -> list[dict[str, Any]]:
    """Wait until so many have announced themselves, which is long before the engine asks for their health."""

    def there() -> list[dict[str, Any]] | None:
        live = workers(compose)
        return live if len(live) == number else None

    return poll(f"{number} workers are live", there, within_s=120)


def _why_not() -> str | None:
    """Why no container engine can be used, or None."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except FileNotFoundError:
            return "docker is not installed"
        if done.returncode:
            return f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()[-200:]}"
    return None


@pytest.fixture(scope="session")
def engine(unavailable: Callable[[str], NoReturn]) -> Engine:
    """The engine; without one these tests are skipped, except in CI, where they fail."""
    if reason := _why_not():
        unavailable(f"no container engine: {reason}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE_")}
    buildx = subprocess.run(["docker", "buildx", "version"], capture_output=True, timeout=60, check=False)
    if buildx.returncode:
        environment |= {"DOCKER_BUILDKIT": "0", "COMPOSE_BAKE": "false"}  # only the classic builder is there
    return Engine(environment)


@pytest.fixture(scope="session")
def images(engine: Engine) -> dict[str, str]:
    """By service, the image of this checkout, built."""
    compose = Compose(engine, "likewise-test-build")
    compose("--profile", "*", "build", timeout=1200)
    services = json.loads(compose("--profile", "*", "config", "--format", "json").stdout)["services"]
    return {name: service["image"] for name, service in services.items() if "build" in service}


@contextmanager
def project(engine: Engine, *files: str, variables: Mapping[str, str] | None = None) -> Iterator[Compose]:
    """A project in which nothing runs yet; its containers, networks and volumes are removed at the end."""
    name = f"likewise-test-{uuid.uuid4().hex[:8]}"
    compose = Compose(engine, name, ("docker-compose.yml", *files), variables or {})
    try:
        yield compose
    finally:
        compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


@pytest.fixture(scope="module")
def compose(engine: Engine, images: Mapping[str, str]) -> Iterator[Compose]:
    """The project of a test file, of docker-compose.yml as it is."""
    assert images
    with project(engine) as made:
        yield made
