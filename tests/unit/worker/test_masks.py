"""Dropout masks by address."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.program import Mask, compile_model
from likewise.worker.adapters.common import bytes_per_sample
from likewise.worker.training.draws import MaskSource, mask_keys


def layer(rate: float = 0.25, *, index: int = 1, shape: tuple[int, ...] = (3, 5)) -> Mask:
    return Mask(index=index, path=f"layers.{index}", rate=rate, shape=shape)


def masks_of(source: Mask, *, seed: int = 0, first: int = 0, steps: int = 1, rows: int = 4) -> np.ndarray:
    return MaskSource([source], seed=seed, precision="float32").block(
        first_step=first, steps=steps, batch_size=rows
    )[source.path]


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_factor_is_zero_or_the_scale_in_the_precision_of_the_run(precision: Precision) -> None:
    masks = MaskSource([layer(0.3)], seed=0, precision=precision).block(first_step=0, steps=2, batch_size=50)[
        "layers.1"
    ]
    assert masks.dtype == precision
    assert masks.shape == (2, 50, 3, 5)
    assert set(np.unique(masks)) == {0, np.dtype(precision).type(1 / (1 - 0.3))}


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_dropped_share_is_the_rate(rate: float) -> None:
    masks = masks_of(layer(rate), steps=40, rows=200)
    dropped = (masks == 0).mean()
    assert abs(dropped - rate) < 4 * np.sqrt(rate * (1 - rate) / masks.size)


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.integers(0, 2**40),
    st.integers(1, 7),
)
def test_cutting_into_blocks_changes_no_mask(cuts: list[int], first: int, rows: int) -> None:
    whole = masks_of(layer(), first=first, steps=sum(cuts), rows=rows)
    step = first
    parts = []
    for steps in cuts:
        parts.append(masks_of(layer(), first=step, steps=steps, rows=rows))
        step += steps
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_smaller_batch_has_the_first_rows_of_a_larger_one() -> None:
    assert np.array_equal(masks_of(layer(), rows=3), masks_of(layer(), rows=7)[:, :3])


def test_other_seeds_steps_and_layers_drop_other_elements() -> None:
    masks = [
        masks_of(layer(), rows=50),
        masks_of(layer(), rows=50, seed=1),
        masks_of(layer(), rows=50, first=1),
        masks_of(layer(index=2), rows=50),
    ]
    for one in range(4):
        for other in range(one):
            assert not np.array_equal(masks[one], masks[other])


def test_a_layer_s_own_seed_stands_for_the_run_s() -> None:
    own = Mask(index=1, path="layers.1", rate=0.25, shape=(3, 5), seed=7)
    assert np.array_equal(masks_of(own, seed=0, rows=50), masks_of(layer(), seed=7, rows=50))
    assert np.array_equal(masks_of(own, seed=0, rows=50), masks_of(own, seed=1, rows=50))
    assert mask_keys([own, layer(index=2)], 3) == ((7, 1, 0.25), (3, 2, 0.25))


def test_only_layers_that_drop_something_have_masks(job_of: Callable[..., Job]) -> None:
    model = job_of(
        model={
            "layers": [
                {"type": "dropout", "rate": 0.5, "name": "first"},
                {"type": "dense", "units": 4},
                {"type": "dropout", "rate": 0.0},
                {"type": "dropout", "rate": 0.2, "seed": 6},
            ]
        }
    ).model
    layers = compile_model(model, (3,)).masks
    assert [(found.path, found.index, found.shape, found.seed) for found in layers] == [
        ("first", 0, (3,), None),
        ("layers.3", 3, (4,), 6),
    ]
    assert mask_keys(layers, 8) == ((8, 0, 0.5), (6, 3, 0.2))
    assert bytes_per_sample(layers, "float32") == 4 * (3 + 4)
