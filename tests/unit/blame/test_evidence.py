"""Gaps between two trainings of one seed, in every measure."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.blame.evidence import PairMeasure, TrainedRun
from likewise.shared.results.run_result import Failure, RunResult, SeedArrays
from tests.listed import Seed, packed


@pytest.fixture
def pair(bench):
    """Builds a pair of trainings from their outputs; the targets are the line's, −3 to 7."""

    def trained(run, outputs, **values):
        seed = Seed(
            seed=0, status="succeeded", epochs=1, outputs=bench.store.put(np.reshape(outputs, (6, 1))),
            outputs_of="train", **values,
        )  # fmt: skip
        result = RunResult(
            run_id=run.run_id, experiment_id="experiment", framework=run.framework, status="succeeded",
            arrays=packed([seed]),
        )  # fmt: skip
        return TrainedRun.of(run, result, bench.store.get)

    def make(mine, theirs, **declared):
        ends = bench.ends(declared.pop("overrides", {}), **declared)
        return trained(ends[0], np.asarray(mine, float)), trained(ends[1], np.asarray(theirs, float))

    return make


TRUTH = np.array([-3.0, -1, 1, 3, 5, 7])


def pair_measure(bench, pair):
    return PairMeasure(pair[0].run.job.losses, pair[0].run.program, bench.store.get)


def test_outputs_are_apart_by_the_root_mean_square(bench, pair):
    two = pair(np.zeros(6), [3.0, 0, 0, 0, 0, 3.0])

    assert pair_measure(bench, two).gap("outputs", two)[0] == pytest.approx(np.sqrt(3))
    assert pair_measure(bench, two).gap("outputs", (two[0], two[0]))[0] == 0.0


def test_outputs_near_the_end_of_the_range_do_not_overflow(bench, pair):
    two = pair(np.zeros(6), np.full(6, 1e300))

    assert pair_measure(bench, two).gap("outputs", two)[0] == pytest.approx(1e300)


def test_the_loss_is_the_references_averaged_for_both(bench, pair):
    two = pair(TRUTH, TRUTH + 2.0, overrides={"loss": {"type": "mae", "reduction": "sum"}})

    assert pair_measure(bench, two).gap("loss", two)[0] == pytest.approx(4.0)


def test_metrics_are_those_of_the_part_that_both_know(bench, pair):
    two = pair(TRUTH, TRUTH)

    assert pair_measure(bench, two).measures(two) == ["outputs", "loss"]
    assert np.isnan(pair_measure(bench, two).gap("train mae", two)).all()


def test_outputs_for_other_samples_are_not_held_against_each_other(bench, pair):
    mine, theirs = pair(TRUTH, TRUTH)
    other = theirs.run.dataset.train.model_copy(update={"x": bench.store.put(np.ones((6, 1)))})
    dataset = theirs.run.dataset.model_copy(update={"train": other})
    moved = TrainedRun(run=theirs.run.model_copy(update={"dataset": dataset}), table=theirs.table)

    assert np.isnan(pair_measure(bench, (mine, moved)).gap("outputs", (mine, moved))).all()
    assert pair_measure(bench, (mine, moved)).gap("loss", (mine, moved))[0] == 0.0


def test_divergence_is_told_from_failures_that_say_nothing(bench, pair):
    mine, theirs = pair(TRUTH, TRUTH)

    def ended(reason):
        failure = Failure.model_validate({"reason": reason, "message": "it ended"})
        result = RunResult(
            run_id="run-torch",
            experiment_id="experiment",
            framework="torch",
            status="failed",
            failure=failure,
        )
        return TrainedRun.of(theirs.run, result, bench.store.get)

    rule = pair_measure(bench, (mine, theirs))
    assert rule.gap("divergence", (mine, theirs))[0] == 0.0
    assert rule.gap("divergence", (mine, ended("diverged")))[0] == 1.0
    assert rule.gap("divergence", (ended("diverged"), ended("diverged")))[0] == 0.0
    assert np.isnan(rule.gap("divergence", (mine, ended("worker_lost")))[0])
    assert np.isnan(rule.gap("outputs", (mine, ended("diverged")))[0])


def test_many_seeds_as_arrays_are_read_as_listed_ones_are(bench):
    mine, _ = bench.ends({})
    outputs = np.arange(18.0).reshape(3, 6, 1)
    column = bench.store.put(np.array([0.5, np.nan, 2.5]))
    whole, hashes = bench.store.put(np.array([1, 1, 1])), bench.store.put(np.ones((3, 2, 4), np.int64))
    piece = SeedArrays(
        seeds=(4, 5, 6), failures=(Failure(reason="diverged", message="NaN", seed=5),), epochs=whole,
        losses=bench.store.put(np.zeros((3, 1))), stopped_early=whole, metrics={"train": {"mae": column}},
        outputs=bench.store.put(outputs), outputs_of="train", hashes=hashes,
        timings=bench.store.put(np.zeros((3, 5))),
    )  # fmt: skip
    result = RunResult(
        run_id="run-0", experiment_id="experiment", framework="tensorflow", status="failed", arrays=(piece,),
        failure=Failure(reason="diverged", message="NaN", seed=5),
    )  # fmt: skip
    found = TrainedRun.of(mine.model_copy(update={"seeds": (4, 5, 6)}), result, bench.store.get)

    np.testing.assert_array_equal(found.diverged, [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(found.outputs, outputs)
    np.testing.assert_array_equal(
        pair_measure(bench, (found,)).gap("train mae", (found, found)), [0.0, np.nan, 0.0]
    )
