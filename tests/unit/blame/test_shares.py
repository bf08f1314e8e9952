"""Shares of hand-made games: what each factor closes is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, permutations

import numpy as np
import pytest

from likewise.producer.blame.shares import Design, Parts, design, parts, share

Left = Callable[[frozenset[int]], float]


def play(plan: Design, left: Left, *, without: tuple[frozenset[int], ...] = ()) -> Parts:
    """The game in which `left` says how much of the gap a mixture leaves, on two seeds."""
    gaps = {one: np.array([left(one), 2 * left(one)]) for one in plan.mixtures if one not in without}
    found = parts(plan, gaps)
    assert found is not None
    return found


def first_seed(found: Parts) -> list[float | None]:
    return [None if part is None else round(float(part[0]), 12) for part in found.closed]


def additive(mixture: frozenset[int]) -> float:
    return 10.0 - sum([5.0, 3.0, 2.0, 0.0, 0.0][factor] for factor in mixture)


def needs_both(mixture: frozenset[int]) -> float:
    return 0.0 if {0, 1} <= mixture else 8.0


def either_will_do(mixture: frozenset[int]) -> float:
    return 0.0 if mixture & {0, 1} else 8.0


@pytest.mark.parametrize("factors", [3, 5])
def test_factors_that_do_not_interact_get_what_they_close_alone(factors: int) -> None:
    found = play(design(factors), additive)

    assert first_seed(found) == [5.0, 3.0, 2.0, 0.0, 0.0][:factors]
    assert found.left is not None
    assert found.left[0] == 0.0


@pytest.mark.parametrize("game", [needs_both, either_will_do])
def test_two_that_only_work_together_and_two_of_which_one_is_enough_share_alike(game: Left) -> None:
    assert first_seed(play(design(2), game)) == [4.0, 4.0]


def test_each_alone_switched_misjudges_both_of_these_games() -> None:
    """The check sees a wrong share: what switching first alone would say."""

    def first_only(game: Left) -> list[float]:
        return [game(frozenset()) - game(frozenset({factor})) for factor in (0, 1)]

    assert first_only(needs_both) == [0.0, 0.0]
    assert first_only(either_will_do) == [8.0, 8.0]


def test_a_factor_that_does_nothing_gets_nothing_also_beside_interacting_ones() -> None:
    assert first_seed(play(design(3), needs_both))[2] == 0.0


@pytest.mark.parametrize("factors", [1, 2, 3, 4, 5, 7])
def test_the_parts_and_what_is_left_are_the_whole_gap_on_every_seed(factors: int) -> None:
    plan = design(factors)
    numbers = np.random.default_rng(factors)
    found = parts(plan, {one: numbers.uniform(0.1, 5, size=4) for one in plan.mixtures})

    assert found is not None
    assert found.left is not None
    total = sum(part for part in found.closed if part is not None) + found.left
    np.testing.assert_allclose(total, found.whole, rtol=1e-12)


def test_a_share_that_was_planted_wrong_no_longer_adds_up() -> None:
    found = play(design(2), needs_both)
    assert found.left is not None
    closed = [part for part in found.closed if part is not None]

    assert sum(closed) + found.left == pytest.approx(found.whole)
    assert sum([closed[0] * 1.5, closed[1]]) + found.left != pytest.approx(found.whole)


@pytest.mark.parametrize("missing", [0, 1, 3])
def test_counting_the_orders_gives_what_walking_them_gives(missing: int) -> None:
    numbers = np.random.default_rng(missing)
    plan = design(4)
    without = [plan.mixtures[place] for place in numbers.choice(range(1, 15), missing, replace=False)]
    gaps = {one: numbers.uniform(0, 5, size=2) for one in plan.mixtures if one not in without}

    chains = [[frozenset(order[:place]) for place in range(5)] for order in permutations(range(4))]
    orders = [chain for chain in chains if gaps.keys() >= set(chain)]
    walked = np.zeros((4, 2))
    for steps in orders:
        for before, after in pairwise(steps):
            (factor,) = after - before
            walked[factor] += (gaps[before] - gaps[after]) / len(orders)
    found = parts(plan, gaps)

    assert found is not None
    assert found.orders_left_out == 24 - len(orders)
    np.testing.assert_allclose(np.array(found.closed), walked, rtol=1e-12, atol=1e-12)


def test_eight_factors_are_256_subsets_and_no_longer_40320_orders() -> None:
    plan = design(8, most_combined=8)
    found = parts(plan, {one: np.array([8.0 - len(one)]) for one in plan.mixtures})

    assert len(plan.mixtures) == 256
    assert first_seed(found) == [1.0] * 8


def test_orders_through_a_mixture_that_could_not_be_trained_are_left_out_and_the_rest_adds_up() -> None:
    found = play(design(2), additive, without=(frozenset({0}),))

    assert found.orders_left_out == 1
    assert first_seed(found) == [5.0, 3.0]


def test_without_the_mixture_of_everything_no_share_is_known() -> None:
    found = play(design(2), additive, without=(frozenset({0, 1}),))

    assert first_seed(found) == [None, None]
    assert found.left is None


def test_without_the_gap_itself_there_is_nothing_to_part() -> None:
    assert parts(design(1), {frozenset({0}): np.array([0.0])}) is None


def test_few_factors_are_combined_and_many_are_tried_at_both_ends() -> None:
    assert (design(4).kind, len(design(4).mixtures)) == ("combinations", 16)
    assert (design(5).kind, len(design(5).mixtures)) == ("ends", 12)
    assert len(design(5, most_combined=5).mixtures) == 32
    assert len(design(0).mixtures) == 1


def test_of_many_factors_one_whose_ends_are_missing_is_unknown_and_the_others_are_known() -> None:
    alone, kept = frozenset({0}), frozenset({1, 2, 3, 4})
    found = play(design(5), additive, without=(alone, kept))

    assert first_seed(found) == [None, 3.0, 2.0, 0.0, 0.0]


def test_the_interval_covers_the_true_share_about_as_often_as_it_says() -> None:
    numbers = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        whole = numbers.uniform(1, 3, size=6)
        found = share(whole * 0.4 + numbers.normal(0, 0.2, size=6), whole)
        assert found is not None
        assert found.interval is not None
        covered += found.interval[0] <= 0.4 <= found.interval[1]

    assert 0.92 < covered / 400 < 0.98


def test_an_interval_is_a_point_where_all_seeds_agree_and_unknown_for_one_seed() -> None:
    same = share(np.array([1.0, 1.0]), np.array([4.0, 4.0]))
    one = share(np.array([1.0]), np.array([4.0]))

    assert same is not None
    assert same.interval == (0.25, 0.25)
    assert one is not None
    assert (one.value, one.interval) == (0.25, None)


def test_there_is_no_share_of_no_gap() -> None:
    assert share(np.zeros(3), np.zeros(3)) is None
