"""The data sets that lie inside scikit-learn's package; nothing is downloaded."""

from __future__ import annotations

from typing import Any

import numpy as np

from producer.data.loaded import Loaded
from shared.spec.data import BuiltinData


def load(data: BuiltinData) -> Loaded:
    """The data set as scikit-learn gives it: digits as 64 pixels from 0 to 16, the rest as measured."""
    from sklearn import datasets

    loaders = {
        "diabetes": datasets.load_diabetes,
        "digits": datasets.load_digits,
        "iris": datasets.load_iris,
        "wine": datasets.load_wine,
        "breast_cancer": datasets.load_breast_cancer,
    }
    bunch: Any = loaders[data.name]()
    return Loaded(
        x=np.ascontiguousarray(bunch.data, dtype=np.float64),
        y=np.asarray(bunch.target, dtype=np.float64).reshape(-1, 1),
        x_place=f"data.name {data.name}",
        y_place=f"data.name {data.name}",
        feature_names=tuple(str(name) for name in bunch.feature_names),
        target_names=(data.name,),
        class_names=tuple(str(name) for name in getattr(bunch, "target_names", ())),
    )
