"""What workers run in: the virtual environments of the frameworks, and a folder with the workers' code.

A virtual environment is keyed by everything that decides what is in it (requirement files, Python, machine),
so a changed requirement makes a new one beside the old. It is complete once its marker, written last,
is there; anything else in its place is a half-made one and is made again. (It cannot be made elsewhere
and renamed: a virtual environment's scripts hold their own path.)

The producer's site-packages must not reach the workers, so their PYTHONPATH is a folder that holds nothing
but a package `likewise` of three links. What they lead to is found by place and never imported.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import likewise
from likewise.producer.display import did_you_mean
from likewise.producer.local.home import Paths, WorkerEnvironment, hold, locked, write_private
from likewise.producer.local.installers import steps
from likewise.producer.local.packages import ADAPTER_SUFFIX, Packages, packages_of
from likewise.producer.local.processes import INSTALLER, mark, sweep
from likewise.producer.local.versions import missing_version
from likewise.shared.errors import StackError, UsageError
from likewise.shared.frozen import Frozen
from likewise.shared.names import kind_of

PACKAGE = Path(likewise.__file__).resolve().parent
"""The package `likewise`, in a checkout or in site-packages: `shared`, `worker` and `producer` are in it."""
WORKER_PARTS = ("__init__.py", "shared", "worker")
ADAPTERS = PACKAGE / "worker" / "adapters"
CODE_SUFFIXES = (".py", ".lua")

MARKER = "likewise.json"
LAYOUT = 1
"""Raised when environments made before would no longer do."""


class Made(Frozen):
    """What a complete virtual environment says of itself."""

    framework: str
    device: str
    version: str | None = None
    requirements: tuple[str, ...] = ()
    made_s: float
    """When it was made, in seconds since 1970."""
    took_s: float
    size_bytes: int

    @property
    def environment(self) -> WorkerEnvironment:
        """Return what it was made for."""
        return WorkerEnvironment(**self.model_dump(include=set(WorkerEnvironment.model_fields)))


@dataclass(frozen=True, kw_only=True)
class VirtualEnvironment:
    """An environment's place on this disk, made or not."""

    environment: WorkerEnvironment
    folder: Path
    packages: Packages

    @property
    def interpreter(self) -> Path:
        """Return the path of its Python."""
        return self.folder / "bin" / "python"

    @property
    def lock(self) -> Path:
        """Return the lock that is held while it is made or removed."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    def made(self) -> Made | None:
        """Return what it says of itself; None where it is not complete."""
        return _made(self.folder)


def _made(folder: Path) -> Made | None:
    try:
        return Made.model_validate_json((folder / MARKER).read_bytes())
    except (OSError, ValueError):
        return None


def find(paths: Paths, environment: WorkerEnvironment, *, adapters: Path = ADAPTERS) -> VirtualEnvironment:
    """Return the virtual environment that this code needs. Raises UsageError for an unknown framework."""
    prefix = f"{environment.framework}-{kind_of(environment.device)}"
    packages = packages_of(environment, adapters, paths.environments)
    if packages is None:
        known = known_frameworks()
        where = "" if environment.device == "cpu" else f" on {environment.device}"
        raise UsageError(
            f"{environment.framework} is no framework that Likewise can train in{where} "
            f"({did_you_mean(environment.framework, known)}); an adapter for another is a package of its "
            "own, which CONTRIBUTING.md shows"
        )
    python = (sys.version_info[:2], sys.implementation.cache_tag, sys.platform, platform.machine())
    digest = hashlib.sha256(repr((LAYOUT, *python)).encode())
    for text in packages.contents():
        digest.update(text.encode() + b"\0")
    folder = paths.environments / f"{prefix}-{digest.hexdigest()[:12]}"
    return VirtualEnvironment(environment=environment, folder=folder, packages=packages)


def ready_made(folder: Path, environment: WorkerEnvironment) -> Path:
    """Return the interpreter of an environment that someone else keeps.

    Raises StackError where it is missing.
    """
    interpreter = folder / environment.name / "bin" / "python"
    if not interpreter.exists():
        raise StackError(
            f"LIKEWISE_ENVIRONMENTS is {folder}, which has no {environment.name}/bin/python; make that "
            "environment, or unset the variable to have one made"
        )
    return interpreter


def ensure(wanted: Sequence[VirtualEnvironment], paths: Paths, *, say: Callable[[str], None]) -> None:
    """Make those that are not complete, all at once, with visible progress.

    A second command that needs the same one waits for the first. Raises StackError with the way out.
    """
    paths.make()
    with ExitStack() as held:
        missing = []
        for _, one in sorted({one.folder: one for one in wanted}.items()):
            if one.made():
                continue
            waiting = f"another likewise command is making the {one.environment} environment; waiting for it"
            held.enter_context(locked(one.lock, on_wait=lambda said=waiting: say(said)))  # type: ignore[misc]
            if not one.made():  # another command may have finished it while we waited
                missing.append(one)
        if missing:
            _make(missing, paths, say)


def remove_unused(paths: Paths, *, needed: Sequence[VirtualEnvironment], in_use: Sequence[str]) -> list[Path]:
    """Remove what an older version of `needed` left behind; return what went.

    `in_use` are the interpreters of running workers, whose environments stay, and so do those that were made
    for anything else.
    """
    removed = []
    for one in needed:
        if not one.made():
            continue
        for folder in paths.environments.glob(
            f"{one.environment.framework}-{kind_of(one.environment.device)}-*"
        ):
            used = any(Path(interpreter).is_relative_to(folder) for interpreter in in_use)
            if folder == one.folder or used or not folder.is_dir():
                continue
            made = _made(folder)
            if made is not None and made.environment != one.environment:
                continue
            lock = folder.with_name(f"{folder.name}.lock")
            handle = hold(lock)
            if handle is None:
                continue
            try:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)
            finally:
                os.close(handle)
            removed.append(folder)
    return removed


def _make(missing: Sequence[VirtualEnvironment], paths: Paths, say: Callable[[str], None]) -> None:
    from likewise.producer.local.installing import Installation, install

    names = " and ".join(str(one.environment) for one in missing)
    say(f"making the environment of {names}, once; the log is in {paths.logs}")
    began = time.monotonic()
    by_name = {one.environment.name: one for one in missing}
    installations = []
    for name, one in by_name.items():
        if one.folder.exists():
            sweep(mark(one.folder, INSTALLER))  # an installer that survived its command
            shutil.rmtree(one.folder)
        one.packages.write()
        installations.append(
            Installation(
                name=name,
                folder=one.folder,
                steps=steps(one.folder, one.packages),
                log=paths.log(f"environment-{name}"),
                missing=lambda asked=one.environment: missing_version(asked, ADAPTERS),  # type: ignore[misc]
            )
        )

    def finish(installation: Installation) -> None:
        one = by_name[installation.name]
        marker = Made(
            **one.environment.model_dump(),
            made_s=time.time(),
            took_s=round(time.monotonic() - began, 3),
            size_bytes=installation.size_bytes(),
        )
        # Without what is as usual, so that an older Likewise can read it too.
        write_private(one.folder / MARKER, marker.model_dump_json(exclude_defaults=True))

    install(installations, on_finished=finish, say=say)


def known_frameworks() -> list[str]:
    """Return the frameworks: whatever folder `worker/adapters/<name>_adapter` exists for."""
    return sorted(
        folder.name.removesuffix(ADAPTER_SUFFIX)
        for folder in ADAPTERS.glob(f"*{ADAPTER_SUFFIX}")
        if folder.is_dir()
    )


def worker_fingerprint() -> str:
    """Return a word that changes when the code that workers run does."""
    return _fingerprint([PACKAGE / "shared", PACKAGE / "worker"])


def stack_fingerprint() -> str:
    """Return a word that changes when the code that the supervisor runs does."""
    return _fingerprint([PACKAGE / "shared", PACKAGE / "producer" / "local"])


def link_worker_code(folder: Path) -> None:
    """Make `folder` hold what workers import of `likewise`, as links, replacing those to another checkout."""
    package = folder / PACKAGE.name
    package.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in WORKER_PARTS:
        link, target = package / name, PACKAGE / name
        if link.is_symlink() and Path(os.readlink(link)) == target:
            continue
        fresh = package / f".{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        os.replace(fresh, link)


def whole_fingerprint() -> str:
    """Return a hash of all of Likewise's code."""
    return _fingerprint([PACKAGE / "shared", PACKAGE / "producer", PACKAGE / "worker"])


def _fingerprint(packages: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(file for file in package.rglob("*") if file.suffix in CODE_SUFFIXES):
            digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes() + b"\0")
    # Two checkouts with the same text are still two places to import from.
    digest.update(str(PACKAGE).encode())
    return digest.hexdigest()[:16]
