"""Many seeds as one program: the numbers, failures and results of each trained alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.job.optimizer import Sgd
from likewise.shared.results.run_result import RunResult, SeedArrays
from likewise.worker.training import evaluating, resources, results
from likewise.worker.training.samples import load_run
from tests.listed import Seed

Jobs = Callable[..., Job]

JOBS: dict[str, dict[str, Any]] = {
    "whole batches": {"training": {"epochs": 7}},
    "a partial batch": {"training": {"epochs": 3, "batch_size": 8}},
    "in an order of their own": {"training": {"epochs": 3, "batch_size": 8, "shuffle": True}},
    "with dropout": {
        "model": {"layers": [{"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 1}]},
        "training": {"epochs": 3, "batch_size": 6},
    },
    "with a schedule": {
        "optimizer": {"type": "sgd", "schedule": {"type": "step", "step_size": 2, "gamma": 0.5}},
        "training": {"epochs": 5},
    },
    "summed in float32": {
        "loss": {"type": "mse", "reduction": "sum"},
        "training": {"epochs": 3, "batch_size": 6},
    },
}


def parts(lab: Any) -> dict[str, Any]:
    return {"train": lab.samples(20), "validation": lab.samples(7, 1), "test": lab.samples(5, 2)}


def both(lab: Any, job: Job, **run: Any) -> tuple[RunResult, RunResult]:
    """The result of a run trained together and of the same run one after another."""
    given = lab.run(job, **run)
    lab.adapter.vectorises = True
    together = lab.train(given)
    lab.adapter.vectorises = False
    return together, lab.train(given)


def without_clocks(seed: Seed) -> dict[str, Any]:
    return seed.model_dump(exclude={"timings", "peak_bytes", "grown_bytes"})


@pytest.mark.parametrize("name", JOBS)
def test_seeds_trained_together_give_what_each_gives_alone(name: str, lab: Any, job_of: Jobs) -> None:
    job = job_of(**JOBS[name])
    together, alone = both(lab, job, **parts(lab), predict=[[1.0, 2.0, 3.0]], seeds=(3, 1, 4, 15))
    assert lab.adapter.ensembles[0].members == 4
    assert [without_clocks(seed) for seed in lab.seeds(together)] == [
        without_clocks(seed) for seed in lab.seeds(alone)
    ]
    assert together.environment.execution == "vectorised (numpy), 4 at once"
    assert together.notes == ()
    assert alone.notes == ("The seeds were trained one after another: it is told not to.",)


def test_members_without_anything_of_their_own_share_their_batches(lab: Any, job_of: Jobs) -> None:
    lab.train(lab.run(job_of(), train=lab.samples(20), seeds=(1, 2)))
    assert {block.indices.ndim for block in lab.adapter.ensembles[0].blocks} == {2}
    lab.train(lab.run(job_of(training={"epochs": 2, "shuffle": True}), train=lab.samples(20), seeds=(1, 2)))
    assert {block.indices.shape[0] for block in lab.adapter.ensembles[1].blocks} == {2}


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_member_that_diverges_fails_alone_and_at_its_own_step(
    shuffle: bool, lab: Any, job_of: Jobs
) -> None:
    job = job_of(
        training={"epochs": 60, "batch_size": 6, "shuffle": shuffle},
        initial_weights="framework",
        optimizer={"type": "sgd", "learning_rate": 0.05},
    )
    own = lab.adapter.default_weights

    def sometimes_far(program: Any, *, seed: int, **more: Any) -> Any:
        weights = own(program, seed=seed, **more)
        return {name: array * (1e21 if seed == 2 else 1) for name, array in weights.items()}

    lab.adapter.default_weights = sometimes_far
    together, alone = both(lab, job, train=lab.samples(20), seeds=(1, 2, 3))
    assert [seed.status for seed in lab.seeds(together)] == ["succeeded", "failed", "succeeded"]
    assert (together.failure.reason, together.failure.seed) == ("diverged", 2)
    assert [without_clocks(seed) for seed in lab.seeds(together)] == [
        without_clocks(seed) for seed in lab.seeds(alone)
    ]


def test_a_validation_loss_that_diverges_fails_its_member_alone(lab: Any, job_of: Jobs) -> None:
    far = (np.full((4, 3), 1e30), np.zeros((4, 1)))
    job = job_of(training={"epochs": 3}, initial_weights="framework")
    own = lab.adapter.default_weights
    lab.adapter.default_weights = lambda program, *, seed, **more: {
        name: array * (1e10 if seed == 2 else 1) for name, array in own(program, seed=seed, **more).items()
    }
    together, alone = both(lab, job, train=lab.samples(20), validation=far, seeds=(1, 2))
    assert [seed.failure and seed.failure.message for seed in lab.seeds(together)] == [
        seed.failure and seed.failure.message for seed in lab.seeds(alone)
    ]
    assert any(seed.status == "failed" for seed in lab.seeds(together))
    assert [seed.hashes for seed in lab.seeds(together)] == [seed.hashes for seed in lab.seeds(alone)]


def test_an_ensemble_ends_when_no_member_is_left(lab: Any, job_of: Jobs) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e30}, training={"epochs": 1_000_000})
    result = lab.train(lab.run(job, train=lab.samples(20), seeds=(1, 2)))
    assert [seed.failure.reason for seed in lab.seeds(result)] == ["diverged", "diverged"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"execution": "eager"}, "execution is eager"),
        ({"training": {"epochs": 3, "early_stopping": {"monitor": "loss"}}}, "early stopping"),
        (
            {"optimizer": {"type": "sgd", "schedule": {"type": "reduce_on_plateau", "monitor": "loss"}}},
            "reduce_on_plateau",
        ),
    ],
)
def test_what_cannot_be_trained_together_is_trained_in_turn_and_says_so(
    changes: dict[str, Any], words: str, lab: Any, job_of: Jobs
) -> None:
    result = lab.train(lab.run(job_of(**changes), train=lab.samples(20), seeds=(1, 2)))
    assert result.status == "succeeded"
    assert lab.adapter.ensembles == []
    (note,) = result.notes
    assert words in note


def test_memory_that_runs_out_together_is_tried_one_by_one(
    lab: Any, job_of: Jobs, device_memory_error: type[Exception]
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise device_memory_error("no room")

    lab.adapter.build_ensemble = full
    result = lab.train(lab.run(job_of(), train=lab.samples(20), seeds=(1, 2)))
    assert result.status == "succeeded"
    assert "memory ran out for 2 at once" in result.notes[0]


def test_members_are_grouped_by_what_fits_memory(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.run(job_of(training={"epochs": 2}), train=lab.samples(20), seeds=tuple(range(7)))
    data = load_run(run, lab.load)
    monkeypatch.setattr(resources, "MOST_BYTES", 3 * resources.bytes_of_member(run.job, data=data))
    result = lab.train(run)
    assert [ensemble.members for ensemble in lab.adapter.ensembles] == [3, 3]
    assert len(lab.adapter.built) == 1, "the last is alone"
    assert len(lab.seeds(result)) == 7
    assert lab.events[-1].share == 1.0


def test_outputs_are_taken_of_as_many_samples_at_once_as_fit_memory(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.run(job_of(training={"epochs": 2}), **parts(lab), seeds=(1, 2))
    whole = lab.train(run)
    # a sample is 3 inputs and an output of float32 in each of 2 members; 3 samples fit
    monkeypatch.setattr(evaluating, "_BYTES_TOGETHER", 3 * 2 * (3 + 1) * 4)
    taken: list[int] = []
    build = lab.adapter.build_ensemble

    def counting(*given: Any, **named: Any) -> Any:
        ensemble = build(*given, **named)
        outputs = ensemble.outputs
        ensemble.outputs = lambda x: taken.append(len(x)) or outputs(x)
        return ensemble

    monkeypatch.setattr(lab.adapter, "build_ensemble", counting)
    in_parts = lab.train(run)
    assert max(taken) == 3
    for found, wanted in zip(lab.seeds(in_parts), lab.seeds(whole), strict=True):
        assert found.weights == wanted.weights
        # a product of other sizes may round otherwise
        np.testing.assert_allclose(lab.load(found.outputs), lab.load(wanted.outputs), rtol=1e-6)
        assert found.metrics["train"] == pytest.approx(wanted.metrics["train"], rel=1e-6)


def test_recurrent_layers_are_counted_with_all_their_steps(lab: Any, job_of: Jobs) -> None:
    sizes = {}
    for steps in (5, 50):
        layers = [{"type": "lstm", "units": 8}, {"type": "dense", "units": 1}]
        job = job_of(model={"layers": layers}, training={"epochs": 1, "batch_size": 4})
        x = np.zeros((4, steps, 3))
        data = load_run(lab.run(job, train=(x, np.zeros((4, 1))), seeds=(1, 2)), lab.load)
        sizes[steps] = resources.bytes_of_member(job, data=data)
    # at each step 4 samples have 3 inputs and the inputs and outputs of 4 gates of 8, three times over
    assert sizes[50] - sizes[5] == 45 * 4 * (3 + 2 * 32) * 3 * 4


# Seeds travel as arrays


def arrays_of(lab: Any, arrays: SeedArrays) -> dict[str, Any]:
    return {
        "losses": lab.load(arrays.losses),
        "epochs": lab.load(arrays.epochs),
        "outputs": lab.load(arrays.outputs),
        "weights": {name: lab.load(ref) for name, ref in arrays.weights.items()},
        "hashes": lab.load(arrays.hashes),
        "r2": lab.load(arrays.metrics["test"]["r2"]),
        "validation_losses": lab.load(arrays.validation_losses),
    }


@pytest.mark.parametrize("vectorises", [True, False])
def test_seeds_stored_together_have_the_numbers_of_each_stored_alone(
    vectorises: bool, lab: Any, job_of: Jobs
) -> None:
    job = job_of(training={"epochs": 4, "batch_size": 8, "shuffle": True})
    lab.adapter.vectorises = vectorises
    seeds = tuple(range(20, 32))
    result = lab.train(lab.run(job, **parts(lab), seeds=seeds))
    (arrays,) = result.arrays
    assert arrays.seeds == seeds
    found = arrays_of(lab, arrays)
    for place in (0, 7, 11):
        alone = lab.only(lab.train(lab.run(job, **parts(lab), seeds=(seeds[place],))))
        assert found["losses"][place].tolist() == list(alone.losses)
        assert found["validation_losses"][place].tolist() == list(alone.validation_losses)
        assert found["epochs"][place] == 4
        assert found["r2"][place] == alone.metrics["test"]["r2"]
        np.testing.assert_array_equal(found["outputs"][place], lab.load(alone.outputs))
        for name, ref in alone.weights.items():
            np.testing.assert_array_equal(found["weights"][name][place], lab.load(ref))
        digests = found["hashes"][place].astype(">i8").tobytes().hex()
        assert digests == alone.hashes.initial_weights + alone.hashes.batches


def test_a_failed_seed_is_nan_in_the_arrays_but_for_the_epochs_it_finished(lab: Any, job_of: Jobs) -> None:
    job = job_of(training={"epochs": 60}, initial_weights="framework")
    own = lab.adapter.default_weights
    lab.adapter.default_weights = lambda program, *, seed, **more: {
        name: array * (np.float32(1e38) if seed == 2 else 1)
        for name, array in own(program, seed=seed, **more).items()
    }
    result = lab.train(lab.run(job, train=lab.samples(20), seeds=tuple(range(11))))
    (arrays,) = result.arrays
    assert [failure.seed for failure in arrays.failures] == [2]
    losses = lab.load(arrays.losses)
    epochs = lab.load(arrays.epochs)
    assert epochs[2] < 60 == epochs[3]
    assert np.isnan(losses[2, epochs[2] :]).all()
    assert np.isnan(lab.load(arrays.outputs)[2]).all()
    assert np.isfinite(lab.load(arrays.outputs)[3]).all()


def test_arrays_are_stored_as_they_come_to_their_size(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MOST_BYTES", 20 * 4 * 5)
    result = lab.train(lab.run(job_of(), train=lab.samples(20), seeds=tuple(range(14))))
    assert [len(arrays.seeds) for arrays in result.arrays] == [6, 6, 2]


def test_each_point_of_a_sweep_has_arrays_of_its_own(lab: Any, job_of: Jobs) -> None:
    """One of the points diverges, after several epochs and in the midst of a block."""
    job = job_of(training={"epochs": 60, "batch_size": 8, "shuffle": True})
    points = [Sgd(type="sgd", learning_rate=rate) for rate in (0.01, 3.0, 0.1)]
    result = lab.train(lab.run(job, **parts(lab), seeds=(5, 6), optimizers=points))
    assert lab.adapter.ensembles[0].members == 6
    assert [(one.point, one.seeds) for one in result.arrays] == [(0, (5, 6)), (1, (5, 6)), (2, (5, 6))]
    assert [len(arrays.failures) for arrays in result.arrays] == [0, 2, 0]
    for place, optimizer in enumerate(points):
        moved = job.model_copy(update={"optimizer": optimizer})
        alone = lab.only(lab.train(lab.run(moved, **parts(lab), seeds=(6,))))
        arrays = result.arrays[place]
        assert alone.epochs > 3
        assert lab.load(arrays.epochs)[1] == alone.epochs
        assert lab.load(arrays.losses)[1, : alone.epochs].tolist() == list(alone.losses)
        digests = lab.load(arrays.hashes)[1].astype(">i8").tobytes().hex()
        assert digests[64:] == alone.hashes.batches
        assert [failure for failure in arrays.failures if failure.seed == 6] == (
            [alone.failure] if alone.failure else []
        )
