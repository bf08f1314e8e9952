"""How long blocks are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.job import Training
from shared.job.training import BatchPlan
from worker.training.blocks import LOOK_S, MARK_BYTE_S, MARK_S, MOST_BYTES, SHARE, TARGET_S, Pace, cut


def plan(samples: int, size: int | None, epochs: int = 3) -> BatchPlan:
    return BatchPlan.of(Training(epochs=epochs, batch_size=size), samples)


def sizes(of: BatchPlan, *, wanted: int, stop_at_epochs: bool = False) -> list[tuple[int, int]]:
    step, found = 0, []
    while step < of.steps:
        part = cut(of, step, wanted=wanted, stop_at_epochs=stop_at_epochs)
        found.append((part.steps, part.batch_size))
        step += part.steps
    return found


def test_a_block_goes_on_over_epochs_where_nothing_needs_a_look() -> None:
    assert sizes(plan(6, None), wanted=100) == [(3, 6)]
    assert sizes(plan(6, 2), wanted=5) == [(5, 2), (4, 2)]


def test_a_block_ends_with_the_epoch_where_something_needs_a_look() -> None:
    assert sizes(plan(6, 2), wanted=100, stop_at_epochs=True) == [(3, 2)] * 3


def test_a_partial_batch_is_a_block_of_its_own() -> None:
    assert sizes(plan(7, 2, epochs=2), wanted=100) == [(3, 2), (1, 1)] * 2


@given(st.floats(1e-6, 10.0), st.integers(1, 1000))
def test_a_block_comes_to_last_about_the_target_whatever_a_step_costs(
    step_s: float, bytes_per_step: int
) -> None:
    pace = Pace(bytes_per_step=bytes_per_step)
    for _ in range(12):
        pace.learn(pace.wanted, pace.wanted * step_s)
    most = MOST_BYTES // bytes_per_step
    assert pace.wanted * step_s <= max(TARGET_S, step_s) * (1 + 1e-9)
    assert (pace.wanted + 2) * step_s > TARGET_S or pace.wanted == most


def test_a_block_grows_gradually_and_shrinks_at_once() -> None:
    pace = Pace(bytes_per_step=1)
    grown = []
    for _ in range(4):
        grown.append(pace.wanted)
        pace.learn(pace.wanted, 1e-9)
    assert grown == [1, 8, 64, 512]
    pace.learn(4096, 4096 * 0.1)
    assert pace.wanted == 2


def test_a_block_stays_within_its_memory_but_has_at_least_one_step() -> None:
    pace = Pace(bytes_per_step=MOST_BYTES // 3)
    for _ in range(5):
        pace.learn(pace.wanted, 1e-9)
    assert pace.wanted == 3
    huge = Pace(bytes_per_step=10 * MOST_BYTES)
    huge.learn(1, 1e-9)
    assert huge.wanted == 1


def test_looks_and_marks_are_as_dear_as_what_they_save() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(10_000, 1.0)
    assert pace.until_look(trained_s=0.0) == int(LOOK_S / SHARE / 1e-4)
    assert pace.until_mark(trained_s=0.0, state_bytes=0) == int(MARK_S / SHARE / 1e-4)
    later_s = 64.0
    assert pace.until_look(trained_s=later_s) == later_s * SHARE / 1e-4
    assert pace.until_mark(trained_s=later_s, state_bytes=0) == later_s * SHARE / 1e-4


def test_marks_of_large_weights_stand_far_apart() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(10_000, 1.0)
    megabyte_s = 2**20 * MARK_BYTE_S
    apart_s = 1e-4 * pace.until_mark(trained_s=0.0, state_bytes=100 * 2**20)
    assert 100 * megabyte_s <= apart_s * SHARE <= 101 * megabyte_s


def test_a_first_update_alone_sets_no_marks() -> None:
    pace = Pace(bytes_per_step=1)
    pace.learn(1, 10.0)
    assert pace.until_mark(trained_s=10.0, state_bytes=0) == pace.most
