"""Arrays by content: in Redis in chunks, large ones behind an fsspec URL, cached on a worker's disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis
from numpy.typing import NDArray

from shared.arrays import ArrayRef
from shared.errors import LikewiseError


class BlobError(LikewiseError):
    """An array that is gone from the store, or whose bytes are not what its hash says."""

    exit_status = 3


class BlobStore:
    """Puts arrays under their SHA-256 and gets them back, checked."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        url: str | None,
        redis_limit_bytes: int,
        retention_s: float,
        cache_dir: Path | None = None,
    ) -> None:
        raise NotImplementedError

    def put(self, array: NDArray[Any]) -> ArrayRef:
        """Store an array and return its reference; storing it again only renews its time to live.

        Raises DataError for an array above the limit where no `url` is set.
        """
        raise NotImplementedError

    def get(self, ref: ArrayRef) -> NDArray[Any]:
        """The array. Raises BlobError when it is gone or damaged."""
        raise NotImplementedError
