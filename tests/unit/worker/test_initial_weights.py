"""Initial weights: names, distributions, addresses, and given ones that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec, compile_job, compile_model
from likewise.shared.store.arrays import hash_arrays
from likewise.worker.training.draws import check_weights, draw_weights
from likewise.worker.training.failures import TrainingError

Jobs = Callable[..., Job]


def program_of(job_of: Jobs, layers: Any, shape: tuple[int, ...]) -> ProgramSpec:
    return compile_job(job_of(model={"layers": layers}), shape)


def drawn(job_of: Jobs, initializer: Any, *, inputs: int, units: int, seed: int = 0) -> np.ndarray:
    layer = {"type": "dense", "units": units, "kernel_initializer": initializer}
    model = job_of(model={"layers": [layer]}).model
    return draw_weights(compile_model(model, (inputs,)), seed=seed, precision="float64")["layers.0.kernel"]


def test_weights_are_named_by_layer_and_tensor_in_order(job_of: Jobs) -> None:
    layers = [
        {"type": "dense", "units": 4, "name": "hidden"},
        {"type": "dropout", "rate": 0.5},
        {"type": "dense", "units": 2, "use_bias": False},
    ]
    places = program_of(job_of, layers, (3,)).weights
    assert [(place.name, place.shape) for place in places] == [
        ("hidden.kernel", (3, 4)),
        ("hidden.bias", (4,)),
        ("layers.2.kernel", (4, 2)),
    ]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_forget_gate_s_bias_starts_at_1_unless_asked_otherwise(job_of: Jobs, wanted: bool) -> None:
    layer = {"type": "lstm", "units": 2, "unit_forget_bias": wanted}
    both = [{"type": "bidirectional", "layer": layer}, {"type": "dense", "units": 1}]
    weights = draw_weights(program_of(job_of, both, (5, 3)), seed=0, precision="float32")
    expected = [0, 0, 1, 1, 0, 0, 0, 0] if wanted else [0] * 8
    assert weights["layers.0.forward.bias"].tolist() == expected
    assert weights["layers.0.backward.bias"].tolist() == expected
    assert (weights["layers.0.forward.kernel"] != weights["layers.0.backward.kernel"]).all()


def test_drawn_weights_never_change(job_of: Jobs) -> None:
    """Results stop being comparable with older ones when this fails: say so in the changelog."""
    layers = [
        {"type": "dense", "units": 4},
        {"type": "dense", "units": 3, "kernel_initializer": "he_normal"},
        {"type": "dense", "units": 2, "kernel_initializer": "orthogonal"},
    ]
    weights = draw_weights(program_of(job_of, layers, (5,)), seed=42, precision="float64")
    assert hash_arrays(weights) == ("7e7cfe86afa4af145d43ca6ee1fa3c2b113022515e349dc15bfb305e8da8148e")


@pytest.mark.parametrize(
    ("initializer", "expected"),
    [("zeros", 0.0), ("ones", 1.0), ({"type": "constant", "value": -2.5}, -2.5)],
)
def test_constant_initializers_fill(job_of: Jobs, initializer: Any, expected: float) -> None:
    assert np.array_equal(drawn(job_of, initializer, inputs=3, units=2), np.full((3, 2), expected))


@pytest.mark.parametrize(
    ("initializer", "low", "high"),
    [
        ({"type": "random_uniform", "minval": -0.1, "maxval": 0.4}, -0.1, 0.4),
        ("glorot_uniform", -math.sqrt(6 / 700), math.sqrt(6 / 700)),
        ("he_uniform", -math.sqrt(6 / 200), math.sqrt(6 / 200)),
        ("lecun_uniform", -math.sqrt(3 / 200), math.sqrt(3 / 200)),
    ],
)
def test_uniform_initializers_fill_their_interval(
    job_of: Jobs, initializer: Any, low: float, high: float
) -> None:
    kernel = drawn(job_of, initializer, inputs=200, units=500)
    width = high - low
    assert low <= kernel.min() < low + 1e-3 * width
    assert high - 1e-3 * width < kernel.max() <= high
    assert kernel.mean() == pytest.approx((low + high) / 2, abs=0.005 * width)


@pytest.mark.parametrize(
    ("initializer", "mean", "stddev"),
    [
        ({"type": "random_normal", "mean": 0.3, "stddev": 0.2}, 0.3, 0.2),
        ("glorot_normal", 0.0, math.sqrt(2 / 700)),
        ("he_normal", 0.0, math.sqrt(2 / 200)),
        ("lecun_normal", 0.0, math.sqrt(1 / 200)),
    ],
)
def test_normal_initializers_have_their_mean_and_deviation(
    job_of: Jobs, initializer: Any, mean: float, stddev: float
) -> None:
    kernel = drawn(job_of, initializer, inputs=200, units=500)
    assert kernel.mean() == pytest.approx(mean, abs=0.015 * stddev)
    assert kernel.std() == pytest.approx(stddev, rel=0.01)
    assert abs(kernel - mean).max() > 3.5 * stddev, "untruncated"


@pytest.mark.parametrize(
    ("initializer", "deviation"),
    [
        ({"type": "he_normal", "truncated": True}, math.sqrt(2 / 200)),
        ({"type": "variance_scaling", "scale": 3.0, "mode": "fan_out"}, math.sqrt(3 / 500)),
        ({"type": "variance_scaling", "mode": "fan_avg"}, math.sqrt(1 / 350)),
    ],
)
def test_truncated_normals_end_at_two_deviations_of_the_uncut_and_keep_the_variance(
    job_of: Jobs, initializer: Any, deviation: float
) -> None:
    kernel = drawn(job_of, initializer, inputs=200, units=500)
    end = 2 * deviation / 0.8796256610342398
    assert kernel.mean() == pytest.approx(0, abs=0.015 * deviation)
    assert kernel.std() == pytest.approx(deviation, rel=0.01)
    assert 0.999 * end < abs(kernel).max() <= end


@pytest.mark.parametrize(
    ("distribution", "ends", "share_inside_half"), [("uniform", 3, 0.5), ("triangular", 6, 0.75)]
)
def test_variance_scaling_has_its_variance_and_shape(
    job_of: Jobs, distribution: str, ends: float, share_inside_half: float
) -> None:
    initializer = {"type": "variance_scaling", "scale": 0.5, "distribution": distribution}
    kernel = drawn(job_of, initializer, inputs=200, units=500)
    end = math.sqrt(ends * 0.5 / 200)
    assert kernel.std() == pytest.approx(math.sqrt(0.5 / 200), rel=0.01)
    assert 0.99 * end < abs(kernel).max() <= end
    assert (abs(kernel) < end / 2).mean() == pytest.approx(share_inside_half, abs=0.005)


def test_a_third_of_lecun_is_pytorchs_default(job_of: Jobs) -> None:
    third = {"type": "variance_scaling", "scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"}
    whole = drawn(job_of, "lecun_uniform", inputs=200, units=50)
    assert drawn(job_of, third, inputs=200, units=50) == pytest.approx(whole / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize(("inputs", "units"), [(6, 6), (4, 9), (9, 4), (1, 3), (3, 1), (60, 40)])
def test_orthogonal_rows_or_columns_are_orthonormal_times_the_gain(
    job_of: Jobs, inputs: int, units: int
) -> None:
    kernel = drawn(job_of, {"type": "orthogonal", "gain": 2.0}, inputs=inputs, units=units)
    short = kernel if inputs <= units else kernel.T
    assert np.allclose(short @ short.T, 4.0 * np.eye(len(short)), rtol=0, atol=1e-14 * 4)


def test_another_seed_or_layer_has_other_weights(job_of: Jobs) -> None:
    layers = [{"type": "dense", "units": 3}, {"type": "dense", "units": 3}]
    model = job_of(model={"layers": layers}).model
    one = draw_weights(compile_model(model, (3,)), seed=1, precision="float64")
    two = draw_weights(compile_model(model, (3,)), seed=2, precision="float64")
    assert not np.array_equal(one["layers.0.kernel"], two["layers.0.kernel"])
    assert not np.array_equal(one["layers.0.kernel"], one["layers.1.kernel"])


def test_each_tensor_of_a_layer_is_drawn_by_itself(job_of: Jobs) -> None:
    layer = {"type": "dense", "units": 9, "kernel_initializer": "random_normal"}
    layer["bias_initializer"] = "random_normal"
    weights = draw_weights(program_of(job_of, [layer], (1,)), seed=1, precision="float64")
    assert not np.isin(weights["layers.0.bias"], weights["layers.0.kernel"]).any()


def test_a_layer_more_changes_nothing_before_it(job_of: Jobs) -> None:
    layers = [{"type": "dense", "units": 3}, {"type": "dense", "units": 1}]
    short = draw_weights(program_of(job_of, layers[:1], (2,)), seed=4, precision="float32")
    long = draw_weights(program_of(job_of, layers, (2,)), seed=4, precision="float32")
    assert np.array_equal(short["layers.0.kernel"], long["layers.0.kernel"])


def test_float32_weights_are_the_float64_ones_rounded_once(job_of: Jobs) -> None:
    model = job_of(model={"layers": [{"type": "dense", "units": 30}]}).model
    single = draw_weights(compile_model(model, (20,)), seed=4, precision="float32")
    double = draw_weights(compile_model(model, (20,)), seed=4, precision="float64")
    for name, array in double.items():
        assert single[name].dtype == np.float32
        assert np.array_equal(single[name], array.astype(np.float32))


def test_given_weights_come_back_in_the_models_order_and_precision(job_of: Jobs) -> None:
    given = {"layers.0.bias": np.array([0.1]), "layers.0.kernel": np.array([[0.37]])}
    weights = check_weights(given, compile_job(job_of(), (1,)), precision="float32")
    assert list(weights) == ["layers.0.kernel", "layers.0.bias"]
    assert weights["layers.0.kernel"].dtype == np.float32
    assert weights["layers.0.kernel"][0, 0] == np.float32(0.37)


def test_given_weights_that_do_not_fit_are_refused_with_what_is_expected(job_of: Jobs) -> None:
    given = {"layers.0.kernel": np.array([[math.nan]])}
    with pytest.raises(TrainingError) as caught:
        check_weights(given, compile_job(job_of(), (1,)), precision="float32")
    assert caught.value.reason == "bad_weights"
    assert str(caught.value) == (
        "The initial weights do not fit the model: layers.0.kernel: holds NaN or infinite numbers; "
        "layers.0.bias: is missing (its shape is 1). Expected: layers.0.kernel (1 x 1), layers.0.bias (1)"
    )
