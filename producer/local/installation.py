"""Making one virtual environment: the steps, one process at a time, and what they say on the way.

pip's `--progress-bar raw` gives the bytes of the file it fetches; the packages that it announces, compared
with those already on disk, give the rest. Totals that nobody knows are not shown. `parallel_install` drives
several at once.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from producer.local.failures import explain
from producer.local.processes import INSTALLER, clean_environment, kill_group, mark, spawn
from shared.errors import StackError

LEAST_PIP = "pip>=24.1"
"""The first with `--progress-bar raw`; the one that Python brings may be older."""

WEIGH_S = 1.0

Command = Sequence[str | Path]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process of an installation."""

    title: str
    command: Command


@dataclass(kw_only=True)
class Installation:
    """One environment in the making."""

    name: str
    folder: Path
    wheels: Path | None
    requirements: Path
    constraints: Path
    log: Path

    position: int = 0
    """Steps begun, from 1."""
    detail: str = ""
    done: float | None = None
    """Of `total`, in bytes or packages; None while nobody knows."""
    total: float | None = None
    process: subprocess.Popen[bytes] | None = None
    _rest: bytes = b""
    on_disk: int = 0
    """Bytes of the environment, while pip installs."""
    _weighed: float = 0.0
    _counting: bool = False
    _present: int = 0
    _environment: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> list[Step]:
        """What is to be run, in order."""
        python = self.folder / "bin" / "python"
        venv: Command = [sys.executable, "-m", "venv"]
        own_pip: Command = [python, "-m", "pip"]
        first_pip = own_pip
        if importlib.util.find_spec("pip") is not None:
            # The producer's pip fetches the new one in half the time that unpacking Python's old one takes.
            venv, first_pip = [*venv, "--without-pip"], [sys.executable, "-m", "pip", "--python", python]
        install = ["install", "--no-input", "--prefer-binary", "--progress-bar"]
        raw = [*own_pip, *install, "raw", "-c", self.constraints]
        steps = [
            Step(title="virtual environment", command=[*venv, self.folder]),
            Step(title="pip", command=[*first_pip, *install, "off", LEAST_PIP]),
        ]
        if self.wheels is not None:
            steps.append(Step(title="framework", command=[*raw, "--no-deps", "-r", self.wheels]))
        steps.append(Step(title="packages", command=[*raw, "-r", self.requirements]))
        return steps

    @property
    def step(self) -> Step:
        """The step that is running."""
        return self.steps()[self.position - 1]

    def start(self) -> None:
        """Start the first step, with an empty log."""
        self.log.write_bytes(b"")
        temporary = self.folder.with_name(f"{self.folder.name}.tmp")
        temporary.mkdir(mode=0o700, exist_ok=True)
        # Wheels of a gigabyte are unpacked on this disk, not on a small /tmp.
        self._environment = {
            **clean_environment(),
            "TMPDIR": str(temporary),
            "PYTHONUNBUFFERED": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        self._next()

    def read(self) -> bool:
        """Take in what the running step has said; whether it may say more."""
        assert self.process is not None and self.process.stdout is not None  # noqa: S101, PT018
        chunk = os.read(self.process.stdout.fileno(), 65_536)
        if not chunk:
            return False
        try:
            with self.log.open("ab") as stream:
                stream.write(chunk)
        except OSError:  # a full disk: pip says it too, and its words are still read
            pass
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace").strip())
        return True

    def look(self) -> None:
        """Count and weigh what is on disk while pip installs without a word."""
        if self._counting:
            self.done = min(self._packages() - self._present, self.total or 0)
            if time.monotonic() - self._weighed >= WEIGH_S:
                self.on_disk = self.size_bytes()
                self._weighed = time.monotonic()

    def advance(self) -> bool:
        """After a step's output has ended: start the next one; whether there was one.

        Raises StackError where the step failed.
        """
        assert self.process is not None  # noqa: S101
        status = self.process.wait()
        self._close_output()
        if status != 0:
            raise StackError(
                explain(self.name, status=status, said=self._said(), folder=self.folder, log=self.log)
            )
        if self.position == len(self.steps()):
            self._remove_temporary()
            return False
        self._next()
        return True

    def stop(self) -> None:
        """End what is running and remove the half-made environment."""
        if self.process is not None:
            kill_group(self.process)
            self._close_output()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._remove_temporary()

    def size_bytes(self) -> int:
        """How much the environment takes on disk."""
        size = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(FileNotFoundError):  # pip moves files while it is watched
                    size += Path(folder, name).lstat().st_size
        return size

    def _close_output(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def _next(self) -> None:
        self.position += 1
        self._rest, self._counting = b"", False
        self.detail, self.done, self.total = self.step.title, None, None
        self.process = spawn(
            self.step.command,
            environment=self._environment,
            mark=mark(self.folder, INSTALLER),
            stdout=subprocess.PIPE,
        )

    def _hear(self, line: str) -> None:
        if progress := re.fullmatch(r"Progress (\d+) of (\d+)", line):
            self.done, self.total = float(progress[1]), float(progress[2])
        elif fetched := re.match(r"(?:Downloading|Using cached) (\S+) \(([^)]*)\)", line):
            self.detail, self.done, self.total = f"fetching {_package(fetched[1])} ({fetched[2]})", None, None
        elif local := re.match(r"Processing (\S+)", line):
            self.detail, self.done, self.total = f"reading {_package(local[1])}", None, None
        elif collected := re.match(r"Collecting (\S+)", line):
            self.detail, self.done, self.total = f"choosing {collected[1]}", None, None
        elif announced := re.match(r"Installing collected packages: (.*)", line):
            self._counting, self._present = True, self._packages()
            self.detail, self.done, self.total = "installing", 0, len(announced[1].split(", "))

    def _packages(self) -> int:
        return sum(1 for _ in self.folder.glob("lib/python*/site-packages/*.dist-info"))

    def _said(self) -> str:
        try:
            return self.log.read_text(errors="replace") + self._rest.decode(errors="replace")
        except OSError:
            return self._rest.decode(errors="replace")

    def _remove_temporary(self) -> None:
        shutil.rmtree(self.folder.with_name(f"{self.folder.name}.tmp"), ignore_errors=True)


def _package(file: str) -> str:
    """`torch-2.13.0` of `https://…/torch-2.13.0-cp311-….whl`."""
    return "-".join(file.rsplit("/", 1)[-1].split("-")[:2])
