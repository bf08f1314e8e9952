"""The run loop with an adapter that is no framework: results, cutting, failures, cancellation.

Longer than 400 lines: one section for each duty of the loop, all on the same few jobs.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import pytest

from shared.arrays import ArrayRef
from shared.errors import LikewiseError, RedisError
from shared.result import RunResult, SeedResult
from shared.run import Run
from shared.spec import Job
from worker.adapters.base import Block, FrameworkAdapter
from worker.training import memory, pacing
from worker.training.masks import DropoutLayer, MaskSource
from worker.training.metrics import compute_metrics
from worker.training.seed_training import SeedTraining

Jobs = Callable[..., Job]
ARTICLE = ([[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]], [[-3.0], [-1.0], [1.0], [3.0], [5.0], [7.0]])
LINE = {"layers.0.kernel": [[0.37]], "layers.0.bias": [0.0]}
GIVEN = {"type": "values", "weights": LINE}


def samples(count: int, seed: int = 0) -> tuple[Any, Any]:
    """y = x·[1, −2, 3] + noise."""
    numbers = np.random.default_rng(seed)
    x = numbers.normal(size=(count, 3))
    return x, x @ [[1.0], [-2.0], [3.0]] + 0.1 * numbers.normal(size=(count, 1))


def article(job_of: Jobs, **fields: Any) -> Job:
    return job_of(
        **{
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": 500},
            "initial_weights": GIVEN,
            **fields,
        }
    )


def only(result: RunResult) -> SeedResult:
    (seed,) = result.seeds
    return seed


# What a training returns


@pytest.mark.parametrize(
    ("reduction", "rate", "expected"),
    [
        ("mean", 0.01, (18.982839, 3.4596e-05)),
        ("sum", 0.01, (18.999998, 5.1514e-13)),
        ("mean", 0.06, (18.999998, 8.5857e-14)),
    ],
)
def test_the_article_comes_out_in_numpy_too(
    lab: Any, job_of: Jobs, reduction: str, rate: float, expected: tuple[float, float]
) -> None:
    at_10, last_loss = expected
    job = article(
        job_of,
        loss={"type": "mse", "reduction": reduction},
        optimizer={"type": "sgd", "learning_rate": rate},
    )
    result = lab.train(lab.run(job, train=ARTICLE, predict=[[10.0]], given=LINE))
    assert (result.status, result.failure) == ("succeeded", None)
    seed = only(result)
    assert lab.load(seed.predictions).dtype == np.float32
    assert lab.load(seed.predictions)[0, 0] == pytest.approx(at_10, abs=2e-6)
    # At 1e-13 the loss is a few last bits squared, so only its size is sure in another library.
    assert seed.final_loss == pytest.approx(last_loss, rel=1e-3 if last_loss > 1e-9 else 0.9)
    assert seed.epochs == len(seed.losses) == 500
    assert seed.final_loss == seed.losses[-1]


def test_in_float64_the_fit_is_the_exact_iteration(lab: Any, job_of: Jobs) -> None:
    """SGD on a quadratic is a linear recurrence, so its matrix power gives the weights after 500 updates."""
    job = article(job_of, precision="float64")
    seed = only(lab.train(lab.run(job, train=ARTICLE, given=LINE)))
    x = np.hstack([np.array(ARTICLE[0]), np.ones((6, 1))])
    step = np.eye(2) - 0.01 * 2 / 6 * x.T @ x
    error = np.linalg.matrix_power(step, 500) @ (np.array([0.37, 0.0]) - np.array([2.0, -1.0]))
    found = [
        float(lab.load(seed.weights["layers.0.kernel"])[0, 0]),
        float(lab.load(seed.weights["layers.0.bias"])[0]),
    ]
    assert found == pytest.approx([2.0 + error[0], -1.0 + error[1]], abs=1e-14)


def test_every_part_is_measured_and_the_test_outputs_are_kept(lab: Any, job_of: Jobs) -> None:
    parts = {"train": samples(40), "validation": samples(20, 1), "test": samples(10, 2)}
    job = job_of(training={"epochs": 3, "batch_size": 8})
    seed = only(lab.train(lab.run(job, **parts)))
    assert set(seed.metrics) == {"train", "validation", "test"}
    assert seed.outputs_of == "test"
    outputs = lab.load(seed.outputs)
    assert outputs.shape == (10, 1)
    assert seed.metrics["test"] == compute_metrics(
        ["mae", "rmse", "r2"], loss=job.loss, outputs=outputs, targets=parts["test"][1].astype("f4")
    )
    assert len(seed.validation_losses) == seed.epochs == 3
    assert seed.validation_losses[-1] == pytest.approx(seed.metrics["validation"]["rmse"] ** 2)


@pytest.mark.parametrize("parts", [("validation",), ()])
def test_outputs_come_from_the_part_held_out_furthest(lab: Any, job_of: Jobs, parts: tuple[str, ...]) -> None:
    held_out = {name: samples(9, 1) for name in parts}
    seed = only(lab.train(lab.run(job_of(), train=samples(20), **held_out)))
    assert seed.outputs_of == (parts[0] if parts else "train")


def test_only_the_metrics_asked_for_are_returned(lab: Any, job_of: Jobs) -> None:
    seed = only(lab.train(lab.run(job_of(metrics=["r2"]), train=samples(20))))
    assert list(seed.metrics["train"]) == ["r2"]


def test_outputs_of_large_sets_are_taken_in_chunks(lab: Any, job_of: Jobs) -> None:
    rows = samples(10_000)[0]
    seed = only(lab.train(lab.run(job_of(), train=samples(20), predict=rows)))
    kernel = lab.load(seed.weights["layers.0.kernel"])
    bias = lab.load(seed.weights["layers.0.bias"])
    assert lab.load(seed.predictions) == pytest.approx(rows.astype(np.float32) @ kernel + bias, abs=1e-5)


def test_a_large_training_takes_the_worker_s_threads_and_a_small_one_takes_one(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.run(job_of(), train=samples(20))
    assert lab.train(run, threads=4).environment.threads == lab.adapter.threads == 1
    monkeypatch.setattr("worker.training.threads.SHARED_FROM", 20)
    assert lab.train(run, threads=4).environment.threads == lab.adapter.threads == 4


def test_what_ran_is_recorded(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=samples(20)))
    assert (result.worker, result.attempt) == ("worker-1", 1)
    environment = result.environment
    assert (environment.framework, environment.device, environment.host) == ("numpy", "cpu", "host-1")
    assert (environment.execution, environment.threads) == ("numpy", 1)
    assert environment.versions["numpy"] == np.__version__
    assert "python" in environment.versions


def test_times_are_split_by_phase_and_the_compiling_calls_are_apart(
    lab: Any, job_of: Jobs, compiling_adapter: FrameworkAdapter
) -> None:
    run = lab.run(job_of(training={"epochs": 3, "batch_size": 8}), train=samples(20))
    plain, compiled = (
        only(lab.train(run)).timings,
        only(lab.train(run, adapter=compiling_adapter)).timings,
    )
    assert plain.queue_s == 0.5
    assert plain.compile_s == 0.0
    assert min(plain.build_s, plain.train_s, plain.predict_s) > 0.0
    assert min(compiled.compile_s, compiled.train_s) > 0.0


@pytest.mark.parametrize(("timed", "forgotten"), [(None, 0), ("warm", 0), ("cold", 1)])
def test_a_run_timed_cold_forgets_the_programs_first(
    lab: Any, job_of: Jobs, compiling_adapter: Any, timed: str | None, forgotten: int
) -> None:
    run = lab.run(job_of(), train=samples(20)).model_copy(update={"timed": timed})
    lab.train(run, adapter=compiling_adapter)
    assert compiling_adapter.forgotten == forgotten


@pytest.mark.parametrize(("timed", "compiled"), [(None, True), ("warm", False), ("cold", True)])
def test_a_run_timed_warm_compiles_before_it_is_measured(
    lab: Any, job_of: Jobs, compiling_adapter: Any, timed: str | None, compiled: bool
) -> None:
    run = lab.run(job_of(training={"epochs": 3}), train=samples(20)).model_copy(update={"timed": timed})
    seed = only(lab.train(run, adapter=compiling_adapter))
    assert (seed.timings.compile_s > 0) == compiled
    assert seed.epochs == 3


def test_the_peak_of_memory_is_recorded(lab: Any, job_of: Jobs) -> None:
    seed = only(lab.train(lab.run(job_of(), train=samples(20))))
    assert seed.peak_bytes > 10 * 1024 * 1024
    assert seed.device_peak_bytes is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_the_peak_of_memory_is_that_of_this_training(lab: Any, job_of: Jobs) -> None:
    np.ones(200 * 1024 * 1024, dtype=np.uint8)
    before = memory.peak_bytes()
    seed = only(lab.train(lab.run(job_of(), train=samples(20))))
    assert before is not None
    assert seed.peak_bytes < before - 100 * 1024 * 1024


# Where training starts


def test_shared_weights_are_drawn_anew_for_each_seed_and_alike_in_each_run(lab: Any, job_of: Jobs) -> None:
    run = lab.run(job_of(), train=samples(20), seeds=(3, 4))
    one, two = lab.train(run), lab.train(run)
    hashes = [[seed.hashes.initial_weights for seed in result.seeds] for result in (one, two)]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[0][1]


def test_framework_weights_come_from_the_adapter(lab: Any, job_of: Jobs) -> None:
    job = job_of(initial_weights={"type": "framework"}, optimizer={"type": "sgd", "learning_rate": 1e-30})
    seed = only(lab.train(lab.run(job, train=samples(20), seeds=(7,))))
    own = lab.adapter.default_weights(job, input_shape=(3,), seed=7)
    assert np.array_equal(lab.load(seed.weights["layers.0.kernel"]), own["layers.0.kernel"])


def test_given_weights_that_do_not_fit_fail_before_training(lab: Any, job_of: Jobs) -> None:
    run = lab.run(job_of(initial_weights=GIVEN), train=samples(20), given=LINE)
    result = lab.train(run)
    assert result.failure.reason == "bad_weights"
    assert "layers.0.kernel has the shape (1, 1), not (3, 1)" in result.failure.message


# Cutting into blocks


def hard_job(job_of: Jobs, **fields: Any) -> Job:
    """All that could depend on the cutting: shuffling, dropout, a partial batch, a schedule."""
    return job_of(
        **{
            "model": {
                "layers": [{"type": "dropout", "rate": 0.3}, {"type": "dense", "units": 1}],
            },
            "optimizer": {
                "type": "sgd",
                "learning_rate": 0.05,
                "schedule": {"type": "cosine", "decay_steps": 40, "warmup": 3},
            },
            "training": {"epochs": 6, "batch_size": 8, "shuffle": True},
            **fields,
        }
    )


def numbers(seed: SeedResult) -> dict[str, Any]:
    """A result without its clocks."""
    return seed.model_dump(exclude={"timings", "peak_bytes"})


@pytest.mark.parametrize("size", [30, 32], ids=["partial last batch", "full batches"])
@pytest.mark.parametrize("validated", [False, True])
def test_numbers_do_not_depend_on_how_a_training_is_cut(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, size: int, validated: bool
) -> None:
    held_out = {"validation": samples(9, 1)} if validated else {}
    run = lab.run(hard_job(job_of), train=samples(size), seeds=(1, 2), **held_out)
    as_usual = lab.train(run)
    with monkeypatch.context() as patch:
        patch.setattr(pacing, "TARGET_S", 0.0)  # one step a block
        step_by_step = lab.train(run)
    with monkeypatch.context() as patch:
        patch.setattr(pacing, "MOST_BYTES", 3 * 8 * (8 + 3 * 4))  # three steps a block
        in_threes = lab.train(run)
    assert as_usual.status == "succeeded"
    for cut_otherwise in (step_by_step, in_threes):
        assert [numbers(seed) for seed in cut_otherwise.seeds] == [numbers(seed) for seed in as_usual.seeds]


def test_a_wrong_step_count_would_change_the_numbers(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the test above: a block that is told the wrong step draws other masks."""
    run = lab.run(hard_job(job_of), train=samples(32))
    right = only(lab.train(run))
    draw = MaskSource.block

    def late(self: MaskSource, *, first_step: int, steps: int, batch_size: int) -> Any:
        return draw(self, first_step=first_step + 1, steps=steps, batch_size=batch_size)

    monkeypatch.setattr(MaskSource, "block", late)
    assert only(lab.train(run)).losses != right.losses


def test_blocks_cover_all_steps_in_order_on_the_declared_batches(lab: Any, job_of: Jobs) -> None:
    blocks: list[Block] = []
    build = lab.adapter.build

    def recording(*args: Any, **kwargs: Any) -> Any:
        trainer = build(*args, **kwargs)
        train = trainer.train
        trainer.train = lambda block: (blocks.append(block), train(block))[1]
        return trainer

    lab.adapter.build = recording
    run = lab.run(hard_job(job_of), train=samples(30))
    assert lab.train(run).status == "succeeded"
    step = 0
    for block in blocks:
        count, size = block.indices.shape
        assert block.first_step == step
        assert block.learning_rates.shape == (count,)
        assert block.masks["layers.0"].shape == (count, size, 3)
        step += count
    assert step == 6 * 4
    first = MaskSource(
        [DropoutLayer(index=0, path="layers.0", rate=0.3, shape=(3,))], seed=0, precision="float32"
    ).block(first_step=0, steps=1, batch_size=8)
    assert np.array_equal(blocks[0].masks["layers.0"], first["layers.0"])
    seen = np.concatenate([block.indices.ravel() for block in blocks]).reshape(6, 30)
    assert (np.sort(seen, axis=1) == np.arange(30)).all()


def test_the_epoch_loss_is_that_of_all_its_samples(lab: Any, job_of: Jobs) -> None:
    """With a tiny learning rate the weights stand still, so the epoch's loss is the set's."""
    fields = {"optimizer": {"type": "sgd", "learning_rate": 1e-30}, "precision": "float64"}
    for reduction, count in (("mean", 1), ("sum", 30)):
        job = job_of(
            loss={"type": "mse", "reduction": reduction},
            training={"epochs": 2, "batch_size": 8, "shuffle": True},
            **fields,
        )
        seed = only(lab.train(lab.run(job, train=samples(30))))
        expected = seed.metrics["train"]["rmse"] ** 2 * count
        assert seed.losses == pytest.approx([expected, expected], rel=1e-12)


def test_the_order_and_the_start_have_seeds_of_their_own_where_they_are_declared(
    lab: Any, job_of: Jobs
) -> None:
    shuffled = {"epochs": 2, "batch_size": 8, "shuffle": True}

    def hashes(seed: int, **fields: Any) -> tuple[str, str]:
        job = job_of(**{"training": shuffled, **fields})
        found = only(lab.train(lab.run(job, train=samples(30), seeds=(seed,)))).hashes
        return found.initial_weights, found.batches

    start, order = hashes(0)
    other_start, other_order = hashes(1)
    assert start != other_start
    assert order != other_order
    assert hashes(1, training=shuffled | {"shuffle_seed": 0}) == (other_start, order)
    assert hashes(1, initial_weights={"type": "shared", "seed": 0}) == (start, other_order)


def test_a_dropped_last_batch_is_not_trained_on(lab: Any, job_of: Jobs) -> None:
    def hashed(drop_last: bool) -> str:
        job = job_of(training={"epochs": 2, "batch_size": 8, "drop_last": drop_last})
        return only(lab.train(lab.run(job, train=samples(30)))).hashes.batches

    assert hashed(True) != hashed(False)


# Early stopping


def stopping(job_of: Jobs, **rule: Any) -> Job:
    """A learning rate that rises after epoch 3, so that the loss falls and then grows."""
    schedule = {"type": "piecewise", "per": "epoch", "boundaries": [3], "values": [0.1, 1.05]}
    return job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 50, "early_stopping": {"patience": 2, **rule}},
        precision="float64",
    )


def test_training_stops_when_the_watched_loss_no_longer_falls(lab: Any, job_of: Jobs) -> None:
    run = lab.run(stopping(job_of), train=samples(40), validation=samples(20, 1))
    seed = only(lab.train(run))
    assert seed.stopped_early
    best = int(np.argmin(seed.validation_losses))
    assert seed.epochs == len(seed.losses) == best + 1 + 2
    assert seed.epochs < 50


@pytest.mark.parametrize("restore", [True, False])
def test_the_best_weights_come_back_on_request(lab: Any, job_of: Jobs, restore: bool) -> None:
    job = stopping(job_of, restore_best_weights=restore)
    seed = only(lab.train(lab.run(job, train=samples(40), validation=samples(20, 1))))
    kept = seed.metrics["validation"]["rmse"] ** 2
    expected = min(seed.validation_losses) if restore else seed.validation_losses[-1]
    assert kept == pytest.approx(expected, rel=1e-12)


def test_the_training_loss_can_be_watched_without_validation(lab: Any, job_of: Jobs) -> None:
    seed = only(lab.train(lab.run(stopping(job_of, monitor="loss"), train=samples(40))))
    assert seed.stopped_early
    assert seed.validation_losses == ()


BACK: dict[str, dict[str, Any]] = {
    "one step an epoch": {},
    "five steps an epoch": {"batch_size": 8, "shuffle": True},
    "the last weights": {"restore_best_weights": False},
    "impatient": {"patience": 1},
    "at the end": {"patience": 49},
    "hard to please": {"min_delta": 0.05},
}


def looked_back(lab: Any, job_of: Jobs, name: str) -> tuple[Any, ...]:
    """All that early stopping decides, of a training that watches its own loss."""
    rule = {key: value for key, value in BACK[name].items() if key not in {"batch_size", "shuffle"}}
    job = stopping(job_of, monitor="loss", **rule)
    order = {key: value for key, value in BACK[name].items() if key not in rule}
    job = job.model_copy(update={"training": job.training.model_copy(update=order)})
    seed = only(lab.train(lab.run(job, train=samples(40))))
    kernel = lab.load(seed.weights["layers.0.kernel"]).tobytes()
    return seed.epochs, seed.stopped_early, seed.losses, seed.hashes, kernel, seed.metrics


@pytest.mark.parametrize("name", BACK)
def test_epochs_looked_back_on_stop_where_a_look_at_each_would_have(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    back = looked_back(lab, job_of, name)
    monkeypatch.setattr(SeedTraining, "_in_hindsight", False)
    assert looked_back(lab, job_of, name) == back


@pytest.mark.parametrize("name", ["one step an epoch", "the last weights"])
def test_the_check_sees_a_training_that_does_not_go_back(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(SeedTraining, "_rewind", lambda *_, **__: None)
    gone = looked_back(lab, job_of, name)
    monkeypatch.setattr(SeedTraining, "_in_hindsight", False)
    assert looked_back(lab, job_of, name) != gone


@pytest.mark.parametrize("patience", [3, 200])
@pytest.mark.parametrize("restore", [True, False])
def test_what_is_trained_in_vain_or_twice_is_what_lies_between_looks_and_marks(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, patience: int, restore: bool
) -> None:
    monkeypatch.setattr(pacing.Pace, "until_look", lambda *_, **__: 1)
    monkeypatch.setattr(pacing.Pace, "until_mark", lambda *_, **__: 1)
    job = stopping(job_of, monitor="loss", patience=patience, restore_best_weights=restore)
    longer = job.training.model_copy(update={"epochs": 3_000})
    seed = only(lab.train(lab.run(job.model_copy(update={"training": longer}), train=samples(40))))
    assert seed.stopped_early
    assert lab.adapter.built[-1].updates == seed.epochs


def test_no_block_ends_far_beyond_where_patience_may_run_out(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: looks far apart train on after patience has run out."""
    monkeypatch.setattr(pacing, "LOOK_S", 1.0)
    job = stopping(job_of, monitor="loss", patience=3)
    longer = job.training.model_copy(update={"epochs": 3_000})
    seed = only(lab.train(lab.run(job.model_copy(update={"training": longer}), train=samples(40))))
    assert lab.adapter.built[-1].updates > seed.epochs


def test_a_loss_that_diverges_after_patience_ran_out_does_not_fail(lab: Any, job_of: Jobs) -> None:
    schedule = {"type": "piecewise", "per": "epoch", "boundaries": [3], "values": [0.1, 30.0]}
    job = job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 50, "early_stopping": {"monitor": "loss", "patience": 1}},
    )
    seed = only(lab.train(lab.run(job, train=samples(40))))
    assert seed.stopped_early
    assert seed.epochs == 5


def test_a_loss_that_falls_to_the_end_stops_nothing_and_short_epochs_are_trained_many_at_once(
    lab: Any, job_of: Jobs
) -> None:
    training = {"epochs": 1_000, "early_stopping": {"monitor": "loss", "patience": 1_000}}
    seed = only(lab.train(lab.run(job_of(training=training), train=samples(40))))
    assert not seed.stopped_early
    assert seed.epochs == 1_000
    assert lab.adapter.built[-1].blocks < 50, "short epochs are trained many at once"


def reducing(job_of: Jobs, schedule: dict[str, Any]) -> Job:
    return job_of(
        optimizer={"type": "sgd", "learning_rate": 0.1, "schedule": schedule},
        training={"epochs": 7, "batch_size": 8},
        precision="float64",
    )


def test_a_plateau_of_patience_epochs_lowers_the_rate_of_the_next(lab: Any, job_of: Jobs) -> None:
    never = {"type": "reduce_on_plateau", "monitor": "loss", "factor": 0.5, "min_delta": 1e9}
    # the first epoch is the best; the plateaus end with epochs 3 and 5
    known = {"type": "piecewise", "per": "epoch", "boundaries": [3, 5], "values": [0.1, 0.05, 0.025]}
    seeds = {
        name: only(lab.train(lab.run(reducing(job_of, schedule), train=samples(40))))
        for name, schedule in {
            "watched": never | {"patience": 2},
            "known": known,
            "a step late": never | {"patience": 3},
        }.items()
    }
    assert seeds["watched"].losses == seeds["known"].losses
    assert seeds["a step late"].losses[:3] == seeds["known"].losses[:3]
    assert seeds["a step late"].losses[4:] != seeds["known"].losses[4:]


def test_a_loss_that_keeps_falling_keeps_its_rate(lab: Any, job_of: Jobs) -> None:
    schedule = {"type": "reduce_on_plateau", "monitor": "loss", "patience": 1, "min_delta": 0.0}
    falling = only(lab.train(lab.run(reducing(job_of, schedule), train=samples(40))))
    constant = only(lab.train(lab.run(reducing(job_of, {"type": "constant"}), train=samples(40))))
    assert falling.losses == constant.losses
    assert sorted(falling.losses, reverse=True) == list(falling.losses)


# Failures


def test_a_diverging_training_is_a_typed_failure_with_epoch_and_advice(lab: Any, job_of: Jobs) -> None:
    job = article(
        job_of,
        loss={"type": "mse", "reduction": "sum"},
        optimizer={"type": "sgd", "learning_rate": 0.05},
    )
    result = lab.train(lab.run(job, train=ARTICLE, given=LINE))
    assert result.status == "failed"
    failure = result.failure
    assert (failure.reason, failure.seed) == ("diverged", 0)
    assert failure.epoch == failure.step == len(only(result).losses) + 1
    assert "learning rate is too high" in failure.message
    assert "loss.reduction: mean" in failure.message
    seed = only(result)
    assert seed.epochs == len(seed.losses)
    assert seed.weights == {}
    assert seed.hashes is not None


@pytest.mark.parametrize("size", [30, 32], ids=["partial last batch", "full batches"])
def test_where_a_training_diverges_does_not_depend_on_the_cutting(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 5.0}, training={"epochs": 99, "batch_size": 8})
    run = lab.run(job, train=samples(size))
    as_usual = only(lab.train(run))
    monkeypatch.setattr(pacing, "TARGET_S", 0.0)
    assert as_usual.failure.reason == "diverged"
    assert numbers(only(lab.train(run))) == numbers(as_usual)


def test_an_epochs_sum_that_overflows_is_divergence(lab: Any, job_of: Jobs) -> None:
    job = job_of(
        loss={"type": "mse", "reduction": "sum"},
        optimizer={"type": "sgd", "learning_rate": 1e-300},
        training={"epochs": 3, "batch_size": 1},
        precision="float64",
    )
    result = lab.train(lab.run(job, train=(np.ones((2, 1)), np.full((2, 1), 1e154))))
    assert (result.failure.reason, result.failure.epoch, result.failure.step) == ("diverged", 1, 2)
    assert only(result).losses == ()


def test_other_seeds_go_on_when_one_diverges(lab: Any, job_of: Jobs) -> None:
    lab.adapter.vectorises = False
    build = lab.adapter.build
    diverging = iter([False, True, False])

    def sometimes(*args: Any, weights: Any, **kwargs: Any) -> Any:
        if next(diverging):
            weights = {name: np.full_like(array, 1e38) for name, array in weights.items()}
        return build(*args, weights=weights, **kwargs)

    lab.adapter.build = sometimes
    result = lab.train(lab.run(job_of(), train=samples(20), seeds=(1, 2, 3)))
    assert [seed.status for seed in result.seeds] == ["succeeded", "failed", "succeeded"]
    assert result.status == "failed"
    assert (result.failure.reason, result.failure.seed) == ("diverged", 2)


def test_weights_that_overflow_in_the_last_update_are_divergence(lab: Any, job_of: Jobs) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e300}, training={"epochs": 1})
    result = lab.train(lab.run(job, train=samples(20)))
    assert result.failure.reason == "diverged"
    assert "layers.0" in result.failure.message


def test_an_infinite_validation_loss_is_divergence(lab: Any, job_of: Jobs) -> None:
    far = (np.full((4, 3), 1e38), np.zeros((4, 1)))
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1.0})
    result = lab.train(lab.run(job, train=samples(20), validation=far))
    assert result.failure.reason == "diverged"
    assert "validation" in result.failure.message


def test_what_the_adapter_cannot_do_ends_the_run_with_its_words(lab: Any, job_of: Jobs) -> None:
    job = job_of(loss="mae")
    result = lab.train(lab.run(job, train=samples(20), seeds=(1, 2)))
    assert result.failure.reason == "unsupported"
    assert "only a linear model with mse" in result.failure.message
    assert len(result.seeds) == 1, "the next seed would meet the same"
    assert result.environment is not None


@pytest.mark.parametrize("error", [MemoryError(), None], ids=["host", "device"])
def test_memory_that_runs_out_in_training_is_typed(
    lab: Any, job_of: Jobs, device_memory_error: type[Exception], error: Exception | None
) -> None:
    build = lab.adapter.build

    def starved(*args: Any, **kwargs: Any) -> Any:
        trainer = build(*args, **kwargs)

        def train(_: Block) -> Any:
            raise error or device_memory_error("8 GiB")

        trainer.train = train
        return trainer

    lab.adapter.build = starved
    result = lab.train(lab.run(job_of(), train=samples(20)))
    assert result.failure.reason == "out_of_memory"
    assert "batch_size" in result.failure.message
    assert only(result).epochs == 0


def test_a_run_for_another_framework_is_invalid(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=samples(20), framework="other"))
    assert result.failure.reason == "invalid"
    assert "for other, but this worker trains with numpy" in result.failure.message


@pytest.mark.parametrize(
    ("fields", "parts", "words"),
    [
        ({}, {"train": (np.ones((4, 3)), np.ones((4, 2)))}, "1 output a sample, but train has 2 targets"),
        ({}, {"train": (np.ones((4, 3)), np.ones((5, 1)))}, "train has 4 samples and 5 targets"),
        ({}, {"train": samples(5), "predict": np.ones((2, 4))}, "A row of predict has the shape (4,)"),
        (
            {"loss": "categorical_crossentropy"},
            {"train": (np.ones((2, 3)), np.array([0, 1]))},
            "classes run from 0 to 0",
        ),
        (
            {"training": {"epochs": 1, "batch_size": 9, "drop_last": True}},
            {"train": samples(5)},
            "make training.batch_size smaller",
        ),
        (
            {"training": {"epochs": 1, "early_stopping": {}}},
            {"train": samples(5)},
            "set data.split.validation",
        ),
        ({}, {"train": (np.ones((4, 3, 2)), np.ones((4, 1)))}, "flatten"),
    ],
)
def test_what_does_not_fit_fails_in_words(
    lab: Any, job_of: Jobs, fields: dict[str, Any], parts: dict[str, Any], words: str
) -> None:
    result = lab.train(lab.run(job_of(**fields), **parts))
    assert result.failure.reason == "bad_shape"
    assert words in result.failure.message
    assert result.seeds == ()


def test_numbers_too_large_for_float32_are_refused_with_the_way_out(lab: Any, job_of: Jobs) -> None:
    large = (np.full((4, 3), 1e300), np.ones((4, 1)))
    result = lab.train(lab.run(job_of(), train=large))
    assert result.failure.reason == "unsupported"
    assert "x of train" in result.failure.message
    assert "precision: float64" in result.failure.message


class GoneError(LikewiseError):
    """As the blob store says that an array is gone."""


@pytest.mark.parametrize("error", [GoneError("no blob 12ab"), ValueError("wrong SHA-256"), KeyError("12ab")])
def test_an_array_that_is_gone_is_damaged_data(lab: Any, job_of: Jobs, error: Exception) -> None:
    def load(_: ArrayRef) -> Any:
        raise error

    result = lab.train(lab.run(job_of(), train=samples(20)), load=load)
    assert result.failure.reason == "data_damaged"
    assert "the train samples" in result.failure.message


# Callbacks


@pytest.mark.parametrize("callback", ["load", "store", "on_progress", "stop_requested"])
def test_a_store_that_is_away_is_the_queues_affair(lab: Any, job_of: Jobs, callback: str) -> None:
    def away(*_: Any) -> Any:
        raise RedisError("no Redis at localhost:6379")

    with pytest.raises(RedisError):
        lab.train(lab.run(job_of(), train=samples(20)), **{callback: away})


def test_an_interruption_passes(lab: Any, job_of: Jobs) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    lab.adapter.build = interrupted
    with pytest.raises(KeyboardInterrupt):
        lab.train(lab.run(job_of(), train=samples(20)))


def long_run(lab: Any, job_of: Jobs) -> Run:
    """More than a million updates: it ends in this test's time only by cancellation."""
    job = job_of(training={"epochs": 1_000_000, "batch_size": 2})
    run: Run = lab.run(job, train=samples(20), seeds=(1, 2))
    return run


def test_a_cancelled_run_ends_soon_and_says_how_far_it_came(lab: Any, job_of: Jobs) -> None:
    cancel = threading.Event()

    def on_progress(event: Any) -> None:
        lab.events.append(event)
        if event.epoch > 0 and event.samples_per_s:
            cancel.set()

    result = lab.train(long_run(lab, job_of), on_progress=on_progress, stop_requested=cancel.is_set)
    assert result.failure.reason == "cancelled"
    assert result.failure.seed == 1
    for seed in result.seeds:
        assert 0 < seed.epochs < 1_000_000
        assert seed.epochs == len(seed.losses) == lab.events[-1].epoch


def test_a_run_cancelled_beforehand_trains_nothing(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=samples(20)), stop_requested=lambda: True)
    assert result.failure.reason == "cancelled"
    assert lab.adapter.built == []


def test_progress_comes_several_times_a_second_and_not_more(lab: Any, job_of: Jobs) -> None:
    result = lab.train(long_run(lab, job_of), stop_requested=lambda: len(lab.events) == 6)
    timings = result.seeds[0].timings
    assert timings.train_s < 6 * 1.0, "each event within a second even on a busy machine"
    assert timings.train_s > 5 * 0.1
    first, *later = lab.events
    assert (first.epoch, first.loss, first.samples_per_s) == (0, None, None)
    assert all(event.samples_per_s > 0 and event.loss is not None for event in later)
    assert [event.epoch for event in lab.events] == sorted(event.epoch for event in lab.events)


def test_the_first_and_the_last_of_many_short_seeds_are_told(lab: Any, job_of: Jobs) -> None:
    lab.adapter.vectorises = False
    lab.train(lab.run(job_of(), train=samples(20), validation=samples(9, 1), seeds=tuple(range(50))))
    first, last = lab.events[0], lab.events[-1]
    assert (first.position, first.epoch) == (1, 0)
    assert (last.position, last.seeds, last.seed, last.epoch, last.epochs) == (50, 50, 49, 5, 5)
    assert last.validation_loss is not None
    assert len(lab.events) < 50


def test_compiling_is_told_before_it_begins_and_once(lab: Any, job_of: Jobs) -> None:
    lab.adapter = type(lab.adapter)(compiles=True)
    lab.train(lab.run(job_of(), train=samples(20)))
    told = [event.compiling for event in lab.events]
    assert told[:2] == [False, True]
    assert sum(told) == 1


def test_results_hold_no_number_that_json_lacks(lab: Any, job_of: Jobs) -> None:
    """Constant targets leave r2 undefined, a diverged seed has losses up to infinity: still plain JSON."""
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e30})
    result = lab.train(lab.run(job, train=(np.ones((4, 3)), np.ones((4, 1)))))
    document = result.model_dump_json()
    assert "NaN" not in document.replace("became NaN", "")
    assert all(loss < inf for loss in only(result).losses)
    fine = only(lab.train(lab.run(job_of(), train=(np.ones((4, 3)), np.ones((4, 1))))))
    assert fine.metrics["train"]["r2"] is None
