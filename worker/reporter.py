"""Tells where a run stands, about four times a second however many seeds it has."""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.progress import ProgressEvent
from shared.run import Run
from worker.seed_training import SeedTraining

_LEAST_GAP_S = 0.2
"""Blocks last about 0.25 s (`worker.pacing`), so that each is told, but many short ones are not."""


class Reporter:
    """Sends progress events of one run."""

    def __init__(self, run: Run, send: Callable[[ProgressEvent], None]) -> None:
        self._run = run
        self._send = send
        self._told_at: float | None = None
        self._samples_since = 0

    def tick(self, training: SeedTraining, *, position: int, samples: int) -> None:
        """After a block of `samples`; `position` counts seeds from 1. The run's first and last are told."""
        now = time.perf_counter()
        self._samples_since += samples
        last = training.finished and position == len(self._run.seeds)
        if self._told_at is not None and now - self._told_at < _LEAST_GAP_S and not last:
            return
        elapsed = now - self._told_at if self._told_at is not None else 0.0
        self._send(
            ProgressEvent(
                run_id=self._run.run_id,
                framework=self._run.framework,
                seed=self._run.seeds[position - 1],
                position=position,
                seeds=len(self._run.seeds),
                epoch=training.epochs_done,
                epochs=training.plan.epochs,
                loss=training.losses[-1] if training.losses else None,
                validation_loss=training.validation_losses[-1] if training.validation_losses else None,
                samples_per_s=self._samples_since / elapsed if elapsed > 0 else None,
            )
        )
        self._told_at = now
        self._samples_since = 0
