"""The producer's random numbers: which samples are held out, and samples that are drawn from a seed.

Synthetic samples follow the formulas of `shared.job.data.SyntheticData`. The draws come from
`np.random.Generator`; the arrays' hashes travel with the run, so a NumPy that drew other numbers would show.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from producer.data.loaded import Loaded, check_size
from producer.data.prepared import Floats
from shared.job.data import SyntheticData


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


CENTRE_SPREAD = 4.0


def load(data: SyntheticData) -> Loaded:
    """x (n, features) and y (n, 1); raises DataError when they would not fit into memory."""
    check_size(data.samples, data.features + 1, "data.samples")
    draw = generator(data.seed, Purpose.SYNTHETIC)
    n, width = data.samples, data.features
    if data.kind == "classification":
        y = (np.arange(n) % data.classes).astype(np.float64)
        check_size(data.classes, width, "data.classes")
        centres = CENTRE_SPREAD * draw.standard_normal((data.classes, width))
        x = centres[y.astype(np.int64)] + (1.0 + data.noise) * draw.standard_normal((n, width))
    else:
        x = (
            draw.uniform(-np.pi, np.pi, (n, width))
            if data.kind == "sine"
            else draw.standard_normal((n, width))
        )
        with np.errstate(over="ignore"):  # absurd noise is refused later, as infinite samples
            y = _clean_target(data, x, draw) + data.noise * draw.standard_normal(n)
    names = tuple(f"x{i + 1}" for i in range(width)) if width <= 1000 else ()
    return Loaded(
        x=x, y=y.reshape(-1, 1), x_place="data", y_place="data", feature_names=names, target_names=("y",)
    )


def _clean_target(data: SyntheticData, x: Floats, draw: np.random.Generator) -> Floats:
    y: Floats
    if data.kind == "sine":
        y = np.sin(x[:, 0])
    elif data.kind == "linear":
        y = 2.0 * x.sum(axis=1) - 1.0
    else:
        y = x @ draw.standard_normal(x.shape[1])
    return y
