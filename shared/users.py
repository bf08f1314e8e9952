"""The users of Redis: their rights, which `users.acl` lists, as lines of a server's configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

USERS = ("producer", "worker", "monitor")
TABLE = Path(__file__).with_name("users.acl")
READS_ONLY, SINCE = "%R~", (7, 0)
"""The mark of keys that are only read, and the version of Redis that knows it and a limit of all clients."""


def rights() -> dict[str, str]:
    """Return what each user of the table may do, as Redis writes it, without a password."""
    found: dict[str, str] = {}
    name = ""
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("user "):
            name = line.split()[1]
            found[name] = ""
        elif line.startswith(" "):
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


DEFAULT = "user default off resetpass allkeys allchannels +@all"
"""The built-in user, as which nobody can log in. Its rights stay: Redis reads its append-only file as this
user, and without them would leave out every transaction in the file."""


def memory_lines(version: tuple[int, ...]) -> list[str]:
    """Return the lines of a configuration that bound what a server of this version holds for its clients.

    Who asks for much and reads nothing would else have it held in the server's memory without end.
    """
    lines = ["client-output-buffer-limit normal 512mb 256mb 60"]
    return lines + (["maxmemory-clients 512mb"] if version >= SINCE else [])


def user_lines(passwords: Mapping[str, str], *, version: tuple[int, ...]) -> list[str]:
    """Return the lines of a configuration that make these users, with the hashes of their passwords.

    The built-in user is switched off. `version` is the server's.
    """
    lines = [DEFAULT]
    for name, given in rights().items():
        known = given if version >= SINCE else given.replace(READS_ONLY, "~")
        digest = hashlib.sha256(passwords[name].encode()).hexdigest()
        lines.append(f"user {name} on #{digest} resetkeys resetchannels -@all {known}")
    return lines
