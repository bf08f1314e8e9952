"""The traced replay on an adapter that is no framework: what is kept, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.shared.results.step_trace import LARGEST, NUMBERS, PROJECTIONS, SIZE, TraceRequest
from likewise.worker.training.tracing import Fingerprinter

TAKE = Fingerprinter().take


DROPPING = {"layers": [{"type": "dropout", "rate": 0.25, "name": "drop"}, {"type": "dense", "units": 1}]}


def samples(count=10):
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(count, 3))
    return x, x @ [[1.0], [-2.0], [3.0]]


@pytest.fixture
def traced(lab, job_of):
    """A trace of five epochs of ten samples in batches of four, with changes."""

    def trace(*, request=None, parts=None, **fields):
        training = {"epochs": 5, "batch_size": 4, "shuffle": True} | fields.pop("training", {})
        job = job_of(model=DROPPING, precision="float64", training=training, **fields)
        run = lab.run(job, train=samples(), **(parts or {}))
        asked = TraceRequest(**{"steps": 100, "seconds": 60.0} | (request or {}))
        result = lab.train(run.model_copy(update={"trace": asked}))
        assert result.failure is None, result.failure
        return result.trace, lab.train(run)

    return trace


def column(lab, trace, stage, tensor):
    places = [(place.stage, place.tensor) for place in trace.places]
    return lab.load(trace.table)[:, places.index((stage, tensor))]


def test_every_tensor_of_every_step_has_a_fingerprint(lab, traced):
    trace, trained = traced()

    assert (trace.steps, trace.finished, trace.ended_by) == (tuple(range(1, 16)), True, None)
    assert [(place.stage, place.tensor) for place in trace.places] == [
        *(("data", name) for name in ("indices", "x", "y", "sample_weights")),
        *(("forward", name) for name in ("drop", "layers.1")),
        ("loss", "loss"),
        *(("backward", name) for name in ("layers.1.bias", "layers.1.kernel")),
        *(("update", name) for name in ("layers.1.kernel", "layers.1.bias")),
    ]
    table = lab.load(trace.table)
    assert table.shape == (15, len(trace.places), NUMBERS)
    assert np.isfinite(table).all()
    weights = lab.only(trained).weights
    np.testing.assert_array_equal(
        column(lab, trace, "update", "layers.1.kernel")[-1], TAKE(lab.load(weights["layers.1.kernel"]))
    )
    assert trace.learning_rates == (0.05,) * 15


def test_the_partial_last_batch_is_told_by_its_size(lab, traced):
    trace, _ = traced()
    sizes = column(lab, trace, "data", "indices")[:, -1]
    np.testing.assert_array_equal(sizes, [4, 4, 2] * 5)


def test_what_is_measured_in_inference_mode_is_told_where_it_is_taken(lab, traced):
    trace, trained = traced(parts={"validation": samples(6), "predict": samples(2)[0]})
    told = {(place.step, place.tensor): row for place, row in zip(
        trace.evaluated, lab.load(trace.evaluations), strict=True
    )}  # fmt: skip
    seed = lab.only(trained)

    assert [step for step, name in told if name == "validation_loss"] == [3, 6, 9, 12, 15]
    np.testing.assert_array_equal(told[6, "validation_loss"], TAKE(seed.validation_losses[1]))
    np.testing.assert_array_equal(told[15, "outputs"], TAKE(lab.load(seed.outputs)))
    np.testing.assert_array_equal(told[15, "predictions"], TAKE(lab.load(seed.predictions)))
    np.testing.assert_array_equal(told[15, "train.mae"], TAKE(seed.metrics["train"]["mae"]))


def test_a_trace_that_begins_late_has_the_first_update_too_and_is_the_end_of_the_whole_one(lab, traced):
    whole, _ = traced()
    late, _ = traced(request={"skip": 8, "steps": 3})

    assert (late.steps, late.finished) == ((1, 9, 10, 11), False)
    np.testing.assert_array_equal(lab.load(late.table), lab.load(whole.table)[[0, 8, 9, 10]])
    first, resumed = lab.load(late.starts)
    np.testing.assert_array_equal(first, lab.load(whole.starts)[0])
    after = [column(lab, whole, "update", name)[7] for name in late.weight_names]
    np.testing.assert_array_equal(resumed, np.stack(after))


def test_kept_tensors_are_those_of_the_last_step(lab, traced):
    trace, _ = traced(request={"skip": 4, "steps": 1, "keep": True})
    kept = {
        stage: {name: lab.load(ref) for name, ref in named.items()} for stage, named in trace.kept.items()
    }

    for place in trace.places:
        np.testing.assert_array_equal(
            TAKE(kept[place.stage][place.tensor]), column(lab, trace, place.stage, place.tensor)[-1]
        )
    before = lab.load(trace.start_weights["layers.1.kernel"])
    np.testing.assert_allclose(
        before - 0.05 * kept["backward"]["layers.1.kernel"], kept["update"]["layers.1.kernel"], rtol=1e-14
    )


def test_layers_are_fed_again_from_the_weights_and_inputs_given(lab, traced):
    fed, weight = np.ones((4, 3)), np.array([[1.0], [2.0], [3.0]])
    refeed = {
        "weights": {"layers.1.kernel": lab.store(weight), "layers.1.bias": lab.store(np.ones((2, 2)))},
        "inputs": {"layers.1": (lab.store(fed),)},
    }
    trace, _ = traced(request={"steps": 1, "refeed": refeed})

    assert list(trace.refed) == ["layers.1"]
    # the bias of another shape is left aside: the run's own, which starts at 0, is used
    np.testing.assert_array_equal(lab.load(trace.refed["layers.1"]), fed @ weight)


def test_a_training_that_diverges_ends_the_trace_with_a_word(traced):
    trace, _ = traced(optimizer={"type": "sgd", "learning_rate": 1e200})

    assert 1 <= len(trace.steps) < 15
    assert "became" in trace.ended_by


def test_the_time_bounds_the_trace_but_for_one_step(traced):
    trace, _ = traced(request={"seconds": 1e-9})
    assert (trace.steps, trace.finished) == ((1,), False)


LONG = 3 * 2**16 + 7


def apart(a, b):
    return np.abs(TAKE(a) - TAKE(b))[:PROJECTIONS].max()


def test_a_fingerprint_has_the_largest_value_and_the_size():
    found = TAKE(np.array([[1.0, -3.0], [2.0, 0.5]]))
    assert (found.shape, found[LARGEST], found[SIZE]) == ((NUMBERS,), 3.0, 4)
    assert TAKE(np.zeros((0, 3)))[SIZE] == 0
    np.testing.assert_array_equal(TAKE(2.0), TAKE(np.array([2.0])))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, LONG), st.integers(0, 10**6), st.floats(1e-9, 1.0))
def test_one_element_that_differs_is_seen_wherever_it_stands(size, place, by):
    array = np.random.default_rng(size).standard_normal(size)
    other = array.copy()
    other[place % size] += by
    # the largest of four factors is below 0.05 once in 160,000 draws
    assert 0.05 * by < apart(array, other) <= 1.001 * by + 1e-12


@pytest.mark.parametrize("size", [10, 70_000])
def test_values_that_changed_places_are_told_apart(size):
    array = np.arange(size, dtype=float)
    assert apart(array, np.roll(array, 1)) > 1.0


def test_two_processes_factors_are_the_same_and_pinned():
    np.testing.assert_array_equal(Fingerprinter().take(np.arange(5.0)), TAKE(np.arange(5.0)))
    assert TAKE(np.ones(1))[0] == pytest.approx(FIRST, abs=1e-15)


FIRST = -0.14168730987942557
