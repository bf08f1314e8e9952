"""The frameworks' virtual environments: which are needed, where they lie, which are complete.

An environment is keyed by everything that decides what is in it (requirement files, Python, machine),
so a changed requirement makes a new one beside the old. It is complete once its marker, written last,
is there; anything else in its place is a half-made one and is made again. (It cannot be made elsewhere
and renamed: a virtual environment's scripts hold their own path.)
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from producer.local.code import ADAPTER_SUFFIX, ADAPTERS, known_frameworks
from producer.local.installation import Installation
from producer.local.parallel_install import install
from producer.local.paths import Paths, write_private
from producer.local.processes import INSTALLER, mark, sweep
from shared.errors import StackError, UsageError
from shared.frozen import Frozen

VARIANTS = {"cpu": "cpu", "cuda": "gpu"}
"""By device: the word in the requirement files' names."""

MARKER = "likewise.json"
LAYOUT = 1
"""Raised when environments made before would no longer do."""


class Made(Frozen):
    """What a complete environment says of itself."""

    framework: str
    device: str
    made_s: float
    """Seconds since 1970."""
    took_s: float
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One framework's environment, made or not."""

    framework: str
    device: str
    folder: Path
    wheels: Path | None
    """Requirements that come from an index of their own; installed first, without dependencies."""
    requirements: Path
    constraints: Path

    @property
    def interpreter(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    @property
    def lock(self) -> Path:
        """Held while it is made or removed."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    def made(self) -> Made | None:
        """What it says of itself; None where it is not complete."""
        try:
            return Made.model_validate_json((self.folder / MARKER).read_bytes())
        except (OSError, ValueError):
            return None


def find(paths: Paths, framework: str, *, device: str = "cpu", adapters: Path = ADAPTERS) -> Environment:
    """The environment that this code needs for a framework. Raises UsageError for an unknown one."""
    folder = adapters / f"{framework}{ADAPTER_SUFFIX}"
    variant = VARIANTS[device]
    requirements = folder / f"requirements-{variant}.txt"
    if not requirements.exists():
        known = ", ".join(known_frameworks())
        raise UsageError(f"no framework {framework!r} for device {device!r}; there are: {known}")
    wheels = folder / f"wheels-{variant}.txt"
    constraints = adapters.parent / "constraints.txt"
    files = [file for file in (wheels, *_with_included(requirements), constraints) if file.exists()]
    digest = hashlib.sha256(
        repr(
            (LAYOUT, sys.version_info[:2], sys.implementation.cache_tag, sys.platform, platform.machine())
        ).encode()
    )
    for file in files:
        digest.update(file.read_bytes() + b"\0")
    return Environment(
        framework=framework,
        device=device,
        folder=paths.environments / f"{framework}-{device}-{digest.hexdigest()[:12]}",
        wheels=wheels if wheels.exists() else None,
        requirements=requirements,
        constraints=constraints,
    )


def ready_made(folder: Path, framework: str) -> Path:
    """The interpreter of an environment that someone else keeps. Raises StackError where it is missing."""
    interpreter = folder / framework / "bin" / "python"
    if not interpreter.exists():
        raise StackError(
            f"LIKEWISE_ENVIRONMENTS is {folder}, which has no {framework}/bin/python; make that environment, "
            "or unset the variable to have one made"
        )
    return interpreter


def ensure(environments: Sequence[Environment], paths: Paths, *, say: Callable[[str], None]) -> None:
    """Make those that are not complete, all at once, with visible progress.

    A second command that needs the same one waits for the first. Raises StackError with the way out.
    """
    paths.make()
    with ExitStack() as held:
        missing = []
        for environment in sorted(environments, key=lambda environment: environment.folder):
            if environment.made():
                continue
            held.enter_context(_locked(environment, say))
            if not environment.made():  # another command may have finished it while we waited
                missing.append(environment)
        if missing:
            _make(missing, paths, say)


def remove_unused(paths: Paths, *, needed: Sequence[Environment], in_use: Sequence[str]) -> list[Path]:
    """Remove environments that an older version of `needed` left behind; returns what went.

    `in_use` are the interpreters of running workers, whose environments stay.
    """
    removed = []
    for environment in needed:
        if not environment.made():
            continue
        for folder in paths.environments.glob(f"{environment.framework}-{environment.device}-*"):
            used = any(Path(interpreter).is_relative_to(folder) for interpreter in in_use)
            if folder == environment.folder or used or not folder.is_dir():
                continue
            lock = folder.with_name(f"{folder.name}.lock")
            with _try_lock(lock) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)
                    lock.unlink(missing_ok=True)
                    removed.append(folder)
    return removed


def _make(missing: Sequence[Environment], paths: Paths, say: Callable[[str], None]) -> None:
    names = " and ".join(environment.framework for environment in missing)
    say(f"making the environment of {names}, once; pip's log is in {paths.logs}")
    began = time.monotonic()
    installations = []
    for environment in missing:
        if environment.folder.exists():
            sweep(mark(environment.folder, INSTALLER))  # a pip that survived its command
            shutil.rmtree(environment.folder)
        installations.append(
            Installation(
                name=environment.framework,
                folder=environment.folder,
                wheels=environment.wheels,
                requirements=environment.requirements,
                constraints=environment.constraints,
                log=paths.log(f"environment-{environment.framework}"),
            )
        )
    by_name = {environment.framework: environment for environment in missing}

    def finish(installation: Installation) -> None:
        environment = by_name[installation.name]
        marker = Made(
            framework=environment.framework,
            device=environment.device,
            made_s=time.time(),
            took_s=round(time.monotonic() - began, 3),
            size_bytes=installation.size_bytes(),
        )
        write_private(environment.folder / MARKER, marker.model_dump_json())

    install(installations, on_finished=finish, say=say)


@contextmanager
def _locked(environment: Environment, say: Callable[[str], None]) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(environment.lock)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        say(f"another likewise command is making the {environment.framework} environment; waiting for it")
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    import filelock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _with_included(requirements: Path) -> list[Path]:
    """A requirement file and those it includes with `-r`."""
    included = [
        (requirements.parent / line.split(maxsplit=1)[1].strip()).resolve()
        for line in requirements.read_text().splitlines()
        if line.startswith("-r ")
    ]
    return [requirements, *included]
