"""Which code a worker runs, as a digest, so that a producer of other code can tell.

A worker's image holds no producer, and a producer's image holds no worker: where that is built, the digests
of its own checkout are written beside the code.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

PACKAGE = Path(__file__).absolute().parents[1]
"""The package `likewise`, in a checkout, in site-packages or in an image."""
NOTE = PACKAGE / "worker-code.json"
"""Where an image without workers has the digests of those that belong to it, by framework."""
SUFFIXES = (".py", ".lua")


def worker_code(framework: str) -> str | None:
    """Return a digest of what a framework's worker of this code runs: `shared`, `worker`, its own adapter.

    None where neither a worker's code nor a note of it is there.
    """
    if (PACKAGE / "worker").is_dir():
        return _digest(framework)
    if not NOTE.exists():
        return None
    noted: dict[str, str] = json.loads(NOTE.read_text())
    return noted.get(framework)


def known_frameworks() -> list[str]:
    """Return the frameworks that this code, or the checkout of its image, has adapters for."""
    adapters = PACKAGE / "worker" / "adapters"
    if not adapters.is_dir():
        return sorted(json.loads(NOTE.read_text())) if NOTE.exists() else []
    return sorted(folder.name.removesuffix("_adapter") for folder in adapters.glob("*_adapter"))


def write_note() -> None:
    """Note the digests of all frameworks that this code has an adapter for."""
    NOTE.write_text(json.dumps({framework: _digest(framework) for framework in known_frameworks()}))


def _digest(framework: str) -> str:
    digest = hashlib.sha256()
    for part in ("shared", "worker"):
        for file in sorted((PACKAGE / part).rglob("*")):
            name = file.relative_to(PACKAGE)
            others = any(word.endswith("_adapter") and word != f"{framework}_adapter" for word in name.parts)
            if file.suffix in SUFFIXES and not others:
                digest.update(f"{name.as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    write_note()
