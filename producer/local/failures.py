"""Why an environment could not be made, in one line with the way out."""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path

FULL_MB = 5
_FULL = re.compile(r"No space left on device|Errno 28\b|Disk quota exceeded|Errno 122\b")


def explain(name: str, *, status: int, said: str, folder: Path, log: Path) -> str:
    """The message for a step that ended with `status`, having said `said`."""
    return f"could not make the {name} environment: {_reason(status, said, folder)}. Log: {log}"


def _reason(status: int, said: str, folder: Path) -> str:
    free_mb = shutil.disk_usage(_existing(folder)).free / 1e6
    # `python -m venv` swallows the words of the pip it runs, so a full disk is also looked for.
    if _FULL.search(said) or free_mb < FULL_MB:
        return (
            f"the disk is full ({free_mb:,.0f} MB left on that of {folder.parent}); free some space, or set "
            "LIKEWISE_HOME to a folder on another disk"
        )
    if "ensurepip is not" in said or "No module named ensurepip" in said or "No module named venv" in said:
        return (
            "this Python cannot make virtual environments; on Debian and Ubuntu `apt install python3-venv`, "
            "elsewhere install Python from python.org"
        )
    if status < 0:
        ended = signal.Signals(-status).name
        return f"pip was ended by {ended}, perhaps for want of memory; run the command again"
    missing = re.search(r"No matching distribution found for ([^\n]+)", said)
    unreachable = re.search(
        r"Failed to resolve|Temporary failure in name resolution|Connection refused|Max retries exceeded|"
        r"Network is unreachable|timed out|SSLError",
        said,
    )
    if missing and not unreachable:
        return (
            f"the package index has no {missing[1].strip()} for this Python and machine, or is out of reach; "
            "try another Python (3.11 to 3.13 are the usual ones), or another index with PIP_INDEX_URL"
        )
    if unreachable:
        wanted = f" (wanted: {missing[1].strip()})" if missing else ""
        return (
            f"the package index cannot be reached{wanted}; check the network, or name another index "
            "with PIP_INDEX_URL, and run the command again"
        )
    errors = re.findall(r"^\s*ERROR: (.+)$", said, flags=re.MULTILINE)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = errors[0] if errors else (lines[-1] if lines else f"exit status {status}")
    return f"pip says: {last.rstrip('.')}"


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
