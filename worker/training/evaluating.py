"""Outputs of a training's members on a part of the data, in batches that bound memory.

The weights are the trainer's own of the moment. In training mode each batch has masks of its own, by the
part, the epoch and the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.draws import DrawPurpose
from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.shared.program.penalties import penalized, penalized_outputs, penalties
from likewise.worker.adapters.trainer import EnsembleOfOne, EnsembleTrainer, Floats
from likewise.worker.training.feeds import MaskSource
from likewise.worker.training.resources import activations_of

EVALUATED = ("train", "validation", "test", "predict")
"""What outputs are computed for; the order belongs to the address of masks."""
_ROWS_AT_ONCE = 4_096
_BYTES_ALONE, _BYTES_TOGETHER = 16 * 2**20, 32 * 2**20
"""The most samples, and the most bytes that they take in the layers, when outputs are computed: of a member
alone, and of many together. Larger sets are taken in chunks, so that memory stays bounded; that also keeps
them in the processor's cache."""


class Evaluation:
    """Computes what the members give for a part of the data, such as `validation`, after some epochs."""

    def __init__(
        self,
        job: Job,
        program: ProgramSpec,
        trainer: EnsembleTrainer | EnsembleOfOne,
        *,
        seeds: Sequence[int],
    ) -> None:
        """`seeds` has each member's."""
        self._job, self._program, self._trainer = job, program, trainer
        self._masks = [
            MaskSource(program.masks, seed=seed, precision=job.precision, purpose=DrawPurpose.EVALUATION)
            for seed in seeds
        ]

    def outputs(self, x: NDArray[Any], part: str, epochs: int) -> Floats:
        """Return every member's outputs: x (m, *features) → (members, m, outputs)."""
        shape = (len(self._masks), len(x), *self._program.output_shape)
        outputs: Floats = np.empty(shape, self._job.precision)
        at, computed = 0, self._trainer.outputs
        # into one array: kept pieces would lie between what is freed
        for rows, masks in self._batches(x, part, epochs):
            outputs[:, at : at + len(rows)] = computed(rows) if masks is None else computed(rows, masks)
            at += len(rows)
        return outputs

    def penalties(self, x: NDArray[Any], part: str, epochs: int) -> NDArray[np.float64]:
        """Return what each member's weights and layers' outputs add to the loss of x: (members,).

        The mean or sum of samples' penalties is over all of x. It is 0 where the loss is reported without.
        """
        total = np.zeros(len(self._masks))
        if not self._job.training.report_penalty:
            return total
        if penalized(self._program):
            total = total + penalties(self._program, self._trainer.weights())
        if penalized_outputs(self._program):
            for rows, masks in self._batches(x, part, epochs):
                means, sums = self._trainer.penalty(rows, masks).astype(np.float64).T
                total = total + means * len(rows) / len(x) + sums
        return total

    def _batches(
        self, x: NDArray[Any], part: str, epochs: int
    ) -> Iterator[tuple[Floats, dict[str, Floats] | None]]:
        """Yield the rows in the run's precision, and every member's masks; none in evaluation mode."""
        training = self._job.training.evaluation_mode == "training"
        count = self._rows(len(x))
        for number, at in enumerate(range(0, len(x), count)):
            rows = x[at : at + count].astype(self._job.precision, copy=False)
            address = ((epochs * len(EVALUATED) + EVALUATED.index(part)) << 32) + number
            yield rows, self._masks_at(address, len(rows)) if training else None

    def _rows(self, samples: int) -> int:
        """Return how many samples a batch has."""
        if self._job.training.evaluation_mode == "training":
            return self._job.training.batch_size or samples  # what a batch's statistics are of
        row_bytes = activations_of(self._program) * np.dtype(self._job.precision).itemsize
        if isinstance(self._trainer, EnsembleOfOne):
            return max(1, min(_ROWS_AT_ONCE, _BYTES_ALONE // row_bytes))
        return max(1, _BYTES_TOGETHER // (len(self._masks) * row_bytes))

    def _masks_at(self, address: int, rows: int) -> dict[str, Floats]:
        own = [source.block(first_step=address, steps=1, batch_size=rows) for source in self._masks]
        return {path: np.concatenate([masks[path] for masks in own]) for path in own[0]}
