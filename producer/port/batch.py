"""The batch that both programs are fed: the user's, or one that is drawn; and how it lies in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import Arrays, Batch, LoadedSamples, RecordedPass
from likewise.producer.port.frameworks import frameworks
from likewise.producer.port.fused import patches_of
from likewise.producer.port.hosted import Hosted
from likewise.shared.errors import DataError, RunFailedError

TARGETS = ("y", "targets", "labels")
DRAWN_SAMPLES = 4
MOST_LOADED = 32
"""No more samples of a loader's first batch are fed."""
_AXES_OF_PICTURES = 4
"""An array with as many axes, of whatever numbers, may have its channels first, as bytes of pictures do."""
_AXES_OF_SEQUENCES = 3
_AXES_OF_VIDEOS = 5
_FEW_CHANNELS = 4
_MOST_REFUSED = 2
"""No more layouts than this are told where a program runs in none."""
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


_MOVES: Mapping[str, tuple[int, int]] = {
    "channels first": (-1, 1),
    "channels last": (1, -1),
    "channels after time": (-1, 2),
    "channels after height and width": (2, -1),
    "time first": (1, 0),
}
"""Each says from where to where an axis is moved."""
_OF_VIDEOS = ("channels after time", "channels after height and width")


def _move(array: NDArray[Any], word: str) -> NDArray[Any]:
    """Return an array with an axis moved; one with fewer axes is as it was."""
    start, end = _MOVES[word]
    return np.moveaxis(array, start, end) if max(start, end) < array.ndim else array


def layouts(inputs: Arrays, *, channels: str) -> Iterator[tuple[str | None, Arrays]]:
    """Yield the batch as it may lie in a program: as it is, then with its channels moved.

    The word says what was assumed. `channels` is where the program's framework has them, `first` or `last`: a
    batch of pictures that has them elsewhere, by its sizes, is moved first of all, since a model may be built
    by whatever it is fed first.
    """
    found: list[tuple[str | None, Arrays]] = [(None, inputs)]
    spatial = {
        name: array
        for name, array in inputs.items()
        if array.ndim >= _AXES_OF_PICTURES or (array.ndim == _AXES_OF_SEQUENCES and array.dtype.kind == "f")
    }
    for word in _MOVES:
        moved = {
            name: _move(one, word)
            for name, one in spatial.items()
            if word not in _OF_VIDEOS or one.ndim >= _AXES_OF_VIDEOS
        }
        if moved:
            found.append((word, {**inputs, **moved}))
    if any(_has_channels(one, elsewhere=channels) for one in spatial.values()):
        found.sort(key=lambda layout: layout[0] != f"channels {channels}")
    yield from found


def _has_channels(array: NDArray[Any], *, elsewhere: str) -> bool:
    """Return whether pictures seem to have few channels at the end that is not this one."""
    if array.ndim < _AXES_OF_PICTURES:
        return False
    sizes = (array.shape[1], array.shape[-1])[:: 1 if elsewhere == "first" else -1]
    return bool(sizes[0] > _FEW_CHANNELS >= sizes[1])


def forward_in_some_layout(
    side: Hosted,
    batch: Batch,
    first_input: NDArray[Any] | None = None,
    *,
    prepare: Callable[[], None] = lambda: None,
) -> tuple[str | None, Batch, RecordedPass]:
    """Run a program on the batch, as it lies in the layout in which its first module gets the same.

    The word says what was assumed of it, and the batch is as it lies there. `first_input` is what entered the
    reference's first module, where that has run; `prepare` is called once the program is built. Raises
    RunFailedError where it runs in no layout.
    """
    refused: list[str] = []
    ran: tuple[str | None, Batch, RecordedPass] | None = None
    for word, given in layouts(batch.inputs, channels=frameworks()[side.framework]["channels"]):
        laid = replace(batch, inputs=given)
        try:
            side.feed(laid)
            prepare()
            calls = side.forward(given)
        except RunFailedError as error:
            told = str(error) if word is None else f"with its axes as {word}, {error}"
            refused += [] if any(str(error) in one for one in refused) else [told]
            continue
        entered = next(
            (call.entered for call in calls if call.path is not None and call.entered is not None), None
        )
        same = first_input is None or entered is None or _is_the_same(entered, first_input)
        ran = (word, laid, calls) if same or ran is None else ran
        if same:
            break
    if ran is None:
        raise RunFailedError("; ".join(refused[:_MOST_REFUSED]))
    side.feed(ran[1])
    return ran


def with_targets_laid(
    side: Hosted,
    batch: Batch,
    word: str | None,
    outputs: Arrays,
    *,
    wanted: Callable[[], float] | None = None,
) -> Batch:
    """Return the batch with its targets as the program's loss takes them: as they are, or moved as inputs.

    Masks of pictures are such targets, and so are the classes of sequences whose time comes first. Some
    programs move them by themselves. `outputs` are those that the targets belong to, and `wanted` is the
    other program's loss of the same: the nearer one counts, and without it the first that the loss takes.
    """
    targets = batch.targets
    if targets is None or word is None:
        return batch
    moved = _move(targets, word)
    shapes = {one.shape for one in outputs.values()}
    if moved.shape not in shapes | {shape[:-1] for shape in shapes if word == "time first"}:
        return batch
    losses: list[tuple[float, NDArray[Any]]] = []
    with suppress(RunFailedError):
        right = 0.0 if wanted is None else wanted()
        for one in (targets, moved):
            with suppress(RunFailedError):
                loss, _ = side.loss(outputs, one)
                losses.append((abs(loss - right) if wanted else 0.0, one))
    _, nearest = min(losses, key=lambda pair: pair[0], default=(0.0, targets))
    return batch if nearest is targets else replace(batch, targets=nearest)


def outputs_as(word: str | None, outputs: Arrays, theirs: Arrays) -> Arrays:
    """Return outputs under the names of another program's, with their axes moved where they else fit none."""
    return {
        name: one if word is None or one.shape == two.shape else _move(one, word)
        for (name, two), one in zip(theirs.items(), outputs.values(), strict=False)
    }


def _is_the_same(entered: NDArray[Any], first_input: NDArray[Any]) -> bool:
    """Return whether two first modules get the same: the same numbers, or in each patch of a picture."""
    if entered.shape == first_input.shape:
        return bool(np.allclose(entered, first_input, rtol=1e-6, atol=1e-12))
    pictures, flat = sorted((entered, first_input), key=lambda one: -one.ndim)
    if flat.ndim != _AXES_OF_SEQUENCES or pictures.size != flat.size:
        return False
    numbers = flat.shape[-1] // pictures.shape[-1]
    windows = [(high, numbers // high) for high in range(1, numbers + 1) if numbers % high == 0]
    cut = [one for window in windows if (one := patches_of(pictures, window)) is not None]
    return any(
        np.allclose(np.sort(one.reshape(flat.shape)), np.sort(flat), rtol=1e-6, atol=1e-12)
        for one in cut
        if one.size == flat.size and one.shape[:2] == flat.shape[:2]
    )


def _cast(array: NDArray[Any], precision: str) -> NDArray[Any]:
    if array.dtype.kind == "b":
        return array
    return array.astype(precision) if array.dtype.kind == "f" else array.astype(np.int64)


def _target(array: NDArray[Any] | None, precision: str) -> NDArray[Any] | None:
    return None if array is None else _cast(array, precision)
