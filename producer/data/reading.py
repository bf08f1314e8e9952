"""Who hears how far the reading of a large file is; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

Listener = Callable[[str, int | None], None]


def _unheard(_place: str, _count: int | None) -> None:
    """Do nothing with what is read."""


on_read: ContextVar[Listener] = ContextVar("on_read", default=_unheard)
"""It is called with a file's name and the unpacked bytes read so far, again and again while it is read, and
with None at its end."""
