"""What the stack is asked for and what it says of itself: environments, and the two documents.

`state.json` is written by the supervisor alone, `wanted.json` by commands under the client lock.
Both hold the whole truth each time, so that a lost or repeated look does no harm.
"""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from producer.local.home import Paths
from shared.frozen import Frozen


class Environment(Frozen):
    """A set of packages that a worker runs in. It is the key of what the stack makes and starts.

    Two environments of one framework that differ in anything live side by side.
    """

    framework: str
    device: str = "cpu"
    version: str | None = None
    """The version of the framework; None for the one that its adapter is tested with."""
    requirements: tuple[str, ...] = ()
    """Packages beyond the adapter's own, as a requirement file spells them."""

    @property
    def name(self) -> str:
        """Return a word for file names and for JSON: the framework's name where nothing else is asked for."""
        words = [self.framework]
        if self.device != "cpu":
            words.append(self.device)
        if self.version is not None or self.requirements:
            words.append(hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:8])
        return "-".join(words)

    def __str__(self) -> str:
        version = f" {self.version}" if self.version else ""
        device = f" on {self.device}" if self.device != "cpu" else ""
        packages = f" with {', '.join(self.requirements)}" if self.requirements else ""
        return f"{self.framework}{version}{device}{packages}"


class WantedWorker(Frozen):
    """A worker that the stack should be running."""

    environment: Environment
    interpreter: str


class WorkerState(Frozen):
    """One environment's worker as the supervisor sees it."""

    environment: Environment
    interpreter: str
    pid: int | None = None
    """None while it is not running."""
    ready: bool = False
    """Whether it has its framework loaded, by its own word in Redis."""
    starts: int = 0
    """How often it was started since it was asked for."""
    exit_status: int | None = None
    """The status of the last time it ended by itself; negative for a signal."""


class State(Frozen):
    """What a running stack says of itself."""

    pid: int
    redis_url: str
    redis_pid: int | None
    redis_server: str
    started_s: float
    idle_minutes: float
    own_code: str
    """Fingerprint of the code the supervisor runs."""
    worker_code: str
    """Fingerprint of the code the workers run."""
    variables: dict[str, str]
    """The workers' LIKEWISE_* settings."""
    workers: dict[str, WorkerState]
    """The workers by the names of their environments."""

    def serves(self, wanted: Wanted) -> bool:
        """Return whether everything that is wanted runs and is ready."""
        return (
            self.worker_code == wanted.worker_code
            and self.variables == wanted.variables
            and self.idle_minutes == wanted.idle_minutes
            and all(self.is_ready(worker) for worker in wanted.workers)
        )

    def is_ready(self, wanted: WantedWorker) -> bool:
        """Return whether this worker is ready, in this environment and by this interpreter."""
        worker = self.workers.get(wanted.environment.name)
        return worker is not None and worker.ready and worker.interpreter == wanted.interpreter


class Wanted(Frozen):
    """What the stack should be running."""

    workers: tuple[WantedWorker, ...]
    worker_code: str
    variables: dict[str, str]
    idle_minutes: float


def read_state(paths: Paths) -> State | None:
    """Return the running stack's state; None where there is none or it is of another version."""
    try:
        return State.model_validate_json(paths.state.read_bytes())
    except (OSError, ValidationError):
        return None


def read_wanted(paths: Paths) -> Wanted | None:
    """Return what was asked for last; None where nothing was, or by another version."""
    try:
        return Wanted.model_validate_json(paths.wanted.read_bytes())
    except (OSError, ValidationError):
        return None
