"""Sides: what `--sides` and `sides:` declare, what each of them trains, and what is refused."""

from __future__ import annotations

import pytest

from likewise.producer.follow_ups import twin_experiment
from likewise.producer.job.jobfile import read_experiment, sides_of
from likewise.producer.job.resolve import resolve
from likewise.shared.errors import JobFileError, UsageError
from likewise.shared.job import Experiment
from likewise.shared.results.run_result import RunResult

JOB = {
    "schema_version": 1,
    "data": {"type": "inline", "x": [[0.0], [1.0]], "y": [0.0, 1.0]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": "sgd",
    "training": {"epochs": 1},
}


@pytest.mark.parametrize(
    ("given", "label", "fields"),
    [
        ("torch", "torch", {"framework": "torch"}),
        ("torch==2.13.0", "torch-2-13-0", {"framework": "torch", "version": "2.13.0"}),
        ("torch@cuda:1", "torch-cuda-1", {"framework": "torch", "device": "cuda:1"}),
        ("new=torch==2.13", "new", {"framework": "torch", "version": "2.13"}),
        (
            "torch@cpu:compiled/float64",
            "torch-cpu-compiled-float64",
            {"framework": "torch", "device": "cpu", "execution": "compiled", "precision": "float64"},
        ),
    ],
)
def test_a_word_of_sides_is_read_and_labelled(given, label, fields):
    assert sides_of(given) == {label: fields}


@pytest.mark.parametrize("given", ["torch,torch", "torch:eager,torch-eager=torch", "", "torch:", "a=,b"])
def test_sides_that_are_none_or_have_one_label_are_refused(given):
    with pytest.raises(UsageError, match="--sides"):
        sides_of(given)


def test_each_side_trains_with_its_own_settings():
    experiment = read_experiment("article", sides="torch:eager,torch/float64,tensorflow").experiment
    jobs = resolve(experiment)

    assert list(jobs) == ["torch-eager", "torch-float64", "tensorflow"]
    assert [job.execution for job in jobs.values()] == ["eager", "auto", "auto"]
    assert [job.precision for job in jobs.values()] == ["float32", "float64", "float32"]


def test_overrides_of_a_framework_reach_its_sides_without_an_entry_of_their_own():
    sides = {
        "old": {"framework": "torch"},
        "new": {"framework": "torch"},
        "keras": {"framework": "tensorflow"},
    }
    overrides = {"torch": {"loss.reduction": "sum"}, "new": {"training.epochs": 2}}
    jobs = resolve(Experiment.model_validate({**JOB, "sides": sides, "overrides": overrides}))

    assert [job.loss.reduction for job in jobs.values()] == ["sum", "mean", "mean"]
    assert [job.training.epochs for job in jobs.values()] == [1, 2, 1]


@pytest.mark.parametrize(
    ("sides", "field"),
    [
        ("torch==two", "is not a version"),
        ("torch@tpu", "expected auto, cpu, cuda, cuda:1 or mps"),
        ("torch:quick", "execution"),
        ("torch/bfloat16", "precision"),
    ],
)
def test_what_no_side_can_be_yet_is_refused_by_its_field(sides, field):
    with pytest.raises(JobFileError, match=field):
        read_experiment("matched", sides=sides)


TORCH = {"framework": "torch"}
KERAS = {"framework": "tensorflow"}
LARGE = {"training.batch_size": 9, "training.drop_last": True}


def of_b(overrides: dict[str, object]) -> dict[str, object]:
    return {"sides": {"a": TORCH, "b": TORCH | {"overrides": overrides}}}


@pytest.mark.parametrize(
    ("sections", "path"),
    [
        (of_b(LARGE), "sides.b.overrides.training.batch_size = 9"),
        ({"sides": {"a": TORCH, "b": TORCH}, "overrides": {"b": LARGE}}, "overrides.b.training.batch_size"),
        (
            {"sides": {"a": TORCH, "b": TORCH, "c": KERAS}, "overrides": {"torch": LARGE}},
            "overrides.torch.training.batch_size = 9",
        ),
        (
            {"overrides": {"torch": {"training": {"epochs": 1, "batch_size": 9, "drop_last": True}}}},
            "overrides.torch.training.batch_size = 9",
        ),
        (
            {"training": {"epochs": 1, "batch_size": 9}} | of_b({"training.drop_last": True}),
            "training.batch_size = 9: is larger than the 2 training samples, and drop_last is true, in b (",
        ),
        ({"training": {"epochs": 1, "batch_size": 9, "drop_last": True}}, "training.batch_size = 9: is"),
        ({"overrides": {"torch": {"model.layers.0.type": "lstm"}}}, "overrides.torch.model.layers.0.type: "),
        (of_b({"seeds": 2}), "sides.b.overrides.seeds = 2: seeds is the same for every side"),
        (of_b({"loss.typ": 2}), "sides.b.overrides.loss.typ = 2: unknown field"),
        (
            of_b({"data.y.0": 1e300}),
            "b, by sides.b.overrides.data.y.0: data.y: row 1",
        ),
        ({"sides": {"b": TORCH}, "overrides": {"torhc": {}}}, "overrides.torhc: is neither one"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_side_is_told_by_the_path_at_which_it_is_written(
    prepare, refusal, document, sections, path
):
    document["data"] = JOB["data"]

    assert refusal(prepare, **document | sections).startswith(path)


@pytest.mark.parametrize(
    ("sections", "meant"),
    [
        ({"overrides": {"torhc": {}}}, "torch"),
        ({"overrides": {"neww": {}}}, "new"),
        ({"sides": {"new": {"framework": "Torhc"}}}, "torch"),
    ],
)
def test_a_slip_in_a_side_or_its_framework_is_answered_with_what_is_meant(prepare, refusal, sections, meant):
    sides = {"new": TORCH, "old": TORCH}

    assert f"(did you mean {meant}?)" in refusal(prepare, **{"sides": sides} | sections)


def test_the_twin_of_sides_in_unlike_precisions_is_in_float64():
    experiment = read_experiment("matched", sides="torch/float64,torch/float32").experiment

    assert {job.precision for job in resolve(twin_experiment(experiment)).values()} == {"float64"}


def test_a_result_of_before_is_of_the_side_that_is_named_like_its_framework():
    document = {"run_id": "r", "experiment_id": "e", "framework": "torch", "status": "succeeded"}

    assert RunResult.model_validate(document).side == "torch"
