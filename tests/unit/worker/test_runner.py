"""What a run returns, with an adapter that is no framework."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker import counters
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.training import blocks
from likewise.worker.training.metrics import member_metrics

Jobs = Callable[..., Job]
ARTICLE = ([[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]], [[-3.0], [-1.0], [1.0], [3.0], [5.0], [7.0]])
LINE = {"layers.0.kernel": [[0.37]], "layers.0.bias": [0.0]}
GIVEN = {"type": "values", "weights": LINE}


def article(job_of: Jobs, **fields: Any) -> Job:
    return job_of(
        **{
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": 500},
            "initial_weights": GIVEN,
            **fields,
        }
    )


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
    seed = lab.only(result)
    assert lab.load(seed.predictions).dtype == np.float32
    assert lab.load(seed.predictions)[0, 0] == pytest.approx(at_10, abs=2e-6)
    # At 1e-13 the loss is a few last bits squared, so only its size is sure in another library.
    assert seed.final_loss == pytest.approx(last_loss, rel=1e-3 if last_loss > 1e-9 else 0.9)
    assert seed.epochs == len(seed.losses) == 500
    assert seed.final_loss == seed.losses[-1]


def test_in_float64_the_fit_is_the_exact_iteration(lab: Any, job_of: Jobs) -> None:
    """SGD on a quadratic is a linear recurrence, so its matrix power gives the weights after 500 updates."""
    job = article(job_of, precision="float64")
    seed = lab.only(lab.train(lab.run(job, train=ARTICLE, given=LINE)))
    x = np.hstack([np.array(ARTICLE[0]), np.ones((6, 1))])
    step = np.eye(2) - 0.01 * 2 / 6 * x.T @ x
    error = np.linalg.matrix_power(step, 500) @ (np.array([0.37, 0.0]) - np.array([2.0, -1.0]))
    found = [
        float(lab.load(seed.weights["layers.0.kernel"])[0, 0]),
        float(lab.load(seed.weights["layers.0.bias"])[0]),
    ]
    assert found == pytest.approx([2.0 + error[0], -1.0 + error[1]], abs=1e-14)


def test_every_part_is_measured_and_the_test_outputs_are_kept(lab: Any, job_of: Jobs) -> None:
    parts = {"train": lab.samples(40), "validation": lab.samples(20, 1), "test": lab.samples(10, 2)}
    job = job_of(training={"epochs": 3, "batch_size": 8})
    seed = lab.only(lab.train(lab.run(job, **parts)))
    assert set(seed.metrics) == {"train", "validation", "test"}
    assert seed.outputs_of == "test"
    outputs = lab.load(seed.outputs)
    assert outputs.shape == (10, 1)
    targets = parts["test"][1].astype("f4")
    (expected,) = member_metrics(["mae", "rmse", "r2"], loss=job.loss, outputs=outputs[None], targets=targets)
    assert seed.metrics["test"] == expected
    assert len(seed.validation_losses) == seed.epochs == 3
    assert seed.validation_losses[-1] == pytest.approx(seed.metrics["validation"]["rmse"] ** 2)


@pytest.mark.parametrize("parts", [("validation",), ()])
def test_outputs_come_from_the_part_held_out_furthest(lab: Any, job_of: Jobs, parts: tuple[str, ...]) -> None:
    held_out = {name: lab.samples(9, 1) for name in parts}
    seed = lab.only(lab.train(lab.run(job_of(), train=lab.samples(20), **held_out)))
    assert seed.outputs_of == (parts[0] if parts else "train")


def test_only_the_metrics_asked_for_are_returned(lab: Any, job_of: Jobs) -> None:
    seed = lab.only(lab.train(lab.run(job_of(metrics=["r2"]), train=lab.samples(20))))
    assert list(seed.metrics["train"]) == ["r2"]


def test_outputs_of_large_sets_are_taken_in_chunks(lab: Any, job_of: Jobs) -> None:
    rows = lab.samples(10_000)[0]
    seed = lab.only(lab.train(lab.run(job_of(), train=lab.samples(20), predict=rows)))
    kernel = lab.load(seed.weights["layers.0.kernel"])
    bias = lab.load(seed.weights["layers.0.bias"])
    assert lab.load(seed.predictions) == pytest.approx(rows.astype(np.float32) @ kernel + bias, abs=1e-5)


def test_a_large_training_takes_the_worker_s_threads_and_a_small_one_takes_one(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.run(job_of(), train=lab.samples(20))
    assert lab.train(run, threads=4).environment.threads == lab.adapter.threads == 1
    monkeypatch.setattr(lab.adapter, "shared_from", 20, raising=False)
    assert lab.train(run, threads=4).environment.threads == lab.adapter.threads == 4


def test_a_run_that_names_its_threads_gets_them_from_every_worker(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.adapter, "shared_from", 20, raising=False)
    run = lab.run(job_of(), train=lab.samples(20)).model_copy(update={"threads": 3})
    for most in (1, 4):
        assert lab.train(run, threads=most).environment.threads == lab.adapter.threads == 3


def test_what_ran_is_recorded(lab: Any, job_of: Jobs) -> None:
    result = lab.train(lab.run(job_of(), train=lab.samples(20)))
    assert (result.worker, result.attempt) == ("worker-1", 1)
    environment = result.environment
    assert (environment.framework, environment.device, environment.host) == ("numpy", "cpu", "host-1")
    assert (environment.execution, environment.threads) == ("numpy", 1)
    assert environment.versions["numpy"] == np.__version__
    assert "python" in environment.versions


def test_times_are_split_by_phase_and_the_compiling_calls_are_apart(
    lab: Any, job_of: Jobs, compiling_adapter: FrameworkAdapter
) -> None:
    run = lab.run(job_of(training={"epochs": 3, "batch_size": 8}), train=lab.samples(20))
    plain, compiled = (
        lab.only(lab.train(run)).timings,
        lab.only(lab.train(run, adapter=compiling_adapter)).timings,
    )
    assert plain.queue_s == 0.5
    assert plain.compile_s == 0.0
    assert min(plain.build_s, plain.train_s, plain.predict_s) > 0.0
    assert min(compiled.compile_s, compiled.train_s) > 0.0


@pytest.mark.parametrize(("timed", "forgotten"), [(None, 0), ("warm", 0), ("cold", 1)])
def test_a_run_timed_cold_forgets_the_programs_first(
    lab: Any, job_of: Jobs, compiling_adapter: Any, timed: str | None, forgotten: int
) -> None:
    run = lab.run(job_of(), train=lab.samples(20)).model_copy(update={"timed": timed})
    lab.train(run, adapter=compiling_adapter)
    assert compiling_adapter.forgotten == forgotten


@pytest.mark.parametrize(("timed", "compiled"), [(None, True), ("warm", False), ("cold", True)])
def test_a_run_timed_warm_compiles_before_it_is_measured(
    lab: Any, job_of: Jobs, compiling_adapter: Any, timed: str | None, compiled: bool
) -> None:
    run = lab.run(job_of(training={"epochs": 3}), train=lab.samples(20)).model_copy(update={"timed": timed})
    seed = lab.only(lab.train(run, adapter=compiling_adapter))
    assert (seed.timings.compile_s > 0) == compiled
    assert seed.epochs == 3


def test_the_peak_of_memory_is_recorded(lab: Any, job_of: Jobs) -> None:
    seed = lab.only(lab.train(lab.run(job_of(), train=lab.samples(20))))
    assert seed.peak_bytes > 10 * 1024 * 1024
    assert seed.device_peak_bytes is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_the_peak_of_memory_is_that_of_this_training(lab: Any, job_of: Jobs) -> None:
    np.ones(200 * 1024 * 1024, dtype=np.uint8)
    before = counters.peak_bytes()
    seed = lab.only(lab.train(lab.run(job_of(), train=lab.samples(20))))
    assert before is not None
    assert seed.peak_bytes < before - 100 * 1024 * 1024


def test_results_hold_no_number_that_json_lacks(lab: Any, job_of: Jobs) -> None:
    """Constant targets leave r2 undefined, a diverged seed has losses up to infinity: still plain JSON."""
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e30})
    result = lab.train(lab.run(job, train=(np.ones((4, 3)), np.ones((4, 1)))))
    document = result.model_dump_json()
    assert "NaN" not in document.replace("became NaN", "")
    assert all(loss < inf for loss in lab.only(result).losses)
    fine = lab.only(lab.train(lab.run(job_of(), train=(np.ones((4, 3)), np.ones((4, 1))))))
    assert fine.metrics["train"]["r2"] is None


# Where training starts


def test_shared_weights_are_drawn_anew_for_each_seed_and_alike_in_each_run(lab: Any, job_of: Jobs) -> None:
    run = lab.run(job_of(), train=lab.samples(20), seeds=(3, 4))
    one, two = lab.train(run), lab.train(run)
    hashes = [[seed.hashes.initial_weights for seed in lab.seeds(result)] for result in (one, two)]
    assert hashes[0] == hashes[1]
    assert hashes[0][0] != hashes[0][1]


def test_framework_weights_come_from_the_adapter(lab: Any, job_of: Jobs) -> None:
    job = job_of(initial_weights={"type": "framework"}, optimizer={"type": "sgd", "learning_rate": 1e-30})
    seed = lab.only(lab.train(lab.run(job, train=lab.samples(20), seeds=(7,))))
    own = lab.adapter.default_weights(compile_job(job, (3,)), precision="float32", seed=7)
    assert np.array_equal(lab.load(seed.weights["layers.0.kernel"]), own["layers.0.kernel"])


def test_given_weights_that_do_not_fit_fail_before_training(lab: Any, job_of: Jobs) -> None:
    run = lab.run(job_of(initial_weights=GIVEN), train=lab.samples(20), given=LINE)
    result = lab.train(run)
    assert result.failure.reason == "bad_weights"
    assert "layers.0.kernel: has the shape 1 x 1, and the model's is 3 x 1" in result.failure.message


def test_no_clock_is_read_while_the_device_is_at_work(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU goes on working after a call has returned, so a clock that is read then measures nothing."""
    at_work, reads = False, 0

    def returning_early(call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*arguments: Any, **named: Any) -> Any:
            nonlocal at_work
            at_work = True
            return call(*arguments, **named)

        return asked

    def synchronize() -> None:
        nonlocal at_work
        at_work = False

    def perf_counter() -> float:
        nonlocal reads
        reads += 1
        assert not at_work
        return time.perf_counter()

    def build(*arguments: Any, **named: Any) -> Any:
        trainer = returning_early(built)(*arguments, **named)
        for name in ("train", "outputs"):
            monkeypatch.setattr(trainer, name, returning_early(getattr(trainer, name)))
        return trainer

    built = lab.adapter.build
    monkeypatch.setattr(lab.adapter, "build", build)
    monkeypatch.setattr(lab.adapter, "synchronize", synchronize)
    monkeypatch.setattr(blocks, "time", SimpleNamespace(perf_counter=perf_counter))
    result = lab.train(lab.run(article(job_of), train=ARTICLE, predict=[[10.0]], given=LINE))
    assert (result.status, result.failure) == ("succeeded", None)
    assert reads > 6
