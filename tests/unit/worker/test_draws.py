"""Draws by address: frozen layout, uniform and normal numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likewise.worker.training.draws import DrawPurpose, Draws, log

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
