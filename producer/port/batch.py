"""The batch that both programs are fed: the user's, or one that is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import FedBatch, LoadedSamples
from likewise.shared.errors import DataError

TARGETS = ("y", "targets", "labels")
DRAWN_SAMPLES = 4
MOST_LOADED = 32
"""No more samples of a loader's first batch are fed."""
LARGE = 50_000
"""A sample with more numbers than this is large: only two are drawn."""


def read_batch(path: Path, *, precision: str) -> FedBatch:
    """Read an npz file: `y`, `targets` or `labels` are the targets, every other array is an input by
    its name.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as an npz file: {' '.join(str(error).split())[:200]}"
        ) from None
    names = [name for name in TARGETS if name in arrays]
    if len(names) > 1:
        raise DataError(f"{path} has {' and '.join(names)}; which are the targets? Keep one of them")
    targets = arrays.pop(names[0]) if names else None
    if not arrays:
        raise DataError(f"{path} has no array that could be an input, such as x")
    sizes = {name: len(array) for name, array in arrays.items() if array.ndim}
    if targets is not None and targets.ndim:
        sizes[names[0]] = len(targets)
    if len(set(sizes.values())) != 1:
        listed = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(f"the arrays of {path} have other numbers of samples: {listed}")
    return FedBatch(
        {name: _cast(array, precision) for name, array in arrays.items()},
        _target(targets, precision),
        target=names[0] if names else "y",
    )


def draw_batch(spec: dict[str, Any], *, precision: str) -> FedBatch:
    """Draw a batch of the shape that a program says it takes, standard normal, or whole numbers below
    a limit.
    """
    draws = np.random.default_rng(0)
    samples = DRAWN_SAMPLES if np.prod(spec["shape"]) <= LARGE else 2
    shape = (samples, *spec["shape"])
    x = draws.integers(0, spec["below"], shape) if spec["below"] else draws.normal(size=shape)
    return FedBatch(
        {"x": _cast(x, precision)},
        None,
        note=f"no batch was given: one of shape {shape} was drawn, without targets (--batch FILE.npz)",
    )


def loaded_batch(samples: LoadedSamples, *, label: str, precision: str) -> FedBatch:
    """Return the first batch that a program's own loader gives. Raises DataError without an input."""
    size = min(samples.sizes[0], MOST_LOADED)
    arrays = {name: array[:size] for name, array in samples.arrays.items()}
    name = next((one for one in TARGETS if one in arrays), None)
    targets = None if name is None else arrays.pop(name)
    more = {key: _cast(arrays.pop(key), precision) for key in samples.targets if key in arrays}
    if not arrays:
        raise DataError(f"data('train') of {label} gives no array that could be an input, such as x")
    return FedBatch(
        {key: _cast(array, precision) for key, array in arrays.items()},
        _target(targets, precision),
        target=name or "y",
        note=f"no batch was given: both were fed the first {size} samples of {label}'s own loader",
        more=more,
    )


def _cast(array: NDArray[Any], precision: str) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return array
    return array.astype(precision) if array.dtype.kind == "f" else array.astype(np.int64)


def _target(array: NDArray[Any] | None, precision: str) -> NDArray[Any] | None:
    return None if array is None else _cast(array, precision)
