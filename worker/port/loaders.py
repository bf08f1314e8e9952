"""Reads the first samples of what a user's `data(split)` returns: arrays, batches of them, or a loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.worker.port.contract import Arrays, ProgramError

MOST_NUMBERS = 8_000_000
"""No more numbers of a loader are read than this."""


def first_samples(result: Any) -> tuple[Arrays, dict[str, Any]]:
    """Return the samples by name, joined, with `sizes` of the batches, whether the loader `ended`, and which
    are `targets`, where a batch has several.

    A pair is `x` and `y`; an x that is a mapping or a list gives an array for each. Raises ProgramError.
    """
    read: list[Arrays] = []
    numbers, ended = 0, True
    targets: list[str] = []
    for batch in batches_of(result):
        targets = targets or _several_targets(batch)
        read.append({name: _array(one) for name, one in named_parts(batch).items()})
        numbers += sum(array.size for array in read[-1].values())
        if numbers >= MOST_NUMBERS:
            ended = False
            break
    if not read:
        raise ProgramError("data(split) gave no batch")
    names = list(read[0])
    sizes = [len(next(iter(one.values()))) for one in read]
    shapes = {name: {one[name].shape[1:] for one in read} for name in names}
    if any(len(several) > 1 for several in shapes.values()):  # padded batch by batch
        read, ended = read[:1], False
    return {name: np.concatenate([one[name] for one in read]) for name in names}, {
        "sizes": sizes,
        "ended": ended,
        "targets": targets,
    }


def batches_of(result: Any) -> Iterator[Any]:
    """Yield each batch of what data(split) returned, as it is; arrays are one batch."""
    if isinstance(result, Mapping) or is_arrays(result):
        yield result
        return
    if hasattr(result, "__getitem__") and hasattr(result, "__len__") and not hasattr(result, "__iter__"):
        yield from (result[place] for place in range(len(result)))
        return
    yield from result


def is_arrays(result: Any) -> bool:
    """Return whether this is arrays themselves, not batches of them."""
    if hasattr(result, "shape"):
        return True
    return isinstance(result, tuple) and all(
        hasattr(one, "shape") or isinstance(one, Mapping) for one in result
    )


def named_parts(batch: Any) -> dict[str, Any]:
    """Return the parts of a batch by name, as they are. Raises ProgramError for more than there are names."""
    if isinstance(batch, Mapping):
        return {str(name): one for name, one in batch.items()}
    parts = list(batch) if isinstance(batch, tuple | list) else [batch]
    names = ("x", "y", "sample_weight")
    if len(parts) > len(names):
        raise ProgramError(
            f"data(split) gave a batch of {len(parts)} parts; it must be x, (x, y) or a mapping of arrays"
        )
    found: dict[str, Any] = {}
    for name, part in zip(names, parts, strict=False):
        if isinstance(part, Mapping):
            found |= {str(key): one for key, one in part.items()}
        elif isinstance(part, tuple | list) and part and hasattr(part[0], "shape"):
            found |= {f"{name}{place}": one for place, one in enumerate(part)}
        else:
            found[name] = part
    return found


def _several_targets(batch: Any) -> list[str]:
    """Return the names of the targets of a pair that has more than one."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        return []
    named = named_parts((None, batch[1]))
    return [name for name in named if name not in ("x", "y")]


def _array(given: Any) -> NDArray[Any]:
    array = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
    if array.dtype.hasobject or array.dtype.kind in "US":
        raise ProgramError(f"data(split) gave {array.dtype} where numbers belong")
    if not array.ndim:
        raise ProgramError("data(split) gave one number where a batch belongs")
    return array
