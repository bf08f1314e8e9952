"""What fits this machine's memory, and work on arrays that are larger than one would copy.

Everything here goes over an array a stretch of rows at a time. Where the array is mapped from a file, the
pages that were read are given back, so that it takes the memory of a stretch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import size
from likewise.shared.errors import DataError
from likewise.shared.store.arrays import give_back_pages

STRETCH_BYTES = 8 * 2**20
"""What a stretch of rows takes as float64."""
_STATISTICS_BYTES = 64 * 2**20
"""What it takes where it is summed up: larger, so that the sums of most tables are NumPy's own."""
_SPARE = 8
"""An array of rows that is full grows by this part of it more than it must."""
MEMORY_SHARE, DISK_SHARE = 0.5, 0.9
"""How much of what is free an array of the user's may take."""
_LIMITS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)
"""The files in which a container's limit and use of memory stand (cgroup v2, v1)."""


def available_bytes() -> int:
    """Return how much memory this process may still take: the machine's, or its container's."""
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used in _LIMITS:
        try:
            free = min(free, int(limit.read_text()) - int(used.read_text()))
        except (OSError, ValueError):  # no such limit, or `max`
            continue
    return max(0, free)


def room_for(shape: tuple[int, ...], dtype: np.dtype[Any], *, place: str) -> NDArray[Any]:
    """Return an array to be filled: in memory, or in a temporary file that is mapped to it.

    The file is taken where the array would need more than half of the memory that is free, and is gone
    with the array. Raises DataError where the disk has no room either.
    """
    needed, free = prod(shape) * dtype.itemsize, available_bytes()
    if needed <= free * MEMORY_SHARE:
        return np.empty(shape, dtype)
    folder = tempfile.gettempdir()
    spare = shutil.disk_usage(folder).free
    if needed > spare * DISK_SHARE:
        raise DataError(
            f"{place}: {' × '.join(f'{axis:,}' for axis in shape)} numbers of {dtype.itemsize} "
            f"bytes ({dtype}) are {size(needed)}; {size(free)} of memory are free here, of which "
            f"{MEMORY_SHARE:.0%} may be taken, and {size(spare)} on the disk of {folder}, of which "
            f"{DISK_SHARE:.0%} may be; set TMPDIR to a larger disk, or take fewer samples"
        )
    with tempfile.TemporaryFile(prefix="likewise-") as file:
        file.truncate(max(needed, 1))
        return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))


class GrowingRows:
    """It is rows of numbers, float64 (rows, width), in an array that grows where it lies.

    Blocks that are kept and joined in the end would be in memory twice.
    """

    def __init__(self, width: int) -> None:
        self._array: NDArray[np.float64] = np.empty((0, width))
        self._filled = 0

    def append(self, columns: Sequence[NDArray[np.float64] | None], rows: int) -> None:
        """Put so many rows behind those that are there; a column that is None is filled with anything."""
        end = self._filled + rows
        if end > len(self._array):
            self._resize(end + end // _SPARE)
        for place, numbers in enumerate(columns):
            if numbers is not None:
                self._array[self._filled : end, place] = numbers
        self._filled = end

    def whole(self) -> NDArray[np.float64]:
        """Return all rows; none can be added after that."""
        self._resize(self._filled)
        return self._array

    def _resize(self, rows: int) -> None:
        self._array.resize((rows, self._array.shape[1]), refcheck=False)


def grouped(numbers: Collection[str], together: Iterable[str]) -> dict[tuple[str, ...], GrowingRows]:
    """Return room for columns of numbers: for those in `together` side by side, and for each other by itself.

    Tables of 100,000 columns come here, so `numbers` is a set or a mapping, in which a name is found at once.
    """
    side_by_side = tuple(name for name in dict.fromkeys(together) if name in numbers)
    joined = frozenset(side_by_side)
    alone = [(name,) for name in numbers if name not in joined]
    return {names: GrowingRows(len(names)) for names in (side_by_side, *alone) if names}


def stretches(array: NDArray[Any], *, nbytes: int | None = None) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the rows of an array in order, about so many bytes of float64 at a time, each with its place."""
    rows = max(1, (nbytes or STRETCH_BYTES) // max(1, 8 * prod(array.shape[1:])))
    for begin in range(0, len(array), rows):
        place = slice(begin, begin + rows)
        yield place, array[place]
        give_back_pages(array)


def taken(array: NDArray[Any], rows: NDArray[np.int64], place: str = "data") -> NDArray[Any]:
    """Return the rows of an array, which rise; the array itself where these are all of them."""
    if len(rows) == len(array):
        return array
    out = room_for((len(rows), *array.shape[1:]), array.dtype, place=place)
    for stretch, some in stretches(array):
        begin, end = np.searchsorted(rows, (stretch.start, stretch.stop))
        np.take(some, rows[begin:end] - stretch.start, axis=0, out=out[begin:end], mode="clip")
        give_back_pages(out)
    return out


def divided(array: NDArray[Any], parts: Sequence[NDArray[np.int64]], *, given_up: bool) -> list[NDArray[Any]]:
    """Return the rows of each part, which rise and are no other part's.

    With `given_up`, the first part's rows move to the array's beginning, so that they take no more memory.
    """
    first, *others = parts
    copies = [taken(array, rows) for rows in others]
    if not given_up or len(first) == len(array):
        return [taken(array, first), *copies]
    for stretch, some in stretches(array):
        begin, end = np.searchsorted(first, (stretch.start, stretch.stop))
        array[begin:end] = some[first[begin:end] - stretch.start]
    return [array[: len(first)], *copies]


def put_together(
    given: Any, read: Callable[[Any], NDArray[Any]], place: str
) -> tuple[NDArray[Any], dict[str, tuple[int, ...]]]:
    """Return an array, or several by name as rows (n, numbers) side by side, with a sample's shape of each.

    `given` is what `read` gives the array of, or a mapping of such. Raises DataError where the arrays have
    not all the same samples.
    """
    if not isinstance(given, Mapping):
        return read(given), {}
    every = {name: read(one) for name, one in given.items()}
    first, leading = next(iter(every.items()))
    for name, array in every.items():
        if array.ndim == 0 or len(array) != len(leading):
            raise DataError(
                f"{place}.{name}: has {_samples(array)}, and {place}.{first} has {_samples(leading)}; each "
                "sample needs all of them"
            )
    return _side_by_side(every, place), {name: array.shape[1:] or (1,) for name, array in every.items()}


def _samples(array: NDArray[Any]) -> str:
    return "a single number" if array.ndim == 0 else f"{len(array):,} sample{'s' * (len(array) != 1)}"


def _side_by_side(every: Mapping[str, NDArray[Any]], place: str) -> NDArray[Any]:
    """Return the arrays as rows of numbers, in a dtype that holds those of all."""
    flat = [array.reshape(len(array), -1) for array in every.values()]
    width = sum(array.shape[1] for array in flat)
    whole = room_for((len(flat[0]), width), np.result_type(*flat), place=place)
    begin = 0
    for array in flat:
        for stretch, some in stretches(array):
            whole[stretch, begin : begin + array.shape[1]] = some
        begin += array.shape[1]
    return whole


def mean_and_deviation(array: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the standard deviation of each feature over the rows, in float64.

    The deviation is 0 where a feature never varies. Up to a stretch has the bits of NumPy's own.
    """
    count, nbytes = len(array), _STATISTICS_BYTES
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum(some.sum(axis=0, dtype=np.float64) for _, some in stretches(array, nbytes=nbytes)) / count
        squares = sum(_squares(some - mean) for _, some in stretches(array, nbytes=nbytes)) / count
    varies = np.zeros(array.shape[1:], bool)
    for _, some in stretches(array):
        varies |= (some != array[0]).any(axis=0)
    return mean, np.where(varies, np.sqrt(squares), 0.0)


def _squares(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the squares over the rows; the differences are overwritten."""
    total: NDArray[np.float64] = np.square(differences, out=differences).sum(axis=0)
    return total


def scaled(
    array: NDArray[Any], mean: NDArray[np.float64], scale: NDArray[np.float64], *, given_up: bool
) -> NDArray[np.floating[Any]]:
    """Return (array − mean) / scale, computed in float64; narrow numbers give float32, others float64.

    With `given_up`, the array is overwritten where the numbers fit it.
    """
    dtype = np.dtype(np.float32 if array.dtype.itemsize <= 4 else np.float64)
    out = (
        array if given_up and array.dtype == dtype else room_for(array.shape, dtype, place="data.standardize")
    )
    for place, some in stretches(array):
        out[place] = (some - mean) / scale
    return out
