"""One setting differs, two real frameworks train, a replay says where they part: in float64, no twin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from likewise.producer import experiments, replay
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.runs.submit import Request

JOB: dict[str, Any] = {
    "schema_version": 1,
    "name": "net",
    "data": {"type": "synthetic", "kind": "classification", "samples": 36, "features": 5, "seed": 3},
    "model": {
        "layers": [
            {"type": "dense", "units": 6, "activation": "tanh"},
            {"type": "batch_norm", "name": "norm"},
            {"type": "dense", "units": 6, "name": "middle"},
            {"type": "activation", "activation": "gelu", "name": "bend"},
            {"type": "dropout", "rate": 0.3, "name": "drop"},
            {"type": "dense", "units": 2, "name": "last"},
        ]
    },
    "loss": "categorical_crossentropy",
    "optimizer": {"type": "adam", "learning_rate": 0.01},
    "training": {"epochs": 4, "batch_size": 12, "shuffle": True},
    "precision": "float64",
    "execution": "eager",
}
EVERY_LAYER = ("layers.0", "norm", "middle", "bend", "drop", "last")


@pytest.fixture
def parted(desk, session_worker, tmp_path):
    """What comes of the job where PyTorch has other settings."""
    session_worker("tensorflow")
    session_worker("torch")

    def compare(overrides, **changes):
        path = tmp_path / "job.json"
        path.write_text(json.dumps(JOB | changes | {"overrides": {"torch": overrides}}))
        prepared = prepare_experiment(read_experiment(str(path), ()))
        record = experiments.submit_prepared(desk, prepared, Request())
        experiments.follow_to_end(desk, record, quiet=True)
        outcome = experiments.judge(desk, record)
        return experiments.follow_up(desk, outcome, replay.replays, quiet=True).comparison

    return compare


LATER = {"type": "step", "step_size": 7, "gamma": 0.5}


@pytest.mark.parametrize(
    ("overrides", "step", "stage", "tensor"),
    [
        ({"optimizer.learning_rate": 0.02}, 1, "update", "layers.0.kernel"),
        ({"optimizer.epsilon": 1e-5}, 1, "update", "layers.0.kernel"),
        ({"optimizer.weight_decay": 0.01}, 1, "update", "layers.0.kernel"),
        ({"optimizer.clip_norm": 0.05}, 1, "update", "layers.0.kernel"),
        ({"model.layers.bend.activation": "gelu_tanh"}, 1, "forward", "bend"),
        ({"model.layers.drop.rate": 0.5}, 1, "forward", "drop"),
        ({"model.layers.norm.epsilon": 1e-5}, 1, "forward", "norm"),
        ({"model.layers.norm.momentum": 0.9}, 1, "update", "norm.moving_mean"),
        ({"training.shuffle": False}, 1, "data", "indices"),
        ({"data.seed": 4}, 1, "data", "x"),
        ({"loss.label_smoothing": 0.1}, 1, "loss", "loss"),
        ({"optimizer.schedule": LATER}, 8, "update", "layers.0.kernel"),
        ({"training.epochs": 3}, 10, "data", "indices"),
        ({"training.batch_size": 9}, 1, "data", "indices"),
        ({"model.layers.middle.units": 4}, 0, "forward", "middle.kernel"),
        ({"model.layers.middle.kernel_initializer": "he_normal"}, 0, "forward", "middle.kernel"),
        ({"precision": "float32", "optimizer.learning_rate": 0.02}, 1, "data", "x"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_one_setting_that_differs_is_found_at_its_step_stage_and_tensor(
    parted, overrides, step, stage, tensor
):
    found = parted(overrides)
    there = found.first_divergence

    assert found.verdict == "differ"
    assert (there.seed, there.step, there.stage, there.tensor) == (0, step, stage, tensor)
    # where shapes differ, the setting that makes them so is said before it, in one sentence
    assert there.sentence.rstrip(".").lower() in " ".join(found.reasons).lower()
    assert stage == "data" or tensor in there.sentence
    if there.problem is None:
        assert there.relative_difference > 1e-9
        assert len(set(there.values.values())) == 2
        # later layers are fed from the reference, so one difference is not told as several
        assert set(there.layers_apart) <= {tensor}
        assert stage != "forward" or step == 0 or there.layers_fed_alike == EVERY_LAYER


def test_two_layers_that_differ_are_both_named_and_no_third(parted):
    there = parted(
        {"model.layers.norm.epsilon": 1e-5, "model.layers.bend.activation": "relu"}
    ).first_divergence

    assert (there.stage, there.tensor) == ("forward", "norm")
    assert there.layers_apart == ("norm", "bend")


def test_the_first_seed_that_parts_is_replayed(parted, desk):
    """With other batches from the second epoch on alone: every seed parts, the first is named."""
    found = parted({"optimizer.epsilon": 1e-5}, seeds=[5, 2])
    assert found.first_divergence.seed == 5

    record = desk.ledger.experiment(found.experiment_id)
    assert experiments.judge(desk, record).comparison.first_divergence == found.first_divergence
    related = list(record.related.values())
    assert len(related) == 3
    desk.ledger.delete(found.experiment_id)
    assert [desk.ledger.experiment(one) for one in related] == [None] * 3


def test_sides_of_other_starts_that_part_late_are_observed_further(parted, desk):
    """The first updates show nothing, and losses of other starts say nothing of when the sides part."""
    found = parted({"optimizer.schedule": LATER}, initial_weights="framework")
    there = found.first_divergence
    assert (there.step, there.stage, there.given_start) == (8, "update", True)
    assert "further fingerprints" in desk.ledger.experiment(found.experiment_id).related

    found = parted({"optimizer.learning_rate": 0.02}, initial_weights="framework")
    assert found.first_divergence.step == 1
    assert "further fingerprints" not in desk.ledger.experiment(found.experiment_id).related


def test_what_a_follow_up_returned_is_collected_once(parted, desk, monkeypatch):
    """The plan and the comparison are told of the same results: none is read from Redis a second time."""
    collected: list[str] = []
    read = type(desk.ledger).records_with_payloads

    def reading(ledger, run_ids):
        collected.extend(run_ids)
        return read(ledger, run_ids)

    monkeypatch.setattr(type(desk.ledger), "records_with_payloads", reading)
    found = parted({"optimizer.learning_rate": 0.02})

    record = desk.ledger.experiment(found.experiment_id)
    followed = [desk.ledger.experiment(one) for one in record.related.values()]
    assert sorted(collected) == sorted(run_id for one in (record, *followed) for run_id in one.run_ids)


def test_a_training_that_diverges_alone_is_traced_to_its_cause(parted):
    """A rate of 1e30 ends in infinity in torch alone."""
    found = parted(
        {"optimizer": {"type": "sgd", "learning_rate": 1e30}}, optimizer={"type": "sgd", "learning_rate": 0.1}
    )

    assert found.failed
    assert (found.first_divergence.step, found.first_divergence.stage) == (1, "update")
    assert found.first_divergence.learning_rates == {"tensorflow": 0.1, "torch": 1e30}


def test_what_differs_in_inference_mode_alone_is_found_at_the_end(parted):
    """The best weights are put back in torch alone: training is the same, the outputs are not."""
    training = JOB["training"] | {"epochs": 3}
    stopping = {"monitor": "validation_loss", "patience": 5, "restore_best_weights": False}
    found = parted(
        {"training.early_stopping.restore_best_weights": True},
        training=training | {"early_stopping": stopping},
        optimizer={"type": "sgd", "learning_rate": 0.5},
        data=JOB["data"] | {"split": {"validation": 0.3, "seed": 1}},
    )
    there = found.first_divergence

    losses = found.runs[0].seeds[0].validation_losses
    assert losses[-1] > min(losses), losses
    assert (there.stage, there.tensor) == ("evaluation", "outputs")
    assert "the training is equal, outputs are " in there.sentence
