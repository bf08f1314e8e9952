"""A start is moved by one unit in the last place, and by no more."""

from __future__ import annotations

import numpy as np

from likewise.worker.training.starts import perturbed


def test_every_weight_but_0_moves_by_one_unit_in_the_last_place() -> None:
    weights = {"kernel": np.random.default_rng(1).normal(size=(5, 3)), "bias": np.zeros(3)}
    moved = perturbed(weights)

    steps = (moved["kernel"] - weights["kernel"]) / np.spacing(np.abs(weights["kernel"]))
    assert sorted(set(steps.ravel())) == [-1.0, 1.0]
    assert not moved["bias"].any()
    assert moved["kernel"].dtype == np.float64
