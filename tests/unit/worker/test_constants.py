"""The optimizers' constants against plain arithmetic, and stacked for members against each alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from likewise.shared.job import Optimizer
from likewise.shared.job.optimizer import Adadelta, Adagrad, Adam, AdamW, Nadam, RmsProp, Sgd, structure
from likewise.shared.learning_rates import integer_power
from likewise.worker.adapters.constants import (
    fixed_constants,
    member_fixed_constants,
    member_slot_starts,
    member_update_constants,
    slot_starts,
    update_constants,
)

OPTIMIZER: TypeAdapter[Optimizer] = TypeAdapter(Optimizer)
RATES = np.array([0.1, 0.2, 0.3])


def optimizer(**fields: Any) -> Optimizer:
    return OPTIMIZER.validate_python(fields)


@pytest.mark.parametrize("kind", ["sgd", "rmsprop", "adagrad", "adadelta"])
def test_optimizers_without_correction_take_the_learning_rates_as_they_are(kind: str) -> None:
    constants = update_constants(optimizer(type=kind), learning_rates=RATES, first_step=5)
    assert list(constants) == ["learning_rate"]
    assert constants["learning_rate"].tolist() == RATES.tolist()


def test_adam_corrects_both_moments_counting_updates_from_one() -> None:
    constants = update_constants(
        optimizer(type="adam", beta_1=0.75, beta_2=0.5), learning_rates=RATES, first_step=1
    )
    assert list(constants) == ["step_size", "root_correction"]
    for row, t in enumerate((2, 3, 4)):
        exact_1, exact_2 = 1 - Fraction(3, 4) ** t, 1 - Fraction(1, 2) ** t
        assert constants["step_size"][row] == pytest.approx(RATES[row] / float(exact_1), rel=1e-15)
        assert constants["root_correction"][row] == pytest.approx(float(exact_2) ** 0.5, rel=1e-15)


def test_adamax_corrects_the_first_moment_alone() -> None:
    adamax = optimizer(type="adamax", beta_1=0.75)
    constants = update_constants(adamax, learning_rates=RATES, first_step=1)
    assert list(constants) == ["step_size"]
    assert constants["step_size"][0] == pytest.approx(RATES[0] / (1 - 0.75**2), rel=1e-15)


@pytest.mark.parametrize("beta_1", [0.0, 0.05, 0.9, 0.999])
@pytest.mark.parametrize("decay", [0.0, 0.004, 1.0])
@pytest.mark.parametrize("first", [0, 1, 1_000, 100_000])
def test_nadams_momentum_and_its_product_count_from_the_first_update(
    beta_1: float, decay: float, first: int
) -> None:
    nadam = optimizer(type="nadam", beta_1=beta_1, momentum_decay=decay)
    constants = update_constants(nadam, learning_rates=RATES, first_step=first)
    assert list(constants) == ["moment_size", "gradient_size", "root_correction"]
    mu = beta_1 * (1 - 0.5 * 0.96 ** (np.arange(1, first + 5) * decay))
    product = np.cumprod(mu)
    for row, t in enumerate(range(first + 1, first + 4)):
        moment = RATES[row] * mu[t] / (1 - product[t])
        gradient = RATES[row] * (1 - mu[t - 1]) / (1 - product[t - 1])
        assert constants["moment_size"][row] == pytest.approx(moment, rel=1e-11)
        assert constants["gradient_size"][row] == pytest.approx(gradient, rel=1e-11)


def test_a_state_starts_where_its_formula_says() -> None:
    assert slot_starts(optimizer(type="adam", amsgrad=True)) == {"m": 0.0, "v": 0.0, "h": 0.0}
    assert slot_starts(optimizer(type="adagrad", initial_accumulator_value=0.3)) == {"v": 0.3}
    assert slot_starts(optimizer(type="sgd")) == {}
    everything = optimizer(type="rmsprop", centered=True, momentum=0.5)
    assert list(slot_starts(everything)) == ["v", "a", "b"]


def test_adamw_decays_by_the_rate_of_the_update() -> None:
    constants = update_constants(
        optimizer(type="adamw", weight_decay=0.01), learning_rates=RATES, first_step=0
    )
    assert constants["decay"].tolist() == (RATES * 0.01).tolist()


def test_adam_with_the_l2_penalty_has_no_decoupled_decay() -> None:
    adam = optimizer(type="adam", weight_decay=0.01)
    assert "decay" not in update_constants(adam, learning_rates=RATES, first_step=0)
    assert fixed_constants(adam)["weight_decay"] == 0.01


def test_momentum_free_of_betas_makes_every_correction_one() -> None:
    adam = optimizer(type="adam", beta_1=0.0, beta_2=0.0)
    constants = update_constants(adam, learning_rates=RATES, first_step=0)
    assert constants["step_size"].tolist() == RATES.tolist()
    assert constants["root_correction"].tolist() == [1.0] * 3


def test_complements_are_taken_in_float64() -> None:
    assert fixed_constants(optimizer(type="adam"))["one_minus_beta_2"] == 1.0 - 0.999
    assert fixed_constants(optimizer(type="rmsprop", rho=0.9))["one_minus_rho"] == 1.0 - 0.9


@given(st.floats(0.5, 1.5), st.integers(0, 5_000))
def test_an_integer_power_is_right_to_the_last_places(base: float, exponent: int) -> None:
    found = float(integer_power(base, np.array([exponent]))[0])
    expected = np.power(np.longdouble(base), exponent)
    if np.finfo(float).tiny < expected < np.finfo(float).max:
        assert found == pytest.approx(float(expected), rel=1e-15 * max(exponent, 1))


@given(
    st.sampled_from(["adam", "nadam"]),
    st.integers(0, 10**7),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
)
def test_cutting_into_blocks_changes_no_constant(kind: str, first: int, cuts: list[int]) -> None:
    adam, total = optimizer(type=kind), sum(cuts)
    rates = np.linspace(0.1, 0.2, total)
    whole = update_constants(adam, learning_rates=rates, first_step=first)
    done = 0
    for steps in cuts:
        part = update_constants(adam, learning_rates=rates[done : done + steps], first_step=first + done)
        for name, values in part.items():
            assert values.tobytes() == whole[name][done : done + steps].tobytes()
        done += steps


def test_without_its_numbers_an_optimizer_is_its_formula() -> None:
    nesterov = optimizer(type="sgd", learning_rate=0.3, momentum=0.9, nesterov=True, clip_norm=2.0)
    other = optimizer(type="sgd", learning_rate=0.1, momentum=0.5, nesterov=True, clip_norm=7.0)
    assert structure(nesterov) == structure(other)
    for change in (
        {"nesterov": False},
        {"momentum": 0.0},
        {"clip_norm": None},
        {"weight_decay": 0.1},
        {"momentum_convention": "buffer"},
        {"weight_decay_kind": "decoupled"},
    ):
        assert structure(other.model_copy(update=change)) != structure(other)


@pytest.mark.parametrize("kind", ["adam", "adamw", "nadam"])
def test_a_hatted_epsilon_takes_the_root_s_correction_into_the_step(kind: str) -> None:
    outside = update_constants(optimizer(type=kind), learning_rates=RATES, first_step=4)
    hat = update_constants(optimizer(type=kind, epsilon_placement="hat"), learning_rates=RATES, first_step=4)
    correction = outside.pop("root_correction")
    assert "root_correction" not in hat
    for name, values in outside.items():
        expected = values if name == "decay" else values * correction
        assert hat[name].tolist() == expected.tolist()


def test_a_decoupled_decay_follows_the_rate_and_a_coupled_one_does_not() -> None:
    for kind in ("sgd", "adam", "adadelta"):
        decoupled = optimizer(type=kind, weight_decay=0.01, weight_decay_kind="decoupled")
        constants = update_constants(decoupled, learning_rates=RATES, first_step=0)
        assert constants["decay"].tolist() == (RATES * 0.01).tolist()
        assert "weight_decay" not in fixed_constants(decoupled)
    coupled = optimizer(type="adamw", weight_decay=0.01, weight_decay_kind="coupled")
    assert "decay" not in update_constants(coupled, learning_rates=RATES, first_step=0)
    assert fixed_constants(coupled)["weight_decay"] == 0.01


def test_each_momentum_convention_has_a_slot_of_its_own() -> None:
    for kind, velocity, buffer in (("sgd", "v", "b"), ("rmsprop", "vs", "vb")):
        for word, letters in (("velocity", velocity), ("buffer", buffer)):
            momentum = optimizer(type=kind, momentum=0.5, momentum_convention=word)
            assert "".join(slot_starts(momentum)) == letters


def test_the_bound_of_the_clipping_is_a_constant() -> None:
    assert fixed_constants(optimizer(type="adam", global_clip_norm=2.5))["global_clip_norm"] == 2.5
    assert not [name for name in fixed_constants(optimizer(type="adam")) if "clip" in name]


PAIRS: list[tuple[Optimizer, Optimizer]] = [
    (Sgd(type="sgd", momentum=0.5), Sgd(type="sgd", momentum=0.9, learning_rate=1.0)),
    (Sgd(type="sgd", clip_norm=0.5), Sgd(type="sgd", clip_norm=2.0, clip_epsilon=1e-6)),
    (Adam(type="adam"), Adam(type="adam", beta_1=0.5, epsilon=1e-3)),
    (AdamW(type="adamw"), AdamW(type="adamw", weight_decay=0.0)),
    (Nadam(type="nadam"), Nadam(type="nadam", momentum_decay=1.0)),
    (RmsProp(type="rmsprop", weight_decay=0.1), RmsProp(type="rmsprop", weight_decay=0.2, rho=0.5)),
    (Adagrad(type="adagrad"), Adagrad(type="adagrad", initial_accumulator_value=0.5)),
    (Adadelta(type="adadelta"), Adadelta(type="adadelta", rho=0.5)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].type} {pair[0].clip_norm}")
@pytest.mark.parametrize("same", [True, False])
def test_each_row_is_what_the_member_has_alone(pair: tuple[Optimizer, Optimizer], same: bool) -> None:
    members = (pair[0], pair[0]) if same else pair
    rates = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]]) if same else np.array([[0.1] * 3, [0.3] * 3])
    stacked = member_update_constants(members, learning_rates=rates, first_step=7)
    for row, optimizer in enumerate(members):
        alone = update_constants(optimizer, learning_rates=rates[row], first_step=7)
        assert {name: values[row].tolist() for name, values in stacked.items()} == {
            name: values.tolist() for name, values in alone.items()
        }
        assert {n: v[row] for n, v in member_fixed_constants(members).items()} == fixed_constants(optimizer)
        assert {n: v[row] for n, v in member_slot_starts(members).items()} == slot_starts(optimizer)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0].type} {pair[0].clip_norm}")
def test_optimizers_that_differ_in_numbers_are_of_one_structure(pair: tuple[Optimizer, Optimizer]) -> None:
    assert structure(pair[0]) == structure(pair[1])


@pytest.mark.parametrize(
    "other",
    [
        Adam(type="adam"),
        Sgd(type="sgd", momentum=0.5),
        Sgd(type="sgd", weight_decay=0.1),
        Sgd(type="sgd", clip_norm=1.0),
        Sgd(type="sgd", momentum_convention="buffer"),
        Sgd(type="sgd", weight_decay_kind="decoupled"),
    ],
)
def test_another_kind_state_decay_or_clipping_is_another_structure(other: Optimizer) -> None:
    assert structure(other) != structure(Sgd(type="sgd"))
