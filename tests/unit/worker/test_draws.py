"""Draws by address: frozen layout, uniform and normal numbers, dropout masks and initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from likewise.shared.draws import DrawPurpose, Draws, draw_weights, log
from likewise.shared.job import Job
from likewise.shared.job.experiment import Precision
from likewise.shared.program import Mask, ProgramSpec, compile_job, compile_model
from likewise.shared.store.arrays import hash_arrays
from likewise.worker.adapters.common import bytes_per_sample
from likewise.worker.training.failures import TrainingError
from likewise.worker.training.feeds import MaskSource, mask_keys
from likewise.worker.training.starts import check_weights

Jobs = Callable[..., Job]

ADDRESSES = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**40), st.integers(0, 2**40))


def test_the_words_of_an_address_never_change() -> None:
    """Results stop being comparable with older ones when this fails: say so in the changelog."""
    words = Draws(7, DrawPurpose.MASK).words(4, index=2, item=5)
    assert [f"{word:x}" for word in words] == [
        "e1e7536b0b7b85ba",
        "255728539d0f046b",
        "6444405b3caaf5a2",
        "624c4b724c8aea2a",
    ]


def test_the_words_are_those_of_philox_at_the_documented_key_and_counter() -> None:
    key, counter = np.array([7, 2], dtype=np.uint64), np.array([0, 0, 2, 5], dtype=np.uint64)
    expected = np.random.Philox(key=key, counter=counter).random_raw(9)
    assert np.array_equal(Draws(7, DrawPurpose.MASK).words(9, index=2, item=5), expected)


@given(ADDRESSES, st.integers(0, 50), st.integers(0, 50))
def test_fewer_numbers_are_the_first_of_more(address: tuple[int, int, int], few: int, more: int) -> None:
    seed, index, item = address
    draws = Draws(seed, DrawPurpose.WEIGHTS)
    for draw in (draws.words, draws.uniforms, draws.normals):
        longer = draw(few + more, index=index, item=item)
        assert np.array_equal(draw(few, index=index, item=item), longer[:few])


@pytest.mark.parametrize(
    ("seed", "purpose", "index", "item"),
    [
        (2, DrawPurpose.ORDER, 0, 0),
        (1, DrawPurpose.MASK, 0, 0),
        (1, DrawPurpose.ORDER, 1, 0),
        (1, DrawPurpose.ORDER, 0, 1),
    ],
)
def test_another_address_has_other_words(seed: int, purpose: DrawPurpose, index: int, item: int) -> None:
    here = Draws(1, DrawPurpose.ORDER).words(8)
    assert not np.isin(Draws(seed, purpose).words(8, index=index, item=item), here).any()


def test_uniforms_fill_the_unit_interval_evenly() -> None:
    uniforms = Draws(3, DrawPurpose.WEIGHTS).uniforms(200_000)
    assert uniforms.min() >= 0.0
    assert uniforms.max() < 1.0
    counts, _ = np.histogram(uniforms, bins=100, range=(0, 1))
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 149  # χ² of 99 degrees, 0.1 %


def test_normals_follow_the_normal_distribution() -> None:
    normals = np.sort(Draws(3, DrawPurpose.WEIGHTS).normals(100_000))
    cumulative = np.array([0.5 * math.erfc(-z / math.sqrt(2)) for z in normals])
    steps = np.arange(1, len(normals) + 1) / len(normals)
    assert np.abs(cumulative - steps).max() < 1.95 / math.sqrt(len(normals))  # Kolmogorov, 0.1 %
    odd, even = Draws(3, DrawPurpose.WEIGHTS).normals(100_000).reshape(-1, 2).T
    assert abs(np.corrcoef(odd, even)[0, 1]) < 0.015


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_the_logarithm_is_right_to_the_last_places(x: float) -> None:
    ours = float(log(np.array([x]))[0])
    assert abs(ours - math.log(x)) <= 4 * math.ulp(max(1e-3, abs(math.log(x))))


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


def test_only_layers_that_drop_something_have_masks(job_of: Jobs) -> None:
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
        ("layers.3", 2, (4,), 6),
    ]
    assert mask_keys(layers, 8) == ((8, 0, 0.5), (6, 2, 0.2))
    assert bytes_per_sample(layers, "float32") == 4 * (3 + 4)


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
    ("fields", "low", "high", "deviation"),
    [
        ({"stddev": 0.5}, -1.0, 1.0, 0.5 * 0.8796256610342398),
        ({"stddev": 0.5, "mean": 1.0}, 0.0, 2.0, 0.5 * 0.8796256610342398),
        ({"stddev": 0.5, "limits": "absolute"}, -2.0, 2.0, 0.4995),
        ({"stddev": 1.0, "low": 0.0, "limits": "absolute"}, 0.0, 2.0, 0.5013),
    ],
)
def test_a_truncated_normal_ends_at_its_limits_and_is_not_widened(
    job_of: Jobs, fields: dict[str, Any], low: float, high: float, deviation: float
) -> None:
    kernel = drawn(job_of, {"type": "truncated_normal"} | fields, inputs=200, units=500)
    assert low <= kernel.min() < low + 0.1
    assert high - 0.1 < kernel.max() <= high
    assert kernel.std() == pytest.approx(deviation, rel=0.01)


def test_limits_that_leave_nothing_of_a_normal_are_refused(job_of: Jobs) -> None:
    far = {"type": "truncated_normal", "stddev": 0.02, "low": 1.0, "high": 2.0, "limits": "absolute"}
    with pytest.raises(
        ValidationError, match=r"between low 1 and high 2 lies less than 1%.*widen the limits"
    ):
        drawn(job_of, far, inputs=2, units=2)


@pytest.mark.parametrize(("inputs", "units"), [(4, 4), (3, 5), (5, 3)])
def test_an_identity_passes_its_inputs_on(job_of: Jobs, inputs: int, units: int) -> None:
    kernel = drawn(job_of, {"type": "identity", "gain": 2.0}, inputs=inputs, units=units)
    assert np.array_equal(kernel, 2.0 * np.eye(inputs, units))


def test_a_convolution_s_identity_stands_in_the_middle_of_its_window(job_of: Jobs) -> None:
    layer = {"type": "conv2d", "filters": 2, "kernel_size": 3, "kernel_initializer": "identity"}
    model = job_of(model={"layers": [layer]}).model
    kernel = draw_weights(compile_model(model, (5, 5, 2)), seed=0, precision="float64")["layers.0.kernel"]
    assert np.array_equal(kernel[1, 1], np.eye(2))
    assert kernel.sum() == 2.0


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
