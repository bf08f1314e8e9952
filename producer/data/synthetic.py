"""Samples drawn from a seed by a Philox generator: the formulas of `shared.spec.data.SyntheticData`.

The draws come from `np.random.Generator`; the arrays' hashes travel with the run, so a NumPy that drew
other numbers would show.
"""

from __future__ import annotations

import numpy as np

from producer.data.draws import Purpose, generator
from producer.data.loaded import Loaded, check_size
from producer.data.prepared import Floats
from shared.spec.data import SyntheticData

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
