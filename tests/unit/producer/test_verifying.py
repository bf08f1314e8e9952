"""What a bundle that is trained again says of the verdict."""

from __future__ import annotations

import pytest

from likewise.producer.golden import Since
from likewise.producer.verifying import verdict_claim


@pytest.mark.parametrize(
    ("then", "now", "state"),
    [
        ("agree", "agree", "holds"),
        ("agree", "differ", "fails"),
        ("differ", "inconclusive", "fails"),
        ("inconclusive", "differ", "noted"),  # an explained experiment has no twin, and this one has
    ],
)
def test_a_verdict_holds_where_it_is_the_same_and_one_that_was_open_may_be_settled(
    then: str, now: str, state: str
) -> None:
    found = Since(
        name="a", experiment_id="1", pinned_s=0.0, verdict_then=then, verdict_now=now,
        sides=(), missing=(), added=(),
    )  # fmt: skip
    assert verdict_claim(found).state == state
