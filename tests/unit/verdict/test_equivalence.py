"""The tests over seeds: what they may conclude, and how often they are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.producer.verdict.equivalence import Sample, equivalence, verdict_over
from likewise.producer.verdict.models import Equivalence


def judged(reference: Any, other: Any, *, measures: int = 1, **options: Any) -> Equivalence:
    mine, theirs = (np.asarray(values, np.float64) for values in (reference, other))
    if mine.ndim == 1:
        mine, theirs = mine[:, None], theirs[:, None]
    found = equivalence(
        Sample(measure="final loss", reference=mine, other=theirs, measures=measures),
        sides=("tensorflow", "torch"),
        **({"paired": True, "margin": None, "rounding": 1e-9} | options),
    )
    assert found is not None
    return found


def draws(seed: Any, shape: Any) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def test_equal_numbers_agree_from_two_seeds_on() -> None:
    assert judged([1.0, 2.0], [1.0, 2.0]).verdict == "agree"
    assert judged([1.0, 1.0], [1.0, 1.0]).verdict == "agree"


def test_one_seed_is_no_sample() -> None:
    sample = Sample(measure="final loss", reference=np.ones((1, 1)), other=np.ones((1, 1)))
    assert equivalence(sample, sides=("a", "b"), paired=True, margin=None, rounding=1e-9) is None


def test_few_noisy_seeds_without_a_significant_difference_are_inconclusive_not_the_same() -> None:
    found = judged(draws(1, 4), draws(2, 4), paired=False)
    low, high = found.interval
    assert low < 0 < high
    assert found.verdict == "inconclusive"
    assert found.seeds_to_decide is not None
    assert found.seeds_to_decide > 4


def test_as_many_seeds_as_it_asks_for_decide() -> None:
    asked = judged(draws(1, 6), draws(2, 6), paired=False).seeds_to_decide
    assert asked is not None
    decided = [
        judged(draws(10 + i, 2 * asked), draws(1000 + i, 2 * asked), paired=False).verdict for i in range(20)
    ]
    assert decided.count("agree") >= 15


def test_a_shift_of_two_deviations_differs() -> None:
    found = judged(draws(1, 30), draws(2, 30) + 2, paired=False)
    assert found.verdict == "differ"
    assert found.effect_size == pytest.approx(2, abs=0.6)


def test_pairs_see_what_groups_cannot() -> None:
    start = 10 * draws(1, 8)
    noise = 0.1 * draws(2, 8)
    assert judged(start, start + noise, paired=True).verdict == "agree"
    assert judged(start, start + noise, paired=False).verdict == "inconclusive"


def test_a_difference_within_a_declared_margin_agrees_although_it_is_significant() -> None:
    reference = 100 + draws(1, 50)
    other = reference + 0.5 + 0.01 * draws(2, 50)
    assert judged(reference, other, margin=0.01).verdict == "agree"
    assert judged(reference, other, margin=0.001).verdict == "differ"


def test_one_value_out_of_many_is_enough_to_differ_and_is_the_one_that_is_shown() -> None:
    reference = draws(1, (40, 5))
    other = reference.copy()
    other[:, 3] += 1.5
    found = judged(reference, other)
    assert found.verdict == "differ"
    assert found.difference == pytest.approx(1.5)


def test_the_value_that_differs_is_shown_not_a_noisier_one_that_is_open() -> None:
    reference = draws(1, (10, 2))
    other = reference + np.array([1.5, 0.0]) + np.array([0.01, 10.0]) * draws(2, (10, 2))
    found = judged(reference, other)
    assert found.verdict == "differ"
    assert found.interval == pytest.approx((1.5, 1.5), abs=0.02)


def test_seeds_without_a_result_are_left_out_in_pairs() -> None:
    reference, other = np.arange(6.0), np.arange(6.0)
    other[2] = np.nan
    found = judged(reference, other)
    assert found.seeds == 5
    assert found.verdict == "agree"


def test_a_difference_as_large_as_the_margin_is_taken_for_the_same_in_at_most_one_case_of_twenty() -> None:
    margin, wrong = 0.5, 0
    for i in range(400):
        reference = 10 + draws(2 * i, 12)
        other = reference + margin + 0.5 * draws(2 * i + 1, 12)
        sized = margin / abs(reference.mean())
        wrong += judged(reference, other, margin=sized).verdict == "agree"
    assert wrong <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30, 100])
def test_a_difference_of_half_a_deviation_agrees_by_a_derived_margin_in_at_most_one_case_of_twenty(
    seeds: int,
) -> None:
    """In pairs without noise of their own, a margin estimated too wide is all that can go wrong."""
    wrong = sum(judged(one, one + 0.5).verdict == "agree" for one in draws(seeds, (600, seeds)))
    assert wrong <= 600 * 0.05 + 3 * np.sqrt(600 * 0.05 * 0.95)


@pytest.mark.parametrize("seeds", [3, 5, 10, 30])
def test_an_outlier_does_not_make_values_agree_that_are_far_apart(seeds: int) -> None:
    reference = 27 + draws(1, seeds)
    reference[0] = 7300
    other = reference + 27 + 0.1 * draws(2, seeds)
    assert judged(reference, other).verdict == "differ"
    assert judged(reference, reference + 0.001 * draws(2, seeds)).verdict == "agree"


def test_three_seeds_far_from_each_other_do_not_vouch_for_a_wide_margin() -> None:
    """Predictions of a job at a learning rate of 1000: one seed of three is far apart."""
    reference, other = [-312.188, -3213.577, 116.078], [-312.202, -3213.577, 284.282]
    assert judged(reference, other).verdict == "inconclusive"


def test_a_seed_that_almost_diverged_does_not_make_the_rounding_of_the_others() -> None:
    reference = np.array([*range(27, 37), 1e30])
    assert judged(reference, reference + 60, rounding=1e-5).verdict == "differ"


def test_of_seeds_that_mostly_give_one_value_the_odd_one_does_not_make_the_margin() -> None:
    stuck, few = np.array([0.1] + 9 * [1.0]), np.array(2 * [28.0] + 6 * [29] + 2 * [30]) / 30  # accuracies
    assert judged(stuck, stuck - 0.03).verdict == "differ"
    assert judged(few, few).margin == pytest.approx(0.5 * few.std(ddof=1) * np.sqrt(9 / 16.919), rel=1e-3)


@pytest.mark.parametrize("seeds", [2, 5])
@pytest.mark.parametrize("apart", [0.0, 0.1])
def test_of_five_measures_at_their_margins_one_is_called_different_in_at_most_one_case_of_twenty(
    seeds: int, apart: float
) -> None:
    wrong, cases = 0, 200
    for i in range(cases):
        measured = []
        for measure in range(5):
            reference = 10 + draws((seeds, i, measure), seeds)
            other = reference + apart + draws((seeds, i, measure, 1), seeds)
            margin = (apart or 1e-9) / abs(reference.mean())
            measured.append(judged(reference, other, margin=margin, measures=5))
        wrong += verdict_over(measured) == "differ"
    assert wrong <= cases * 0.05 + 3 * np.sqrt(cases * 0.05 * 0.95)


def test_all_measures_of_a_comparison_are_tested_as_one_family(samples: Any) -> None:
    """On its own, this difference would be outside the margin."""
    declared = samples.experiment(seeds=5, margin=1e-4)
    mine = [samples.train(seed=seed) for seed in range(5)]
    theirs = [
        one.model_copy(
            update={"losses": (*one.losses[:-1], one.final_loss * (1 + 0.002 + 0.0005 * draws(seed, ())))}
        )
        for seed, one in enumerate(mine)
    ]
    comparison = samples.compared(
        declared, samples.result("tensorflow", mine), samples.result("torch", theirs)
    )
    ended = [[one.losses[-1] for one in seeds] for seeds in (mine, theirs)]
    (test,) = [one for one in comparison.equivalence if one.measure == "final loss"]
    together = len(comparison.equivalence)
    assert together == 4
    assert test == judged(*ended, margin=1e-4, rounding=1e-5, measures=together)


def test_over_measures_one_difference_decides_and_agreement_needs_all() -> None:
    same, other = judged([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), judged([1.0, 1.1, 1.2], [9.0, 9.1, 9.2])
    open_ = judged(draws(1, 4), draws(2, 4), paired=False)
    assert verdict_over([same, same]) == "agree"
    assert verdict_over([same, open_]) == "inconclusive"
    assert verdict_over([same, open_, other]) == "differ"


def framework_start(samples: Any, *, margin: float | None = None, nudge: float = 0.0, seeds: int = 6) -> Any:
    """Each framework from a start of its own, so that no seed can be held against itself."""
    declared = samples.experiment(seeds=seeds, margin=margin, initial_weights={"type": "framework"})
    return samples.compared(
        declared,
        samples.result("tensorflow", [samples.train(seed=seed, epochs=40) for seed in range(seeds)]),
        samples.result(
            "torch", [samples.train(seed=seed, epochs=40, kernel=0.3, nudge=nudge) for seed in range(seeds)]
        ),
    )


def test_seeds_that_did_not_start_alike_are_judged_by_the_tests(samples: Any) -> None:
    comparison = framework_start(samples)
    assert comparison.equivalence
    assert not comparison.equivalence[0].paired
    assert comparison.verdict == verdict_over(comparison.equivalence) == "inconclusive"
    assert "seeds would decide" in " ".join(comparison.reasons)


def test_the_sentence_over_seeds_tells_the_effect_and_what_the_number_of_seeds_supposes(samples: Any) -> None:
    told = " ".join(framework_start(samples).reasons)
    assert ", effect size " in told
    assert "seeds would decide, should mean and spread stay as they are" in told


def test_settings_that_differ_within_a_declared_margin_agree_over_seeds_not_in_every_number(
    samples: Any,
) -> None:
    declared = samples.experiment(
        seeds=3, margin=0.5, overrides={"torch": {"optimizer.learning_rate": 0.0101}}
    )
    comparison = samples.compared(
        declared,
        samples.result("tensorflow", [samples.train(seed=seed) for seed in range(3)]),
        samples.result("torch", [samples.train(seed=seed, nudge=1e-4) for seed in range(3)]),
    )
    assert comparison.verdict == "agree"
    assert "Over seeds, the results agree all the same." in comparison.reasons


def test_predictions_are_told_of_one_seed_that_all_have(samples: Any) -> None:
    declared = samples.experiment(seeds=3, initial_weights={"type": "framework"})
    mine = [samples.train(seed=seed) for seed in range(3)]
    theirs = [samples.failed_seed(), *(samples.train(seed=seed, nudge=0.1) for seed in (1, 2))]
    comparison = samples.compared(
        declared, samples.result("tensorflow", mine), samples.result("torch", theirs)
    )
    (told,) = [reason for reason in comparison.reasons if reason.startswith("At 10, ")]
    assert told.endswith("(seed 1).")


def test_a_declared_margin_asks_for_the_results_not_for_the_bits(samples: Any) -> None:
    assert framework_start(samples, margin=5.0).verdict == "agree"
    assert framework_start(samples, margin=0.01, nudge=9.0).verdict == "differ"


def test_a_seed_without_a_result_leaves_an_agreement_open(samples: Any) -> None:
    declared = samples.experiment(seeds=3, margin=0.1)
    seeds = [samples.train(seed=seed) for seed in range(3)]
    lost = samples.failed_seed().model_copy(update={"seed": 2})
    told = [[*seeds[:2], lost], [*seeds[:2], lost]]
    comparison = samples.compared(
        declared, *(samples.result(name, of) for name, of in zip(declared.frameworks, told, strict=True))
    )
    assert comparison.verdict == "inconclusive"


def test_the_last_loss_of_a_seed_that_did_not_end_is_left_out(samples: Any) -> None:
    """Cancelled or diverged in both at different epochs: what it had by then is no result."""
    declared = samples.experiment(seeds=4, margin=0.1)
    seeds = [samples.train(seed=seed) for seed in range(3)]
    stopped = [
        samples.failed_seed(seed=3).model_copy(update={"final_loss": loss, "losses": (loss,)})
        for loss in (4e31, 2.0)
    ]
    comparison = samples.compared(
        declared,
        *(
            samples.result(name, [*seeds, one])
            for name, one in zip(declared.frameworks, stopped, strict=True)
        ),
    )
    (test,) = [one for one in comparison.equivalence if one.measure == "final loss"]
    assert (test.seeds, test.difference) == (3, 0)
    for run in comparison.runs:
        assert run.final_loss.count == 3
        assert run.final_loss.largest < 1


def test_two_that_compute_the_same_are_not_asked_about_their_seeds(samples: Any) -> None:
    comparison = samples.matched(seeds=4)
    assert comparison.verdict == "agree"
    assert not any("Over 4 seeds" in reason for reason in comparison.reasons)
