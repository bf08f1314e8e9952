"""The gap that a sweep shows beside its verdict."""

from __future__ import annotations

from typing import Any

import numpy as np

from likewise.producer.sweep.table import SideAtPoint, decisive_gap
from likewise.producer.verdict.models import Comparison


def doubled_losses(samples: Any, **other: Any) -> Comparison:
    """The same weights and outputs under losses twice as large."""
    declared = samples.experiment(overrides={"torch": {"optimizer.learning_rate": 0.02}})
    mine, theirs = samples.train(), samples.train(**other)
    theirs = theirs.model_copy(update={"losses": tuple(2 * loss for loss in theirs.losses)})
    return samples.compared(declared, samples.result("tensorflow", [mine]), samples.result("torch", [theirs]))


def test_beside_a_difference_in_the_losses_alone_stands_theirs(samples: Any) -> None:
    comparison = doubled_losses(samples, nudge=1e-6)
    gap = decisive_gap(comparison)
    assert (comparison.verdict, gap.measure, gap.relative) == ("differ", "losses", 1.0)


def test_beside_an_agreement_that_is_reported_differently_stands_no_gap_in_the_losses(samples: Any) -> None:
    comparison = doubled_losses(samples)
    gap = decisive_gap(comparison)
    assert (comparison.verdict, gap.relative) == ("agree", 0.0)
    assert gap.measure != "losses"


def test_a_gap_in_anything_else_comes_before_that_of_the_losses(samples: Any) -> None:
    gap = decisive_gap(doubled_losses(samples, nudge=0.01))
    assert gap.measure != "losses"
    assert 1e-5 < gap.relative < 1


def test_beside_a_training_that_failed_alone_stands_no_gap_within_the_tolerance(samples: Any) -> None:
    declared = samples.experiment(seeds=2)
    fine = [samples.train(seed=seed) for seed in range(2)]
    comparison = samples.compared(
        declared,
        samples.result("tensorflow", fine),
        samples.result("torch", [fine[0], samples.failed_seed(seed=1)]),
    )
    assert comparison.verdict == "differ"
    assert decisive_gap(comparison) is None


def test_an_agreement_shows_its_gap(samples: Any) -> None:
    assert decisive_gap(samples.matched()).relative == 0


def test_a_seed_that_failed_has_null_for_a_value_in_the_document() -> None:
    one = SideAtPoint(succeeded=1, seeds=2, values=np.array([0.1, np.nan]))
    assert one.model_dump(mode="json")["values"] == [0.1, None]
