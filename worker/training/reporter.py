"""Tells where a run stands, about four times a second however many seeds it has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.ledger.progress import ProgressEvent
from shared.run import Run

_LEAST_GAP_S = 0.2
"""Blocks last about 0.25 s (`worker.training.pacing`), so that each is told, but many short ones are not."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where the members from `position` (from 1) on stand, `together` of them."""

    position: int
    together: int
    epoch: int
    epochs: int
    loss: float | None
    validation_loss: float | None
    finished: bool
    compiling: bool = False


class Reporter:
    """Sends progress events of one run."""

    def __init__(self, run: Run, send: Callable[[ProgressEvent], None]) -> None:
        self._run = run
        self._members = len(run.seeds) * len(run.optimizers or (None,))
        self._send = send
        self._told_at: float | None = None
        self._samples_since = 0

    def tick(self, standing: Standing, *, samples: int) -> None:
        """After a block of `samples`. The run's first and last are told, and what is to be compiled."""
        now = time.perf_counter()
        self._samples_since += samples
        last = standing.finished and standing.position + standing.together > self._members
        if (
            self._told_at is not None
            and now - self._told_at < _LEAST_GAP_S
            and not (last or standing.compiling)
        ):
            return
        elapsed = now - self._told_at if self._told_at is not None else 0.0
        self._send(
            ProgressEvent(
                run_id=self._run.run_id,
                framework=self._run.framework,
                side=self._run.side,
                seed=self._run.seeds[(standing.position - 1) % len(self._run.seeds)],
                position=standing.position,
                seeds=self._members,
                together=standing.together,
                epoch=standing.epoch,
                epochs=standing.epochs,
                loss=standing.loss,
                validation_loss=standing.validation_loss,
                compiling=standing.compiling,
                samples_per_s=self._samples_since / elapsed if elapsed > 0 else None,
            )
        )
        self._told_at = now
        self._samples_since = 0
