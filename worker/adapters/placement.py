"""Where a printed program puts each number of the weights that it is given.

The program says how it takes them, in Keras's layouts; what it does then is seen by giving it numbers that
name their own places. So its weights can be read back in the same layouts, whatever the layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.trainer import Floats, Weights

_FIRST = 1_000.5
"""Arrays are numbered from here, which no program has among its own numbers."""
_BASE = 4_096
"""Places are given in two digits of this base, which float32 holds."""


class Placement:
    """Knows the place of each number in a program's arrays."""

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], made: Callable[[Weights], Sequence[Floats]]
    ) -> None:
        """Have the program made three times; `made` returns its arrays, always in one order.

        Raises UnsupportedError where a number of the weights is in none of them.
        """
        self._shapes = dict(shapes)
        places = {name: np.arange(np.prod(shape, dtype=int)).reshape(shape) for name, shape in shapes.items()}
        owners = made({name: np.full(shape, _FIRST + at) for at, (name, shape) in enumerate(shapes.items())})
        low = made({name: (place % _BASE).astype(np.float64) for name, place in places.items()})
        high = made({name: (place // _BASE).astype(np.float64) for name, place in places.items()})
        self._found: dict[str, list[tuple[int, NDArray[np.intp], NDArray[np.int64]]]] = {}
        for at, (name, place) in enumerate(places.items()):
            self._found[name] = found = []
            for number, owner in enumerate(owners):
                here = np.flatnonzero(owner == _FIRST + at)
                if len(here):
                    wholes = [np.rint(one[number].reshape(-1)[here]).astype(np.int64) for one in (low, high)]
                    found.append((number, here, wholes[0] + _BASE * wholes[1]))
            seen = np.unique(np.concatenate([where for _, _, where in found] or [np.empty(0, np.int64)]))
            if not np.array_equal(seen, place.reshape(-1)):
                raise UnsupportedError(f"the printed program does not take {name} as it is")

    def read(self, arrays: Sequence[Floats]) -> Weights:
        """Return the weights in Keras's layouts, from the program's arrays."""
        weights: Weights = {}
        for name, shape in self._shapes.items():
            flat = np.empty(np.prod(shape, dtype=int), arrays[self._found[name][0][0]].dtype)
            for number, here, places in self._found[name]:
                flat[places] = arrays[number].reshape(-1)[here]
            weights[name] = flat.reshape(shape)
        return weights
