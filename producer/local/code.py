"""The workers' code: where it is, a fingerprint of it, and a folder that has it and nothing else.

Workers run in environments of their own; the producer's site-packages must not reach them, so their
PYTHONPATH is a folder of two links. The packages are found by place and never imported.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import shared

ROOT = Path(shared.__file__).resolve().parent.parent
"""The folder that holds `shared`, `worker` and `producer`: a checkout, or site-packages."""

WORKER_PACKAGES = ("shared", "worker")
CODE_SUFFIXES = (".py", ".lua")
ADAPTERS = ROOT / "worker" / "adapters"
ADAPTER_SUFFIX = "_adapter"


def known_frameworks() -> list[str]:
    """A framework is whatever folder `worker/adapters/<name>_adapter` exists for."""
    return sorted(
        folder.name.removesuffix(ADAPTER_SUFFIX)
        for folder in ADAPTERS.glob(f"*{ADAPTER_SUFFIX}")
        if folder.is_dir()
    )


def worker_fingerprint() -> str:
    """Changes when the code that workers run does."""
    return _fingerprint([ROOT / name for name in WORKER_PACKAGES])


def stack_fingerprint() -> str:
    """Changes when the code that the supervisor runs does."""
    return _fingerprint([ROOT / "shared", ROOT / "producer" / "local"])


def link_worker_code(folder: Path) -> None:
    """Make `folder` hold links to the packages, replacing those to another checkout."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in WORKER_PACKAGES:
        link, target = folder / name, ROOT / name
        if link.is_symlink() and Path(os.readlink(link)) == target:
            continue
        fresh = folder / f".{name}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        os.replace(fresh, link)


def _fingerprint(packages: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for package in packages:
        for file in sorted(file for file in package.rglob("*") if file.suffix in CODE_SUFFIXES):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    # Two checkouts with the same text are still two places to import from.
    digest.update(str(ROOT).encode())
    return digest.hexdigest()[:16]
