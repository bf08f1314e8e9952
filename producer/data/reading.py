"""What is said of data that take a while to read: before they are read, and how far a large file is read.

Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from likewise.producer.display import printable, size

if TYPE_CHECKING:
    from likewise.shared.job import Data

LARGE_BYTES = 64 * 2**20
"""Less is read and stored before a line could be read."""
Listener = Callable[[str, int | None], None]


def _unheard(_place: str, _count: int | None) -> None:
    """Do nothing with what is read."""


on_read: ContextVar[Listener] = ContextVar("on_read", default=_unheard)
"""It is called with a file's name and the unpacked bytes read so far, again and again while it is read, and
with None at its end."""


def before_reading(data: Data, base: Path) -> str | None:
    """Return what to say before these data are read; None where that takes no time."""
    if data.type == "images":
        return f"reading the images of {printable(data.path)}"
    named = [getattr(data, field, None) for field in ("path", "x", "y")] if data.type != "inline" else []
    paths = [path for one in named if one for path in ([one] if isinstance(one, str) else one)]
    total = 0
    if elsewhere := next((path for path in paths if "://" in path), None):
        others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        return f"reading {printable(elsewhere)}{others}"
    for path in paths:
        with suppress(OSError, ValueError):  # whatever is wrong is told by the loader
            total += (base / path).stat().st_size
    if total <= LARGE_BYTES:
        return None
    others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return f"reading {printable(paths[0])}{others} ({size(total)})"
