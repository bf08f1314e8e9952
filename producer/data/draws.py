"""Random numbers of the producer: which samples are held out, and synthetic ones."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What a draw is for: the second word of the generator's key. The worker's are below 100."""

    SPLIT = 101
    SYNTHETIC = 102


def generator(seed: int, purpose: Purpose) -> np.random.Generator:
    """A Philox 4×64 generator (Salmon et al. 2011) with the key (seed, purpose)."""
    return np.random.Generator(_philox(seed, purpose))


def permutation(count: int, seed: int, purpose: Purpose) -> NDArray[np.int64]:
    """The numbers below `count` in random order: sorted by raw words, which NumPy keeps stable (NEP 19)."""
    return np.argsort(_philox(seed, purpose).random_raw(count), kind="stable").astype(np.int64)


def _philox(seed: int, purpose: Purpose) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))
