"""A run that dies after a checkpoint and is taken again ends with the numbers of one that was left alone."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from likewise.shared.job import Job
from likewise.shared.results.run_result import RunResult
from likewise.worker.training import blocks, checkpoints, resources
from likewise.worker.training.checkpoints import Checkpoint
from likewise.worker.training.samples import load_run

Jobs = Callable[..., Job]
NOT_ITS_OWN = (
    "Its checkpoint was made by another run, with other versions or threads, "
    "or on another device. It started from the beginning."
)
ALWAYS = 1e-9
"""Seconds between two checkpoints: one after each block."""


class Death(BaseException):
    """Of the process, as far as a training can tell."""


@dataclasses.dataclass
class Stored:
    """Keeps the bytes; with `dies_at` the worker dies once so many are kept."""

    dies_at: int | None = None
    kept: list[bytes] = dataclasses.field(default_factory=list)
    wrong: str | None = None
    busy: bool = False
    wanted: bool = False
    trouble: str | None = None

    def last(self) -> tuple[bytes | None, str | None]:
        return (self.kept[-1] if self.kept else None), self.wrong

    def keep(self, checkpoint: Checkpoint) -> None:
        self.kept.append(checkpoint.encoded())
        if len(self.kept) == self.dies_at:
            raise Death


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are many, however fast the machine is."""
    monkeypatch.setattr(blocks, "MOST_BYTES", 100)


JOBS: dict[str, dict[str, Any]] = {
    "shuffled, with a smaller last batch": {
        "training": {"epochs": 6, "batch_size": 8, "shuffle": True},
        "optimizer": {
            "type": "sgd",
            "learning_rate": 0.05,
            "schedule": {"type": "step", "step_size": 7, "gamma": 0.5},
        },
    },
    "early stopping that goes back to the best": {
        "training": {
            "epochs": 40,
            "batch_size": 6,
            "shuffle": True,
            "early_stopping": {
                "monitor": "validation_loss",
                "patience": 3,
                "min_delta": 0.0001,
                "restore_best_weights": True,
            },
        },
        "optimizer": {"type": "sgd", "learning_rate": 0.2},
    },
    "a rate that falls on plateaus": {
        "training": {"epochs": 20, "batch_size": 6},
        "optimizer": {
            "type": "sgd",
            "learning_rate": 0.3,
            "schedule": {
                "type": "reduce_on_plateau",
                "factor": 0.5,
                "patience": 2,
                "monitor": "loss",
                "min_delta": 0.0,
            },
        },
    },
    "dropout, one order for all epochs": {
        "model": {
            "layers": [{"type": "dropout", "rate": 0.5, "name": "drop"}, {"type": "dense", "units": 1}]
        },
        "training": {"epochs": 6, "batch_size": 6, "shuffle": "once", "epoch_loss": "per_batch"},
    },
}


def run_of(lab: Any, job: Job, **more: Any) -> Any:
    return lab.run(
        job, train=lab.samples(30, 1), validation=lab.samples(12, 2), predict=lab.samples(2, 3)[0], **more
    )


def numbers(lab: Any, result: RunResult) -> Any:
    """What must be the same, wherever it was trained."""
    clocks = {"timings", "peak_bytes", "grown_bytes"}
    return result.status, result.failure, [seed.model_dump(exclude=clocks) for seed in lab.seeds(result)]


def interrupted(lab: Any, run: Any, *, at: int, **more: Any) -> RunResult:
    """The result of a run whose first worker dies at its `at`th checkpoint."""
    stored = Stored(dies_at=at)
    with pytest.raises(Death):
        lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS, **more)
    result: RunResult = lab.train(run, checkpoints=dataclasses.replace(stored, dies_at=None), **more)
    return result


@pytest.mark.parametrize("at", [1, 5, 11])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", JOBS)
def test_a_resumed_run_has_the_numbers_of_one_that_was_left_alone(
    name: str, precision: str, at: int, lab: Any, job_of: Jobs
) -> None:
    run = run_of(lab, job_of(precision=precision, **JOBS[name]), seeds=(4,))
    whole = lab.train(run)
    result = interrupted(lab, run, at=at)
    assert numbers(lab, result) == numbers(lab, whole)
    (note,) = result.notes
    assert note.startswith("Attempt 1 went on from a checkpoint, after ")
    assert " 0 updates" not in note


def test_of_several_seeds_those_that_were_done_are_not_trained_again(lab: Any, job_of: Jobs) -> None:
    run = run_of(lab, job_of(**JOBS["early stopping that goes back to the best"]), seeds=(1, 2, 3))
    whole = lab.train(run)
    stored = Stored(dies_at=30)
    with pytest.raises(Death):
        lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS)
    lab.adapter.built.clear()
    result = lab.train(run, checkpoints=dataclasses.replace(stored, dies_at=None))
    done = Checkpoint.decoded(stored.kept[29]).so_far.finished
    assert done > 0
    assert len(lab.adapter.built) == 3 - done
    assert numbers(lab, result) == numbers(lab, whole)
    assert f"after {done} of 3 seeds" in " ".join(result.notes)


def tables(lab: Any, result: RunResult) -> Any:
    """The same of a result in arrays, wherever a seed's group ends."""
    fields = ("losses", "validation_losses", "epochs", "outputs", "hashes")
    refs = [[getattr(group, field) for group in result.arrays] for field in fields]
    arrays = [b"".join(lab.load(ref).tobytes() for ref in column if ref) for column in refs]
    seeds = [(group.point, seed) for group in result.arrays for seed in group.seeds]
    failures = [failure for group in result.arrays for failure in group.failures]
    return result.status, result.failure, seeds, failures, arrays


@pytest.mark.parametrize("at", [1, 5, 15])
def test_seeds_that_train_together_go_on_together(
    at: int, lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_BYTES", 1)  # every update is a block of its own, however fast
    run = run_of(
        lab, job_of(training={"epochs": 3, "batch_size": 6, "shuffle": True}), seeds=tuple(range(12))
    )
    a_member = resources.bytes_of_member(run.job, data=load_run(run, lab.load))
    monkeypatch.setattr(resources, "MOST_BYTES", 5 * a_member)
    whole, result = lab.train(run), interrupted(lab, run, at=at)
    assert len(whole.arrays[0].seeds) == 12
    assert tables(lab, result) == tables(lab, whole)
    assert "of 12 seeds and" in result.notes[0]
    assert (" 0 updates" in result.notes[0]) == (at == 15), "the fifteenth falls between two groups"


@pytest.mark.parametrize("execution", ["auto", "eager"])
@pytest.mark.parametrize("at", [1, 3])
def test_a_seed_that_had_diverged_fails_the_resumed_run_too(
    execution: str, at: int, lab: Any, job_of: Jobs
) -> None:
    job = job_of(training={"epochs": 4, "batch_size": 6}, execution=execution)
    points = [job.optimizer.model_copy(update={"learning_rate": rate}) for rate in (1e30, 0.05)]
    run = run_of(lab, job, seeds=(1, 2), optimizers=points)
    whole, result = lab.train(run), interrupted(lab, run, at=at)
    assert whole.failure is not None
    assert tables(lab, result) == tables(lab, whole)


@pytest.mark.parametrize(
    "part",
    [
        "step",
        "monitor.plateaus",
        "records.step",
        "records.epochs.running",
        "monitor.plateau.waited",
        "monitor.plateau.best",
        "trainer.layers.0.kernel",
    ],
)
def test_every_part_of_a_checkpoint_counts(part: str, lab: Any, job_of: Jobs) -> None:
    """The planted fault: one part left as it was at the start is seen in the numbers."""
    job = dict(JOBS["a rate that falls on plateaus"])
    if part == "records.step":  # is told where a seed diverges
        rates = {"type": "piecewise", "per": "epoch", "boundaries": [9], "values": [0.1, 1e30]}
        job["optimizer"] = {"type": "sgd", "learning_rate": 0.1, "schedule": rates}
    run = run_of(lab, job_of(**job), seeds=(4,))
    stored = Stored()
    whole = lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS)
    start = Checkpoint.decoded(stored.kept[0]).training
    for data in stored.kept[1:]:
        good = Checkpoint.decoded(data)
        names = [name for name in start if name in {part, f"{part}.values", f"{part}.lengths"}]
        old = {name: start[name] for name in names}
        bad = dataclasses.replace(good, training={**good.training, **old})
        changed = any(good.training[name].tobytes() != start[name].tobytes() for name in names)
        if changed and numbers(lab, lab.train(run, checkpoints=Stored(kept=[bad.encoded()]))) != numbers(
            lab, whole
        ):
            return
    pytest.fail(f"{part} makes no difference")


def test_the_batches_of_a_resumed_run_are_proven_from_the_first_on(lab: Any, job_of: Jobs) -> None:
    run = run_of(lab, job_of(**JOBS["shuffled, with a smaller last batch"]), seeds=(4,))
    whole, result = lab.train(run), interrupted(lab, run, at=4)
    assert lab.only(result).hashes == lab.only(whole).hashes


def test_times_add_up_over_attempts(lab: Any, job_of: Jobs) -> None:
    run = run_of(lab, job_of(**JOBS["shuffled, with a smaller last batch"]), seeds=(4,))
    stored = Stored(dies_at=5)
    with pytest.raises(Death):
        lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS)
    before = Checkpoint.decoded(stored.kept[-1])
    slow = dataclasses.replace(before, training={**before.training, "stopwatch.train_s": np.array(1_000.0)})
    result = lab.train(run, checkpoints=Stored(kept=[slow.encoded()]), queue_s=99.0)
    assert lab.only(result).timings.queue_s == 0.5, "until the first attempt"
    assert 1_000 < lab.only(result).timings.train_s < 1_100


def test_a_checkpoint_of_other_versions_is_left_aside(
    lab: Any, job_of: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(lab, job_of(**JOBS["shuffled, with a smaller last batch"]), seeds=(4,))
    stored = Stored()
    whole = lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS)
    with monkeypatch.context() as patch:
        patch.setattr(np, "__version__", "0.0")
        result = lab.train(run, checkpoints=stored)
    assert numbers(lab, result) == numbers(lab, whole)
    assert result.notes == (NOT_ITS_OWN,)


def test_a_checkpoint_of_another_run_is_left_aside(lab: Any, job_of: Jobs) -> None:
    """Its shapes are the same, and so is its hash."""
    run, other = (
        run_of(lab, job_of(**JOBS["shuffled, with a smaller last batch"]), seeds=(seed,)) for seed in (4, 5)
    )
    stored = Stored(dies_at=5)
    with pytest.raises(Death):
        lab.train(
            other.model_copy(update={"run_id": "another-run-0001"}), checkpoints=stored, checkpoint_s=ALWAYS
        )
    result = lab.train(run, checkpoints=Stored(kept=stored.kept))
    assert numbers(lab, result) == numbers(lab, lab.train(run))
    assert result.notes == (NOT_ITS_OWN,)


@pytest.mark.parametrize("seeds", [(4,), (4, 5)])
def test_a_checkpoint_of_another_layout_starts_the_run_again(
    seeds: tuple[int, ...], lab: Any, job_of: Jobs
) -> None:
    """As the version before left it: with another number at its head, and states that had other names."""
    run = run_of(lab, job_of(**JOBS["shuffled, with a smaller last batch"]), seeds=seeds)
    stored = Stored()
    whole = lab.train(run, checkpoints=stored, checkpoint_s=ALWAYS)
    with np.load(io.BytesIO(stored.kept[-1])) as arrays:
        old = {name.replace("records.", "record."): array for name, array in arrays.items()}
    head = {**json.loads(old["head"].tobytes()), "schema_version": checkpoints.LAYOUT - 1}
    file = io.BytesIO()
    np.savez(file, **{**old, "head": np.frombuffer(json.dumps(head).encode(), np.uint8)})
    result = lab.train(run, checkpoints=Stored(kept=[file.getvalue()]))
    assert tables(lab, result) == tables(lab, whole)
    assert result.notes == (
        "Its checkpoint cannot be read (another version of Likewise made it). It started from the beginning.",
    )


@pytest.mark.parametrize("data", [b"", b"PK nothing", b"\x93NUMPY"])
def test_bytes_that_are_no_checkpoint_start_the_run_again(data: bytes, lab: Any, job_of: Jobs) -> None:
    run = run_of(lab, job_of(), seeds=(4,))
    result = lab.train(run, checkpoints=Stored(kept=[data]))
    assert result.status == "succeeded"
    assert "It started from the beginning." in result.notes[0]


def test_a_small_checkpoint_that_unpacks_to_a_large_one_is_none() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, head=np.zeros(50_000_000, np.uint8))
    assert len(file.getvalue()) < 100_000
    with pytest.raises(ValueError, match="larger than the whole"):
        Checkpoint.decoded(file.getvalue())


def test_what_could_not_be_kept_is_told_and_the_run_succeeds(lab: Any, job_of: Jobs) -> None:
    result = lab.train(run_of(lab, job_of()), checkpoints=Stored(trouble="Redis is full"))
    assert result.status == "succeeded"
    assert result.notes == ("A checkpoint could not be kept: Redis is full.",)


def test_a_short_run_takes_none_and_zero_seconds_mean_none(lab: Any, job_of: Jobs) -> None:
    run = run_of(lab, job_of(training={"epochs": 20, "batch_size": 6}))
    for every_s in (60.0, 0.0):
        stored = Stored(wanted=every_s == 0.0)
        lab.train(run, checkpoints=stored, checkpoint_s=every_s)
        assert stored.kept == []


def test_a_worker_that_is_told_to_stop_takes_one_at_once_and_only_one(lab: Any, job_of: Jobs) -> None:
    stored = Stored(wanted=True)
    lab.train(
        run_of(lab, job_of(training={"epochs": 20, "batch_size": 6})), checkpoints=stored, checkpoint_s=60.0
    )
    assert len(stored.kept) == 1


def test_none_is_taken_while_one_is_still_being_stored(lab: Any, job_of: Jobs) -> None:
    stored = Stored(busy=True)
    lab.train(run_of(lab, job_of()), checkpoints=stored, checkpoint_s=ALWAYS)
    assert stored.kept == []


def test_a_checkpoint_s_bytes_hold_every_bit() -> None:
    odd = np.array([0.1, -0.0, np.inf, 5e-324])
    training = {"step": np.array(3), "a.b": odd, "c": odd.astype(np.float32)}
    so_far = checkpoints.SoFar(made_by="x", finished=2, notes=("é",))
    before = Checkpoint(so_far=so_far, training=training)
    after = Checkpoint.decoded(before.encoded())
    assert after.so_far == so_far
    assert after.updates == 3
    for name, array in training.items():
        assert (after.training[name].dtype, after.training[name].tobytes()) == (array.dtype, array.tobytes())
