"""Samples that no file of the user's holds: in the job file, shipped with Likewise, or drawn.

Draws come from `np.random.Generator`; the arrays' hashes travel with the run, so a NumPy that drew other
numbers would show.
"""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.loaded import Floats, Loaded, check_size, column_names_of, named_targets
from likewise.producer.data.memory import put_together, room_for, stretches
from likewise.shared.errors import DataError
from likewise.shared.job.data import SHAPED_LIKE, BuiltinData, InlineData, SyntheticData

TABLES = Path(__file__).parent / "tables"
"""The arrays of scikit-learn's data sets, bit for bit; where they come from, and under which licence, stands
beside them."""
CENTRE_SPREAD = 4.0


class DataPurpose(IntEnum):
    """What a draw is for: the second word of the generator's key. The worker's are below 100."""

    SPLIT = 101
    SYNTHETIC = 102


def load_inline(data: InlineData) -> Loaded:
    """Return the samples of the job file; raise DataError where x and y do not pair up."""
    x, inputs = put_together(data.x, table, "data.x")
    y, outputs = put_together(data.y, table, "data.y")
    if len(x) != len(y):
        raise DataError(f"data: x has {rows(x)} and y has {rows(y)}; each sample needs both")
    weights = None if data.sample_weights is None else np.array(data.sample_weights, dtype=np.float64)
    if weights is not None and len(weights) != len(x):
        raise DataError(f"data.sample_weights: has {len(weights)} numbers, and there are {rows(x)} of x")
    return Loaded(
        x=x,
        y=y,
        weights=weights,
        weights_place="data.sample_weights",
        x_place="data.x",
        y_place="data.y",
        inputs=inputs,
        feature_names=column_names_of(inputs),
        outputs=named_targets(outputs, place="data.y"),
    )


def table(values: tuple[float, ...] | tuple[tuple[float, ...], ...]) -> Floats:
    """Return rows as float64 (n, columns); a flat list is one column."""
    array = np.array(values, dtype=np.float64)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def rows(array: Floats) -> str:
    """Say in words how many rows there are."""
    return f"{len(array)} row{'s' * (len(array) != 1)}"


def load_builtin(data: BuiltinData) -> Loaded:
    """Return the data set: digits as 64 pixels from 0 to 16, diabetes scaled, the rest as measured."""
    with np.load(TABLES / f"{data.name}.npz", allow_pickle=False) as table:
        return Loaded(
            x=table["x"].astype(np.float64),
            y=table["y"].astype(np.float64).reshape(-1, 1),
            x_place=f"data.name {data.name}",
            y_place=f"data.name {data.name}",
            feature_names=tuple(map(str, table["feature_names"])),
            target_names=(data.name,),
            class_names=tuple(map(str, table["class_names"])),
        )


def generator(seed: int, purpose: DataPurpose) -> np.random.Generator:
    """Return a Philox 4×64 generator (Salmon et al. 2011) with the key (seed, purpose)."""
    return np.random.Generator(_philox(seed, purpose))


def permutation(count: int, seed: int, purpose: DataPurpose) -> NDArray[np.int64]:
    """Return the numbers below `count` in an order by raw words, which NumPy keeps stable (NEP 19)."""
    return np.argsort(_philox(seed, purpose).random_raw(count), kind="stable").astype(np.int64)


def _philox(seed: int, purpose: DataPurpose) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))


def load_synthetic(data: SyntheticData) -> Loaded:
    """Draw samples by the formulas of `SyntheticData`: x (n, features), y (n, 1).

    Raises DataError where they would not fit into memory.
    """
    if data.kind in SHAPED_LIKE:
        return _shaped_like(data)
    check_size(data.samples, data.features + 1, "data.samples")
    draw = generator(data.seed, DataPurpose.SYNTHETIC)
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


def _shaped_like(data: SyntheticData) -> Loaded:
    """Draw bytes in the shape of a known set: x uint8 (n, height, width, channels), y uint8 (n, 1)."""
    _, shape = SHAPED_LIKE[data.kind]
    draw = generator(data.seed, DataPurpose.SYNTHETIC)
    y = (np.arange(data.samples) % data.classes).astype(np.uint8)
    pictures = draw.integers(0, 128, (data.classes, *shape), np.uint8)
    x = room_for((data.samples, *shape), np.dtype(np.uint8), place="data.samples")
    for place, some in stretches(x):
        noise = np.frombuffer(draw.bytes(some.size), np.uint8).reshape(some.shape)
        np.add(pictures[y[place]], noise >> 1, out=some)
    return Loaded(x=x, y=y.reshape(-1, 1), x_place="data", y_place="data", target_names=("class",))


def _clean_target(data: SyntheticData, x: Floats, draw: np.random.Generator) -> Floats:
    y: Floats
    if data.kind == "sine":
        y = np.sin(x[:, 0])
    elif data.kind == "linear":
        y = 2.0 * x.sum(axis=1) - 1.0
    else:
        y = x @ draw.standard_normal(x.shape[1])
    return y
