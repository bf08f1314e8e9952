"""The stacked constants are those of each member."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.shared.job.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    AdamW,
    Nadam,
    Optimizer,
    RmsProp,
    Sgd,
    structure,
)
from likewise.worker.adapters.constants import (
    fixed_constants,
    member_fixed_constants,
    member_slot_starts,
    member_update_constants,
    slot_starts,
    update_constants,
)

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
