"""Overrides applied for each framework, everything explicit, and the settings that differ."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from likewise.producer.job.jobfile import LoadedExperiment, read_experiment
from likewise.producer.job.resolve import resolve, setting_differences
from likewise.shared.errors import JobFileError

Read = Callable[..., LoadedExperiment]


def test_an_override_changes_one_framework_only(read: Read) -> None:
    jobs = resolve(read("overrides.torch.loss.reduction=sum").experiment)

    assert list(jobs) == ["tensorflow", "torch"]
    assert jobs["tensorflow"].loss.reduction == "mean"
    assert jobs["torch"].loss.reduction == "sum"


def test_an_override_may_name_a_layer_or_make_a_mapping(read: Read) -> None:
    overrides = "{torch: {model.layers.out.use_bias: false, training.early_stopping.monitor: loss}}"
    job = resolve(read(f"overrides={overrides}").experiment)["torch"]

    assert job.model.layers[0].model_dump()["use_bias"] is False
    assert job.training.early_stopping is not None
    assert job.training.early_stopping.monitor == "loss"


def test_an_overridden_type_takes_its_own_defaults_and_the_settings_that_were_written(read: Read) -> None:
    job = resolve(read("overrides.torch.optimizer.type=adam").experiment)["torch"]

    assert job.optimizer.type == "adam"
    assert job.optimizer.learning_rate == 0.01
    assert job.optimizer.epsilon == 1e-7


def test_a_whole_mapping_is_overridden_before_a_part_of_it(read: Read) -> None:
    overrides = "{torch: {optimizer.learning_rate: 0.5, optimizer: {type: sgd, momentum: 0.9}}}"
    experiment = read(f"overrides={overrides}").experiment
    job = resolve(experiment)["torch"]

    assert (job.optimizer.learning_rate, job.optimizer.model_dump()["momentum"]) == (0.5, 0.9)
    assert experiment.overrides["torch"]["optimizer"] == {"type": "sgd", "momentum": 0.9}


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        ("mse", ("mae", "rmse", "r2")),
        ("huber", ("mae", "rmse", "r2")),
        ("binary_crossentropy", ("accuracy", "f1", "auc")),
        ("categorical_crossentropy", ("accuracy", "f1", "auc")),
    ],
)
def test_metrics_become_explicit_by_the_loss(read: Read, loss: str, metrics: tuple[str, ...]) -> None:
    jobs = resolve(read(f"loss={loss}").experiment)

    assert {job.metrics for job in jobs.values()} == {metrics}


def test_problems_of_every_frameworks_overrides_are_told_at_once(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read("overrides={tensorflow: {loss.delta: 1, name: x}, torch: {training.epochs: 0, a..b: 1}}")

    assert [problem.path for problem in caught.value.problems] == [
        "overrides.tensorflow.name",
        "overrides.torch.a..b",
    ]


@pytest.mark.parametrize("field", ["schema_version", "name", "seeds", "frameworks", "overrides"])
def test_what_is_common_cannot_be_overridden(read: Read, field: str) -> None:
    with pytest.raises(JobFileError, match="cannot be overridden"):
        read(f"overrides={{torch: {{{field}: 1}}}}")


def test_the_articles_settings_differ_in_the_reduction_alone() -> None:
    (difference,) = setting_differences(resolve(read_experiment("article").experiment))

    assert difference.path == "loss.reduction"
    assert difference.values == {"tensorflow": "mean", "torch": "sum"}


def test_equal_jobs_have_no_differences(read: Read) -> None:
    assert setting_differences(resolve(read().experiment)) == []


def test_a_setting_that_one_framework_lacks_is_none_there(read: Read) -> None:
    differences = setting_differences(resolve(read("overrides.torch.optimizer=adam").experiment))
    values = {difference.path: difference.values for difference in differences}

    assert values["optimizer.type"] == {"tensorflow": "sgd", "torch": "adam"}
    assert values["optimizer.momentum"] == {"tensorflow": 0.0, "torch": None}
    assert values["optimizer.beta_1"] == {"tensorflow": None, "torch": 0.9}


def test_layers_are_compared_one_by_one_and_lists_of_numbers_as_a_whole(read: Read) -> None:
    overrides = "{torch: {model.layers.0.activation: relu, data.x.0: 9}}"
    differences = setting_differences(resolve(read(f"overrides={overrides}").experiment))

    assert [d.path for d in differences] == ["data.x", "model.layers.0.activation.type"]
    assert differences[0].values["torch"] == [9.0, 2.0, 3.0, 4.0]


def test_a_layers_setting_is_one_by_its_name_and_by_its_index(read: Read) -> None:
    by_name, by_index = "overrides.torch.model.layers.out.use_bias", "overrides.torch.model.layers.0.use_bias"
    experiment = read(f"{by_name}=false", f"{by_index}=true").experiment
    assert experiment.overrides == {"torch": {"model.layers.0.use_bias": True}}, "the later one counts"

    whole = read("overrides.torch.optimizer.learning_rate=0.5", "overrides.torch.optimizer=adam").experiment
    assert whole.overrides == {"torch": {"optimizer": "adam"}}, "and takes what stood in it along"


def test_a_layers_setting_given_by_its_name_and_by_its_index_is_refused(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read("overrides={torch: {model.layers.out.use_bias: false, model.layers.0.use_bias: true}}")

    assert str(caught.value).endswith(
        "overrides.torch.model.layers.out.use_bias = false: is the setting that model.layers.0.use_bias "
        "names, too, with true (keep one of them)"
    )


def test_a_whole_layer_is_overridden_before_a_part_of_it_however_it_is_named(read: Read) -> None:
    whole = "model.layers.out: {type: dense, name: out, units: 1, activation: tanh}"
    experiment = read(f"overrides={{torch: {{model.layers.0.use_bias: false, {whole}}}}}").experiment
    job = resolve(experiment)["torch"]

    assert job.model.layers[0].model_dump(include={"use_bias", "activation"}) == {
        "use_bias": False, "activation": {"type": "tanh"}
    }  # fmt: skip
