"""The data sets that ship with Likewise, in `tables/`: the arrays of scikit-learn's, bit for bit.

Where they come from, and under which licence, stands beside them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from producer.data.loaded import Loaded
from shared.job.data import BuiltinData

TABLES = Path(__file__).parent / "tables"


def load(data: BuiltinData) -> Loaded:
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
