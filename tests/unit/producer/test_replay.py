"""Which updates a replay observes: from where the losses show something, to where they have parted."""

from __future__ import annotations

from types import SimpleNamespace as Given

import numpy as np
import pytest

from likewise.producer.replay import MOST_STEPS, updates_to_observe
from likewise.shared.job import Training

PER_EPOCH = 4


def compared(*others, precision="float64", epochs=10, same_start=True, train_s=1.0, validation=None):
    """The sides' losses of ten epochs; each of `others` changes those of a further side.

    `validation` changes the others' validation losses, where there are any.
    """
    losses = np.linspace(2.0, 1.0, epochs)

    def validated(place):
        return () if validation is None else tuple(validation(losses.copy()) if place else losses)

    runs = [
        Given(
            side=side,
            seeds=[Given(seed=0, losses=tuple(one), validation_losses=validated(place), hashes=None)],
            total_train_s=train_s,
        )
        for place, (side, one) in enumerate(
            zip("abcdef", (losses, *(other(losses.copy()) for other in others)), strict=False)
        )
    ]
    return Given(
        runs=runs,
        tolerance=Given(relative=1e-9),
        jobs={"a": Given(precision=precision)},
        seed_gaps=[Given(seed=0, other="b", same_initial_weights=same_start)],
        first_divergences=[],
    )


def runs(batch_size=5):
    job = Given(training=Training(epochs=10, batch_size=batch_size))
    return [Given(job=job, dataset=Given(train=Given(x=Given(shape=(20, 3)))))] * 2


def from_epoch(epoch, by):
    def change(losses):
        losses[epoch:] += by
        return losses

    return change


@pytest.mark.parametrize(
    ("other", "skip", "steps"),
    [
        (from_epoch(0, 1e-3), 0, PER_EPOCH + 1),
        (from_epoch(1, 1e-3), 0, 2 * PER_EPOCH + 1),
        (from_epoch(6, 1e-3), 5 * PER_EPOCH, 2 * PER_EPOCH + 1),
        # nothing shows: the last epoch, and what is measured after it
        (from_epoch(0, 0.0), 9 * PER_EPOCH, PER_EPOCH + 1),
        # what is no more than rounding so far may begin the replay, never end it
        (lambda losses: from_epoch(6, 1e-3)(from_epoch(3, 1e-10)(losses)), 2 * PER_EPOCH, 5 * PER_EPOCH + 1),
    ],
)
def test_the_losses_say_from_where_to_where(other, skip, steps):
    assert updates_to_observe(compared(other), runs(), 0) == (skip, steps)


def test_validation_losses_show_what_the_training_does_not():
    """As of batch norm left in training mode when it is evaluated: every update is equal."""
    alike, late = from_epoch(0, 0.0), from_epoch(3, 1e-3)
    assert updates_to_observe(compared(alike, validation=late), runs(), 0) == (
        2 * PER_EPOCH,
        8 * PER_EPOCH + 1,
    )
    assert updates_to_observe(compared(alike, validation=alike), runs(), 0)[0] == 9 * PER_EPOCH


def test_of_several_sides_all_are_observed_until_the_last_has_parted():
    sides = from_epoch(2, 1e-3), from_epoch(5, 1e-3)
    assert updates_to_observe(compared(*sides), runs(), 0) == (PER_EPOCH, 5 * PER_EPOCH + 1)
    alike = from_epoch(0, 0.0)
    assert updates_to_observe(compared(alike, sides[0]), runs(), 0) == (PER_EPOCH, 2 * PER_EPOCH + 1)


def test_nothing_is_bounded_by_losses_that_say_nothing():
    late = from_epoch(6, 1e-3)
    assert updates_to_observe(compared(late, same_start=False), runs(), 0) == (0, MOST_STEPS)
    assert updates_to_observe(compared(late), [*runs(5)[:1], *runs(10)[:1]], 0) == (0, MOST_STEPS)
    assert updates_to_observe(compared(lambda _: np.zeros(0)), runs(), 0) == (0, MOST_STEPS)
    assert updates_to_observe(compared(late, precision="float32"), runs(), 0) == (5 * PER_EPOCH, MOST_STEPS)


def test_a_long_way_there_is_not_gone():
    skip, steps = updates_to_observe(compared(from_epoch(6, 1e-3), train_s=10_000.0), runs(), 0)
    assert (skip, steps) == (0, 7 * PER_EPOCH + 1)
