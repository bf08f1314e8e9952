"""What explaining costs is told before, and what does not fit the budget is left out and named."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.blame.attribution import UNSWITCHED
from likewise.producer.blame.budget import A_RUN_S, Rates, within
from likewise.producer.blame.plan import Extent, identity

SEEDS = (0, 1, 2, 3, 4)
FOUR = {
    "loss.reduction": "sum",
    "optimizer.learning_rate": 0.002,
    "optimizer.momentum": 0.3,
    "training.epochs": 50,
}
WHOLE = Extent(seeds=SEEDS, most_combined=4)


@pytest.fixture
def affordable(bench):
    """Return what fits a budget, where a seed of torch trains for a second and the job is trained."""

    def affordable(budget_s, *, overrides=FOUR, rates=None, whole=WHOLE):
        def make(extent):
            return [
                bench.plan(
                    overrides,
                    seeds=extent.seeds,
                    most_combined=extent.most_combined,
                    most_factors=extent.most_factors,
                )
            ]

        def known(_seeds):
            return {identity(run) for run in make(WHOLE)[0].ends}

        given = Rates(seconds={"torch": 1.0}) if rates is None else rates
        return within(budget_s, whole, make, rates=given, known=known)

    return affordable


def test_all_is_trained_where_the_budget_allows_it(affordable):
    found = affordable(100)

    assert (len(found.missing), found.left_out) == (15, ())
    assert found.seconds == pytest.approx(15 * (5 + A_RUN_S))
    assert (
        found.announcement()
        == "explaining by 16 mixtures with 5 seeds each: 15 trainings to go, about 1 min 18 s"
    )
    assert found.note() is None


@pytest.mark.parametrize(
    ("budget_s", "mixtures", "seeds", "factors"),
    [(77, 10, 5, 4), (40, 10, 3, 4), (25, 10, 1, 4), (9, 8, 1, 3), (4, 4, 1, 2), (2, 2, 1, 1), (0, 2, 1, 1)],
)
def test_ever_less_is_trained_for_less_time(affordable, budget_s, mixtures, seeds, factors):
    found = affordable(budget_s)
    (plan,) = found.plans

    assert (len(plan.pairs), len(found.seeds), len(plan.factors)) == (mixtures, seeds, factors)
    assert len(plan.left_out) == 4 - factors
    assert found.seconds <= budget_s or budget_s < 1.2


def test_what_is_left_out_is_named_with_what_all_would_take(affordable):
    told = affordable(4).announcement()

    assert "to stay within the budget of 4 s, 1 of 5 seeds is trained" in told
    assert "optimizer.momentum and training.epochs are not switched" in told
    assert "all of it would take about 1 min 18 s (--budget 94)" in told


def test_what_was_trained_before_costs_nothing(affordable):
    found = affordable(0, overrides={})

    assert found.announcement() == "explaining: everything it takes has been trained"


def test_a_job_of_which_no_training_ended_costs_what_is_not_known(affordable):
    assert affordable(10, rates=Rates(seconds={})).left_out == ()


def test_a_training_takes_what_the_jobs_own_took_by_seed(samples):
    seeds = [samples.train(seed=seed) for seed in range(2)]
    table = (
        samples.compared(
            samples.experiment(seeds=2), *(samples.result(side, seeds) for side in ("tensorflow", "torch"))
        )
        .runs[0]
        .table
    )

    rates = Rates.of({"torch": table})
    assert rates.seconds["torch"] == pytest.approx(0.11 + 0.32 + 0.041 + 0.006)
    assert Rates.of({"torch": table.only([])}).seconds == {}


def test_a_setting_that_was_left_out_is_a_contribution_without_a_share(bench):
    found = bench.explain(bench.plan(FOUR, most_combined=2, most_factors=2))
    left = [one for one in found.contributions if one.share is None]

    assert [one.path for one in left] == ["optimizer.momentum", "training.epochs"]
    assert {one.problem for one in left} == {UNSWITCHED}
    assert found.left_out == ("optimizer.momentum", "training.epochs")
    (said,) = [note for note in found.notes if "not switched" in note]
    assert "decided by what they are, before anything was measured" in said
    assert said.endswith("What these do together is in the 48 % left unexplained.")


def test_a_budget_that_allows_all_says_nothing_of_how_settings_are_chosen(bench):
    found = bench.explain(bench.plan(FOUR, most_combined=2))
    assert not any("not switched" in note for note in found.notes)
    shares = [one.share for one in found.contributions if one.share is not None]
    assert np.sum(shares) + found.unexplained_share == pytest.approx(1)
