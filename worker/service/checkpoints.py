"""The shelf of a claimed run: its checkpoints, written by a thread so that training goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from shared.errors import LikewiseError
from shared.ledger.checkpoints import CheckpointStore, newest
from shared.ledger.leases import Claim
from worker.service.patience import patiently
from worker.training.checkpoints import Checkpoint

log = logging.getLogger(__name__)


class RunShelf:
    """See `worker.training.checkpoints.Shelf`. A checkpoint that cannot be stored is told, not raised."""

    def __init__(
        self,
        store: CheckpointStore,
        claim: Claim,
        *,
        wanted: Callable[[], bool],
        before: Callable[[], None],
    ) -> None:
        """`wanted` is whether the worker is told to stop; `before` stores the arrays that one refers to."""
        self._store = store
        self._claim = claim
        self._wanted = wanted
        self._before = before
        self._writer: threading.Thread | None = None
        self._trouble: str | None = None

    @property
    def busy(self) -> bool:
        """Whether one is still being stored."""
        return self._writer is not None and self._writer.is_alive()

    @property
    def wanted(self) -> bool:
        """Whether the worker is about to stop."""
        return self._wanted()

    @property
    def trouble(self) -> str | None:
        """Why one could not be stored."""
        return self._trouble

    def last(self) -> tuple[bytes | None, str | None]:
        """The newest whole checkpoint of the run's earlier attempts."""
        return patiently(lambda: newest(self._store, self._claim.run_id, self._claim.checkpoints))

    def keep(self, checkpoint: Checkpoint) -> None:
        """Store it from a thread."""
        try:
            self._before()
        except LikewiseError as error:
            self._tell(str(error))
            return
        writer = threading.Thread(target=self._write, args=[checkpoint], name="checkpoint", daemon=True)
        try:
            writer.start()
        except RuntimeError as error:  # the host has no thread left
            self._tell(str(error))
            return
        self._writer = writer

    def close(self) -> None:
        """Wait for the one that is being stored."""
        if self._writer is not None:
            self._writer.join()

    def _write(self, checkpoint: Checkpoint) -> None:
        try:
            if not self._store.put(self._claim.run_id, checkpoint.encoded(), fence=self._claim.fence):
                log.warning("run %s is no longer ours; its checkpoint is dropped", self._claim.run_id)
        except LikewiseError as error:
            self._tell(str(error))
        except Exception as error:
            log.exception("a checkpoint failed")
            self._tell(f"{type(error).__name__}: {error}")

    def _tell(self, trouble: str) -> None:
        """Once; training goes on, and so do the attempts."""
        if self._trouble is None:
            self._trouble = trouble
            log.warning("run %s: a checkpoint could not be kept: %s", self._claim.run_id, trouble)
