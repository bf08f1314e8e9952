"""Learning rates against the formulas written out again, one update at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from likewise.shared.job import Optimizer
from likewise.shared.learning_rates import learning_rates

RATE = 0.3
STEPS_PER_EPOCH = 7
OPTIMIZER: TypeAdapter[Optimizer] = TypeAdapter(Optimizer)


def piecewise(t: int) -> float:
    if t < 3:
        return 0.5
    return 0.2 if t < 30 else 0.05


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "constant": ({"type": "constant"}, lambda _: RATE),
    "step": (
        {"type": "step", "step_size": 10, "gamma": 0.5},
        lambda t: RATE * math.prod([0.5] * (t // 10)),
    ),
    "exponential": (
        {"type": "exponential", "decay_steps": 20, "decay_rate": 0.9},
        lambda t: RATE * math.exp(math.log(0.9) * t / 20),
    ),
    "cosine": (
        {"type": "cosine", "decay_steps": 40, "alpha": 0.1},
        lambda t: RATE * (0.1 + 0.9 * math.cos(math.pi * min(t, 40) / 80) ** 2),
    ),
    "cosine_restarts": (
        {"type": "cosine_restarts", "decay_steps": 9, "alpha": 0.1},
        lambda t: RATE * (0.1 + 0.9 * math.cos(math.pi * (t % 9) / 18) ** 2),
    ),
    "cosine_restarts that grow": (
        {"type": "cosine_restarts", "decay_steps": 5, "growth": 3},
        lambda t: (
            RATE
            * math.cos(math.pi / 2 * (t / 5 if t < 5 else (t - 5) / 15 if t < 20 else (t - 20) / 45)) ** 2
        ),
    ),
    "polynomial": (
        {"type": "polynomial", "decay_steps": 40, "end_learning_rate": 0.02, "power": 2.5},
        lambda t: 0.02 + (RATE - 0.02) * (1 - min(t, 40) / 40) ** 2.5,
    ),
    "piecewise": ({"type": "piecewise", "boundaries": [3, 30], "values": [0.5, 0.2, 0.05]}, piecewise),
}


def optimizer(schedule: dict[str, Any] | None) -> Optimizer:
    document = {"type": "sgd", "learning_rate": RATE, "schedule": schedule}
    return OPTIMIZER.validate_python(document)


def rates(schedule: dict[str, Any] | None, *, first: int = 0, steps: int = 60) -> np.ndarray:
    return learning_rates(optimizer(schedule), first_step=first, steps=steps, steps_per_epoch=STEPS_PER_EPOCH)


def test_without_a_schedule_the_rate_stays() -> None:
    assert rates(None, steps=3).tolist() == [RATE] * 3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("warmup", [0, 4])
def test_each_schedule_follows_its_formula(name: str, per: str, warmup: int) -> None:
    schedule, formula = CASES[name]
    found = rates({**schedule, "per": per, "warmup": warmup})
    for update in range(60):
        t = update if per == "step" else update // STEPS_PER_EPOCH
        factor = (t + 1) / (warmup + 1) if t < warmup else 1.0
        assert found[update] == pytest.approx(formula(t) * factor, rel=1e-14)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("per", ["step", "epoch"])
@pytest.mark.parametrize("offset", [-2, 3])
def test_an_offset_moves_the_count_which_stays_at_0_or_above(name: str, per: str, offset: int) -> None:
    schedule, formula = CASES[name]
    found = rates({**schedule, "per": per, "offset": offset, "warmup": 4})
    for update in range(60):
        t = max((update if per == "step" else update // STEPS_PER_EPOCH) + offset, 0)
        factor = (t + 1) / 5 if t < 4 else 1.0
        assert found[update] == pytest.approx(formula(t) * factor, rel=1e-14)


def test_a_boundary_changes_the_rate_before_or_after_its_update() -> None:
    steps = {"type": "piecewise", "boundaries": [2, 4], "values": [0.5, 0.2, 0.1]}
    assert rates(steps, steps=6).tolist() == [0.5, 0.5, 0.2, 0.2, 0.1, 0.1]
    after = rates({**steps, "boundary": "after"}, steps=6)
    assert after.tolist() == [0.5, 0.5, 0.5, 0.2, 0.2, 0.1]


@pytest.mark.parametrize("start", [0.0, 0.25, 1.0])
def test_warm_up_rises_in_a_line_from_its_start(start: float) -> None:
    found = rates({"type": "constant", "warmup": 4, "warmup_start": start}, steps=6)
    rising = [start + (1 - start) * t / 4 for t in range(4)]
    assert found.tolist() == pytest.approx([RATE * factor for factor in [*rising, 1.0, 1.0]], rel=1e-15)
    assert rates({"type": "constant", "warmup_start": start}, steps=2).tolist() == [RATE, RATE]


def test_each_plateau_lowers_the_rate_by_the_factor_down_to_the_least() -> None:
    schedule = {"type": "reduce_on_plateau", "factor": 0.5, "min_learning_rate": 0.04, "warmup": 1}
    for plateaus, rate in enumerate((0.3, 0.15, 0.075, 0.04, 0.04)):
        found = learning_rates(
            optimizer(schedule), first_step=0, steps=3, steps_per_epoch=1, plateaus=plateaus
        )
        assert found.tolist() == [rate / 2, rate, rate]


@given(
    st.sampled_from(sorted(CASES)),
    st.sampled_from(["step", "epoch"]),
    st.integers(0, 50),
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
)
def test_cutting_into_blocks_changes_no_learning_rate(
    name: str, per: str, first: int, cuts: list[int]
) -> None:
    schedule = {**CASES[name][0], "per": per, "warmup": 5}
    whole = rates(schedule, first=first, steps=sum(cuts))
    parts, step = [], first
    for steps in cuts:
        parts.append(rates(schedule, first=step, steps=steps))
        step += steps
    assert np.concatenate(parts).tobytes() == whole.tobytes()
