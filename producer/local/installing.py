"""Making environments, all at once: their steps, what is shown meanwhile, and a clean end.

Everything runs from one thread, as `processes.spawn` needs it. What is shown is the last line that the tool
said, how much it has written and for how long it has been at work, which needs no reading of its bars.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from likewise.producer.local.installers import Step, is_unresolved, reason
from likewise.producer.local.processes import INSTALLER, clean_environment, kill_group, mark, marked, spawn
from likewise.shared.errors import StackError

TICK_S = 0.2
SPEAK_S = 10.0
"""Off a terminal, no wait is longer without a word."""
DETAIL_WIDTH = 60
BAR_WIDTH = 16
MEGABYTE = 1e6

Say = Callable[[str], None]


class Installation:
    """One environment in the making."""

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        steps: Sequence[Step],
        log: Path,
        missing: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.name = name
        self.missing = missing
        """It says which version that is asked for no index has."""
        self.folder = folder
        self.steps = steps
        self.log = log
        self.position = 0
        """Steps begun, from 1."""
        self.finished = False
        self.detail = ""
        """What the running step said last."""
        self.process: subprocess.Popen[bytes] | None = None
        self._rest = b""
        self._temporary = folder.with_name(f"{folder.name}.tmp")
        self._environment: Mapping[str, str] = {}

    @property
    def step(self) -> Step:
        """Return the step that is running."""
        return self.steps[self.position - 1]

    @property
    def count(self) -> str:
        """Return which step this is of how many."""
        return f"step {self.position} of {len(self.steps)}"

    def start(self) -> None:
        """Start the first step, with an empty log."""
        self.log.write_bytes(b"")
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        # Wheels of a gigabyte are unpacked on this disk, not on a small /tmp.
        self._environment = {**clean_environment(), "TMPDIR": str(self._temporary), "PYTHONUNBUFFERED": "1"}
        self._next()

    def read(self) -> bool:
        """Take in what the running step has said; return whether it may say more."""
        assert self.process is not None and self.process.stdout is not None  # noqa: S101, PT018
        chunk = os.read(self.process.stdout.fileno(), 65_536)
        if not chunk:
            return False
        # A full disk is told by the tool too, and its words are still read.
        with contextlib.suppress(OSError), self.log.open("ab") as stream:
            stream.write(chunk)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._hear(line.decode(errors="replace").strip())
        return True

    def advance(self) -> bool:
        """After a step's output has ended, start the next one; return whether there was one.

        Raises StackError where the step failed.
        """
        assert self.process is not None  # noqa: S101
        status = self.process.wait()
        self._close_output()
        if status != 0:
            said = self._said()
            why = self.missing() if is_unresolved(said) else None
            why = why or reason(self.step, status=status, said=said, folder=self.folder)
            raise StackError(f"could not make the {self.name} environment: {why}. Log: {self.log}")
        self.finished = self.position == len(self.steps)
        if self.finished:
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            self._next()
        return not self.finished

    def stop(self) -> None:
        """End what is running, and let the half-made environment be removed without waiting for it."""
        if self.process is not None:
            kill_group(self.process)
            self._close_output()
        gone = []
        for folder in (self.folder, self._temporary):
            with contextlib.suppress(OSError):
                gone.append(folder.rename(folder.with_name(f"{folder.name}.gone-{os.getpid()}")))
        if gone:  # by a shell that ends at once, and leaves what it started to the system
            remove = ["sh", "-c", 'rm -rf -- "$@" </dev/null >/dev/null 2>&1 &', "sh", *map(str, gone)]
            subprocess.run(remove, check=False, start_new_session=True)  # noqa: S603

    def written(self) -> float | None:
        """Return the bytes that the running step has written, where this platform counts them."""
        import psutil

        if self.process is None:
            return None
        total = None
        with contextlib.suppress(psutil.Error, AttributeError):
            process = psutil.Process(self.process.pid)
            for one in (process, *process.children(recursive=True)):
                total = (total or 0.0) + one.io_counters().write_chars
        return total

    def size_bytes(self) -> int:
        """Return how much the environment takes on disk."""
        size = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    size += Path(folder, name).lstat().st_size
        return size

    def _close_output(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()

    def _next(self) -> None:
        self.position += 1
        self._rest, self.detail = b"", self.step.title
        self.process = spawn(
            self.step.command,
            environment=marked({**self._environment, **self.step.environment}, mark(self.folder, INSTALLER)),
            stdout=subprocess.PIPE,
            cwd=self.folder.parent,
        )

    def _hear(self, line: str) -> None:
        if line and not line.startswith(("+ ", "WARNING", "warning", "Looking in", "Using Python")):
            words = re.sub(r"\S*/", "", line)  # a file's name says enough
            cut = _cut(words)
            self.detail = cut[:1].lower() + cut[1:]

    def _said(self) -> str:
        rest = self._rest.decode(errors="replace")
        try:
            return self.log.read_text(errors="replace") + rest
        except OSError:
            return rest


def install(
    installations: Sequence[Installation], *, on_finished: Callable[[Installation], None], say: Say
) -> None:
    """Run all installations at once to their ends, showing where each stands.

    Raises StackError on the first that fails; then, and on an interrupt, every one that is not finished is
    stopped and removed.
    """
    running = list(installations)
    try:
        with selectors.DefaultSelector() as selector, _shown(installations, say=say) as show:
            for installation in installations:
                installation.start()
                show(installation)
                _watch(selector, installation)
            next_look = 0.0
            while running:
                for key, _ in selector.select(TICK_S):
                    installation = key.data
                    if installation.read():
                        continue
                    selector.unregister(key.fileobj)
                    if installation.advance():
                        _watch(selector, installation)
                    else:
                        on_finished(installation)
                        running.remove(installation)
                    show(installation)
                if time.monotonic() >= next_look:
                    for installation in running:
                        show(installation)
                    next_look = time.monotonic() + TICK_S
    except BaseException:
        for installation in running:
            installation.stop()
        raise


def _watch(selector: selectors.BaseSelector, installation: Installation) -> None:
    assert installation.process is not None and installation.process.stdout is not None  # noqa: S101, PT018
    selector.register(installation.process.stdout, selectors.EVENT_READ, installation)


@contextmanager
def _shown(installations: Sequence[Installation], *, say: Say) -> Iterator[Callable[[Installation], None]]:
    """Give the function to call whenever an installation may have moved on: a row each on a terminal.

    Off a terminal it says a line for each step begun, and one every `SPEAK_S`.
    """
    from rich.console import Console

    console = Console(stderr=True)
    began = time.monotonic()
    if not console.is_terminal:
        spoken: dict[str, tuple[str, float]] = {}

        def speak(installation: Installation) -> None:
            line = "ready" if installation.finished else f"{installation.count}, {installation.step.title}"
            before, at = spoken.get(installation.name, ("", 0.0))
            now = time.monotonic()
            if line != before:
                say(f"{installation.name}: {line}")
            elif now - at >= SPEAK_S and not installation.finished:
                say(f"{installation.name}: {_standing(installation)}, {_clock(now - began)}")
            else:
                return
            spoken[installation.name] = (line, now)

        yield speak
        return
    from rich.progress import BarColumn, Progress, TextColumn

    fields = [f"{{task.{name}}}" for name in ("description", "fields[elapsed]", "fields[standing]")]
    columns = (TextColumn(fields[0]), BarColumn(BAR_WIDTH), *map(TextColumn, fields[1:]))
    # Refreshed by the caller's loop: a refreshing thread does not go with forking children.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        tasks = {
            one.name: progress.add_task(one.name, total=None, standing="", elapsed="")
            for one in installations
        }

        def show(installation: Installation) -> None:
            progress.update(
                tasks[installation.name],
                total=1 if installation.finished else None,
                completed=1 if installation.finished else 0,
                standing="ready" if installation.finished else _standing(installation),
                elapsed=_clock(time.monotonic() - began),
            )
            progress.refresh()

        yield show


def _cut(words: str) -> str:
    """Return words that fit, cut between two of them; of a wheel the name and the version say enough."""
    words = re.sub(r"(\S+?-\d[^\s-]*)-\S+\.whl\b", r"\1", words)
    return textwrap.shorten(words, DETAIL_WIDTH, placeholder=" …")


def _standing(installation: Installation) -> str:
    written = installation.written()
    amount = f", {written / MEGABYTE:,.0f} MB written" if written and written >= MEGABYTE else ""
    return f"{installation.count}: {installation.detail}{amount}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"
