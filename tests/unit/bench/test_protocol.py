"""The order of the timed runs, when they end, and the statistics over them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from likewise.producer.bench.models import TimedRun
from likewise.producer.bench.protocol import (
    LEAST_ROUNDS,
    MANY,
    Enough,
    alternate,
    in_ways,
    median_interval,
    order_of,
    outliers,
    paired_ratio,
)
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.resolve import resolve
from likewise.shared.errors import UsageError
from likewise.shared.job import Experiment
from likewise.shared.results.run_result import Environment

ONE, OTHER = "tensorflow", "torch"


def timed(side: str, run_s: float) -> TimedRun:
    environment = Environment(
        framework=side, framework_version="1", versions={}, device="cpu", threads=1,
        execution="eager", flags={}, platform="here", host="here",
    )  # fmt: skip
    return TimedRun(
        side=side, of=side, framework=side, variant="auto", precision="float32", phases={"run": run_s},
        samples_per_s=None, peak_bytes=None, grown_bytes=None, device_peak_bytes=None,
        environment=environment, conditions=None,
    )  # fmt: skip


class Bench:
    """A machine whose clock only runs while a side is timed."""

    def __init__(self, seconds: Any) -> None:
        self.now = 0.0
        self.order: list[str] = []
        self._seconds = seconds

    def time_one(self, side: str) -> TimedRun:
        self.order.append(side)
        took = self._seconds(side, self.now)
        self.now += took
        return timed(side, took)

    def run(self, *, budget_s: float, precision: float) -> Any:
        def turn(side: str) -> Any:
            yield ()
            return self.time_one(side)

        enough = Enough(precision=precision, budget_s=budget_s, spent_s=lambda: self.now)
        found: dict[str, list[TimedRun]] = {ONE: [], OTHER: []}
        for _ in alternate(found, turn, enough=enough, after_round=lambda *_: None):
            pass
        return found


def test_frameworks_become_sides_in_every_way_and_declared_sides_stay_as_they_are() -> None:
    def labels(*chosen: Any, **given: Any) -> tuple[str, ...]:
        return in_ways(read_experiment("matched", **given).experiment, chosen).labels

    ways = ("eager", "compiled", "auto")
    assert labels() == tuple(f"{name}-{way}" for name in ("tensorflow", "torch") for way in ways)
    assert labels("auto", "eager") == ("tensorflow-eager", "tensorflow-auto", "torch-eager", "torch-auto")
    declared = "torch:eager,fast=torch:compiled,tensorflow"
    assert labels(sides=declared) == ("torch-eager", "fast", "tensorflow")
    with pytest.raises(UsageError, match="a side has a way of its own"):
        labels("eager", sides=declared)


def test_a_way_is_a_side_like_its_framework_but_for_how_it_is_executed() -> None:
    given = ["execution=eager", "overrides.torch.execution=eager", "overrides.torch.loss.reduction=sum"]
    experiment = read_experiment("matched", given).experiment
    timed = in_ways(experiment)
    assert Experiment.model_validate_json(timed.model_dump_json(exclude_unset=True)) == timed, "it is stored"
    compared = resolve(experiment)
    for side, job in zip(timed.side_list, resolve(timed).values(), strict=True):
        assert job == compared[side.framework].model_copy(update={"execution": side.execution})


def test_a_round_times_every_side_in_one_order_and_back() -> None:
    order = order_of([ONE, OTHER], draw=random.Random(1))
    assert order == order[::-1]
    assert {side: order.count(side) for side in order} == {ONE: 2, OTHER: 2}


def test_both_orders_begin_a_round_sooner_or_later() -> None:
    draw = random.Random(0)
    assert {order_of([ONE, OTHER], draw=draw)[0] for _ in range(20)} == {ONE, OTHER}


def test_a_steady_machine_is_timed_no_longer_than_needed() -> None:
    machine = Bench(lambda *_: 1.0)
    machine.run(budget_s=1000, precision=0.02)
    assert len(machine.order) == 4 * LEAST_ROUNDS


def test_a_noisy_machine_is_timed_until_the_budget_is_spent_and_no_further() -> None:
    noise = random.Random(3)
    machine = Bench(lambda *_: noise.uniform(0.5, 1.5))
    machine.run(budget_s=100, precision=0.0001)
    assert 80 < machine.now <= 100


def test_short_runs_are_repeated_for_as_long_as_long_ones() -> None:
    noise = random.Random(3)
    machine = Bench(lambda *_: noise.uniform(0.005, 0.015))
    machine.run(budget_s=10, precision=0.0001)
    assert 9.9 < machine.now <= 10


def test_warming_up_takes_nothing_from_the_budget() -> None:
    noise = random.Random(3)
    machine = Bench(lambda *_: noise.uniform(0.5, 1.5))
    machine.now = 90.0
    machine.run(budget_s=100, precision=0.0001)
    assert 170 < machine.now <= 190


def test_a_drift_of_the_machine_does_not_make_one_side_faster() -> None:
    machine = Bench(lambda _, now: 1.0 + now / 100)
    found = machine.run(budget_s=60, precision=0)
    sums = {side: sum(one.phases["run"] for one in runs) for side, runs in found.items()}
    assert sums[ONE] / sums[OTHER] == pytest.approx(1, abs=2e-3)
    in_blocks = Bench(lambda _, now: 1.0 + now / 100)  # the unfair way, to see that the test can tell
    blocks = [[in_blocks.time_one(v).phases["run"] for _ in range(20)] for v in (ONE, OTHER)]
    assert sum(blocks[1]) / sum(blocks[0]) > 1.1


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    draw = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        interval = median_interval(draw.exponential(size=15).tolist())
        assert interval is not None
        held += interval[0] <= np.log(2) <= interval[1]
    assert 0.94 <= held / 1000 <= 0.995


def test_the_interval_of_many_samples_continues_that_of_few() -> None:
    few, many = (median_interval([float(i) for i in range(n)]) for n in (MANY, MANY + 2))
    assert few == (468, 531)
    assert many == (468, 533), "no narrower, and by one place at most wider"


def test_five_samples_have_no_interval_and_six_have_their_extremes() -> None:
    assert median_interval([1.0, 2, 3, 4, 5]) is None
    assert median_interval([3.0, 1, 2, 6, 5, 4]) == (1, 6)


def test_a_run_that_took_ten_times_as_long_is_an_outlier() -> None:
    assert outliers([1.0, 1.1, 0.9, 1.05, 0.95, 10]) == 1
    assert outliers([1.0, 1.1, 0.9, 1.05, 0.95, 1]) == 0
    assert outliers([1.0] * 6) == 0


def test_what_troubles_both_of_a_pair_cancels_in_their_ratio() -> None:
    trouble = np.random.default_rng(2).uniform(1, 5, 12)
    ratio, interval = paired_ratio((2 * trouble).tolist(), trouble.tolist())
    assert ratio == pytest.approx(2)
    assert interval == pytest.approx((2, 2))
