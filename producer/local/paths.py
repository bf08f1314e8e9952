"""Where the local stack keeps what it makes, and how private files are written."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StackError


@dataclass(frozen=True)
class Paths:
    """Everything lies under `home`, which only its owner may enter."""

    home: Path

    @property
    def stack(self) -> Path:
        """State of the running stack."""
        return self.home / "stack"

    @property
    def supervisor_lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.stack / "supervisor.lock"

    @property
    def supervisor_pid(self) -> Path:
        """The pid of the lock's holder."""
        return self.stack / "supervisor.pid"

    @property
    def client_lock(self) -> Path:
        """Held by a command while it starts the stack or asks it for more."""
        return self.stack / "client.lock"

    @property
    def state(self) -> Path:
        """What the supervisor says of itself; without it the stack is not up."""
        return self.stack / "state.json"

    @property
    def wanted(self) -> Path:
        """What the commands ask of the supervisor."""
        return self.stack / "wanted.json"

    @property
    def redis(self) -> Path:
        """Redis's configuration and data: experiments outlive the stack."""
        return self.home / "redis"

    @property
    def code(self) -> Path:
        """The packages that workers import, and nothing else."""
        return self.stack / "code"

    @property
    def cache(self) -> Path:
        """The workers' cache of arrays."""
        return self.home / "cache"

    @property
    def logs(self) -> Path:
        """One log a process."""
        return self.home / "logs"

    @property
    def environments(self) -> Path:
        """One virtual environment a framework."""
        return self.home / "environments"

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"

    def make(self) -> None:
        """Make the folders; raises StackError where that cannot be done."""
        try:
            for folder in (self.home, self.stack, self.redis, self.logs, self.cache, self.environments):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.home.stat().st_mode & 0o077:
                self.home.chmod(0o700)
        except OSError as error:
            raise StackError(
                f"cannot make {error.filename or self.home} for the local stack: "
                f"{(error.strerror or str(error)).lower()}; set LIKEWISE_HOME to a folder of yours"
            ) from None


def stack_paths(home: Path | None) -> Paths:
    """The given home, else the user's state folder of this platform."""
    if home is None:
        import platformdirs

        home = platformdirs.user_state_path("likewise")
    return Paths(home.expanduser().absolute())


def write_private(path: Path, text: str) -> None:
    """Replace a file at once, readable by its owner only (mkstemp makes files 0600)."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
