"""What must hold of gaps and spreads for any numbers."""

from __future__ import annotations

import json
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from likewise.producer.display import sparkline
from likewise.producer.verdict.gaps import array_gaps, loss_gaps, measured
from likewise.producer.verdict.side_runs import spread
from likewise.shared.results.run_result import Hashes
from likewise.shared.results.seed_table import SeedTable
from tests.listed import Seed

finite = st.floats(allow_nan=False, allow_infinity=False)
losses = st.lists(finite, min_size=1, max_size=20)
arrays = st.lists(st.floats(), min_size=1, max_size=20)


def gap_of(a, b, measure="predictions"):
    if measure == "losses":
        (gap,) = loss_gaps(np.array([a]), np.array([b]))
    else:
        (gap,) = array_gaps(measure, np.array([a]), np.array([b]))
    return gap


@given(arrays)
def test_equal_arrays_have_no_gap(values):
    assert gap_of(values, list(values)).relative == 0


@given(losses)
def test_equal_losses_have_no_gap(values):
    assert gap_of(values, list(values), "losses").relative == 0


@given(arrays, arrays)
def test_a_gap_is_finite_and_never_negative(a, b):
    a, b = a[: len(b)], b[: len(a)]
    gap = gap_of(a, b)

    assert math.isfinite(gap.relative)
    assert gap.relative >= 0
    assert math.isfinite(gap.absolute)
    json.dumps(gap.model_dump(), allow_nan=False)


@given(losses, losses)
def test_a_loss_gap_is_finite_and_never_negative(a, b):
    gap = gap_of(a, b, "losses")

    assert math.isfinite(gap.relative)
    assert gap.relative >= 0


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.data())
def test_any_difference_is_seen(values, data):
    a = [float(value) for value in values]
    b = list(a)
    place = data.draw(st.integers(0, len(a) - 1))
    b[place] += 1

    assert gap_of(a, b).relative > 0
    assert gap_of(a, b).where == f"row {place + 1}"


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=20), st.integers(-20, 20))
def test_a_gap_does_not_change_with_the_unit(values, power):
    a = [float(value) for value in values]
    b = [value + 1 for value in a]
    scale = 2.0**power

    assert gap_of(a, b).relative == gap_of([v * scale for v in a], [v * scale for v in b]).relative


@given(st.lists(finite, min_size=1, max_size=30))
def test_a_spread_lies_within_its_range_and_is_finite_or_missing(values):
    found = spread(values)

    assert found is not None
    assert found.smallest <= found.mean <= found.largest
    assert found.deviation is None or found.deviation >= 0


@given(st.lists(finite, max_size=60), st.integers(1, 40))
def test_a_sparkline_is_never_wider_than_asked(values, width):
    assert len(sparkline(values, width)) == min(width, len(values))


def test_each_of_several_outputs_has_a_scale_of_its_own(samples):
    def table(small):
        outputs = samples.STORE.put(np.array([[1e6, 1.0], [2e6, small]]))
        one = Seed(
            seed=0, epochs=1, losses=(1.0,), final_loss=1.0, outputs=outputs, outputs_of="train",
            weights={"layers.0.kernel": samples.STORE.put(np.ones((1, 1)))},
            hashes=Hashes(initial_weights="a" * 64, batches="b" * 64),
        )  # fmt: skip
        made = SeedTable.of(samples.result("torch", [one]), [0], arrays=samples.STORE.get)
        made.output_columns = {"price": (0, 1), "kind": (1, 2)}
        return made

    (gaps,) = measured(table(2.0), table(2.5)).gaps
    (outputs,) = (gap for gap in gaps if gap.measure == "outputs")

    assert (outputs.relative, outputs.where) == (0.25, "row 2 of kind")  # and not 0.5 of 2,000,000
