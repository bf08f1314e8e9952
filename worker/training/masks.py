"""Dropout masks: factors to multiply a layer's input by, the same in every framework.

An element's factor comes from 32 random bits, addressed by (seed, layer index, step) and taken in the
order of the array's elements: the lower half of a word, then its upper half. The seed is the layer's own
where it has one, else the run's. The factor is 0 where the bits, read as a whole number, are below
rate·2³², else 1/(1 − rate). So a step's mask is the same however the training is cut into blocks, and a
smaller batch has the first rows of a larger one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from shared.program import Mask
from shared.spec.experiment import Precision
from worker.adapters.base import Floats
from worker.training.draws import Draws, Purpose


def bytes_per_sample(layers: Sequence[Mask], precision: Precision) -> int:
    """Size of the masks of one sample in one step."""
    return sum(prod(layer.shape) for layer in layers) * np.dtype(precision).itemsize


def mask_keys(layers: Sequence[Mask], seed: int) -> tuple[tuple[int, int, float], ...]:
    """What the masks are drawn from: (seed, layer index, rate) of each layer."""
    return tuple((layer.seed_in(seed), layer.index, layer.rate) for layer in layers)


class MaskSource:
    """The masks of one seed's training."""

    def __init__(self, layers: Sequence[Mask], *, seed: int, precision: Precision) -> None:
        self._layers = layers
        self._precision = np.dtype(precision)
        self._draws = {layer.path: Draws(layer.seed_in(seed), Purpose.MASK) for layer in layers}

    def block(self, *, first_step: int, steps: int, batch_size: int) -> dict[str, Floats]:
        """Of consecutive steps, by layer path: (steps, batch_size, *shape)."""
        return {
            layer.path: self._factors(layer, range(first_step, first_step + steps), batch_size)
            for layer in self._layers
        }

    def _factors(self, layer: Mask, steps: range, rows: int) -> Floats:
        size = rows * prod(layer.shape)
        below = np.uint32(round(layer.rate * 2**32))
        kept = np.empty((len(steps), size), dtype=np.bool_)
        for row, step in enumerate(steps):
            words = self._draws[layer.path].words((size + 1) // 2, index=layer.index, item=step)
            np.greater_equal(words.astype("<u8", copy=False).view("<u4")[:size], below, out=kept[row])
        factors: Floats = kept * self._precision.type(1.0 / (1.0 - layer.rate))
        return factors.reshape(len(steps), rows, *layer.shape)
