"""Samples written in the job file."""

from __future__ import annotations

import numpy as np

from producer.data.loaded import Loaded
from producer.data.prepared import Floats
from shared.errors import DataError
from shared.spec.data import InlineData


def load(data: InlineData) -> Loaded:
    """The samples; raises DataError where x and y do not pair up."""
    x, y = table(data.x), table(data.y)
    if len(x) != len(y):
        raise DataError(f"data: x has {rows(x)} and y has {rows(y)}; each sample needs both")
    weights = None if data.sample_weights is None else np.array(data.sample_weights, dtype=np.float64)
    if weights is not None and len(weights) != len(x):
        raise DataError(f"data.sample_weights: has {len(weights)} numbers, and there are {rows(x)} of x")
    return Loaded(
        x=x, y=y, weights=weights, weights_place="data.sample_weights", x_place="data.x", y_place="data.y"
    )


def table(values: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> Floats:
    """Rows as float64 (n, columns); a flat list is one column."""
    array = np.array(values, dtype=np.float64)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def rows(array: Floats) -> str:
    """How many, in words."""
    return f"{len(array)} row{'s' * (len(array) != 1)}"
