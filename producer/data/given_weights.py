"""Initial weights that the user brings, in the job file or in a NumPy archive."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from producer.data.loaded import find_file
from producer.data.npz import read_arrays
from producer.data.prepared import Floats
from producer.display import printable, short
from shared.errors import DataError
from shared.spec import InitialWeights
from shared.spec.weights import GivenWeights, NpzWeights


def given_weights(declared: InitialWeights, base: Path) -> Mapping[str, Floats] | None:
    """Arrays by name, float64; None where weights are drawn. Raises DataError."""
    if isinstance(declared, GivenWeights):
        return {name: np.array(values, dtype=np.float64) for name, values in declared.weights.items()}
    if not isinstance(declared, NpzWeights):
        return None
    try:
        arrays = read_arrays(find_file(declared.path, base))
    except DataError as error:
        message = str(error).removeprefix(f"data.path {short(declared.path)}: ")
        raise DataError(f"initial_weights.path {short(declared.path)}: {message}") from None
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DataError(f"initial_weights: array {printable(name)} holds NaN or infinity")
    return arrays
