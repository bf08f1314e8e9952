"""The batch that both programs are fed: the user's, or one that is drawn; and how it lies in each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.hosted import Arrays, Batch, Hosted, LoadedSamples, RecordedPass
from likewise.shared.errors import DataError, RunFailedError

TARGETS = ("y", "targets", "labels")
DRAWN_SAMPLES = 4
MOST_LOADED = 32
"""No more samples of a loader's first batch are fed."""
LARGE = 50_000
"""A sample with more numbers than this is large: only two are drawn."""


def read_batch(path: Path, *, precision: str) -> Batch:
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
    return Batch(
        {name: _cast(array, precision) for name, array in arrays.items()},
        _target(targets, precision),
        target=names[0] if names else "y",
    )


def draw_batch(spec: dict[str, Any], *, precision: str) -> Batch:
    """Draw a batch of the shape that a program says it takes, standard normal, or whole numbers below
    a limit.
    """
    draws = np.random.default_rng(0)
    samples = DRAWN_SAMPLES if np.prod(spec["shape"]) <= LARGE else 2
    shape = (samples, *spec["shape"])
    x = draws.integers(0, spec["below"], shape) if spec["below"] else draws.normal(size=shape)
    return Batch(
        {"x": _cast(x, precision)},
        None,
        note=f"no batch was given: one of shape {shape} was drawn, without targets (--batch FILE.npz)",
    )


def loaded_batch(samples: LoadedSamples, *, label: str, precision: str) -> Batch:
    """Return the first batch that a program's own loader gives. Raises DataError without an input."""
    size = min(samples.sizes[0], MOST_LOADED)
    arrays = {name: array[:size] for name, array in samples.arrays.items()}
    name = next((one for one in TARGETS if one in arrays), None)
    targets = None if name is None else arrays.pop(name)
    if not arrays:
        raise DataError(f"data('train') of {label} gives no array that could be an input, such as x")
    return Batch(
        {key: _cast(array, precision) for key, array in arrays.items()},
        _target(targets, precision),
        target=name or "y",
        note=f"no batch was given: both were fed the first {size} samples of {label}'s own loader",
    )


def layouts(inputs: Arrays) -> Iterator[tuple[str | None, Arrays]]:
    """Yield the batch as it may lie in the other program: as it is, then with its channels moved.

    The word says what was assumed.
    """
    yield None, inputs
    spatial = {name: array for name, array in inputs.items() if array.ndim >= 3 and array.dtype.kind == "f"}
    if not spatial:
        return
    yield "channels first", {**inputs, **{name: np.moveaxis(one, -1, 1) for name, one in spatial.items()}}
    yield "channels last", {**inputs, **{name: np.moveaxis(one, 1, -1) for name, one in spatial.items()}}
    yield "time first", {**inputs, **{name: np.swapaxes(one, 0, 1) for name, one in spatial.items()}}


def forward_in_some_layout(
    other: Hosted, batch: Batch, first_input: NDArray[Any] | None
) -> tuple[str | None, Arrays, RecordedPass]:
    """Run the other program on the batch, as it lies in the layout in which its first module gets the same.

    `first_input` is what entered the reference's first module. Raises RunFailedError where it runs in none.
    """
    refused: RunFailedError | None = None
    ran: tuple[str | None, Arrays, RecordedPass] | None = None
    for word, given in layouts(batch.inputs):
        try:
            other.feed(batch, given)
            calls = other.forward(given)
        except RunFailedError as error:
            refused = refused or error
            continue
        entered = next(
            (call.entered for call in calls if call.path is not None and call.entered is not None), None
        )
        if first_input is None or entered is None:
            return word, given, calls
        if entered.shape == first_input.shape and np.allclose(entered, first_input, rtol=1e-6, atol=1e-12):
            return word, given, calls
        ran = ran or (word, given, calls)
    if ran is not None:
        other.feed(batch, ran[1])
        return ran
    raise refused or RunFailedError(f"{other.label}: the program does not run on this batch")


def _cast(array: NDArray[Any], precision: str) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return array
    return array.astype(precision) if array.dtype.kind == "f" else array.astype(np.int64)


def _target(array: NDArray[Any] | None, precision: str) -> NDArray[Any] | None:
    return None if array is None else _cast(array, precision)
