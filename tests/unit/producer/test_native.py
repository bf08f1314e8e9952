"""`defaults: native`: what was left out becomes each framework's own default, what was written stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from likewise.producer.job.examples import example_names
from likewise.producer.job.jobfile import LoadedExperiment, read_experiment
from likewise.producer.job.native import Table, native_table
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.job.resolve import resolve, resolve_with_origins, setting_differences
from likewise.shared.job import Experiment, Layer, Loss, Optimizer, Schedule
from likewise.shared.job.weights import Initializer

Read = Callable[..., LoadedExperiment]
FRAMEWORKS = ["tensorflow", "torch"]


def test_what_was_left_out_is_each_frameworks_own_and_what_was_written_stays(read: Read) -> None:
    jobs = resolve(read("defaults=native", "optimizer={type: adam, beta_2: 0.5}").experiment)

    optimizers = {framework: job.optimizer.model_dump() for framework, job in jobs.items()}
    assert [optimizers[f]["epsilon"] for f in FRAMEWORKS] == [1e-7, 1e-8]
    assert [optimizers[f]["beta_2"] for f in FRAMEWORKS] == [0.5, 0.5]
    assert [jobs[f].training.batch_size for f in FRAMEWORKS] == [32, 1]
    assert [jobs[f].training.shuffle for f in FRAMEWORKS] == [True, False]


def test_a_written_null_is_written(read: Read) -> None:
    jobs = resolve(read("defaults=native", "training.batch_size=null").experiment)

    assert [job.training.batch_size for job in jobs.values()] == [None, None]


def test_a_word_writes_its_type_alone(read: Read) -> None:
    jobs = resolve(read("defaults=native", "optimizer=adamw").experiment)

    assert [jobs[f].optimizer.weight_decay for f in FRAMEWORKS] == [0.004, 0.01]


def test_an_override_is_written_and_its_type_brings_its_frameworks_own_defaults(read: Read) -> None:
    overrides = "{torch: {optimizer: rmsprop, training.batch_size: 2}}"
    job = resolve(read("defaults=native", f"overrides={overrides}").experiment)["torch"]

    assert job.optimizer.model_dump()["rho"] == 0.99
    assert job.training.batch_size == 2


def test_a_framework_without_a_table_keeps_the_shared_defaults(read: Read) -> None:
    job = resolve(read("defaults=native", "frameworks=[jax]").experiment)["jax"]

    assert job == resolve(read("frameworks=[jax]").experiment)["jax"]
    assert native_table("jax") == {}


def test_that_a_framework_has_no_table_is_said_once(read: Read) -> None:
    prepared = prepare_experiment(read("defaults=native", "training.batch_size=2", "frameworks=[jax, mxnet]"))

    assert prepared.advice == (
        "no table of defaults is known for jax and mxnet: what is left out there has the shared defaults",
    )


def test_initializers_are_declared_distributions_and_differ_as_a_whole(read: Read) -> None:
    differences = setting_differences(resolve(read("defaults=native", "training.batch_size=2").experiment))
    values = {one.path: one.values for one in differences}

    assert values["model.layers.0.bias_initializer"]["tensorflow"] == "zeros"
    assert values["model.layers.0.kernel_initializer"] == {
        "tensorflow": "glorot_uniform",
        "torch": {"type": "variance_scaling", "scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
    }


def test_initializers_are_left_alone_where_nothing_is_drawn_by_them(read: Read) -> None:
    differences = setting_differences(
        resolve(read("defaults=native", "initial_weights=framework").experiment)
    )

    assert not any("initializer" in one.path for one in differences)


def test_layers_inside_layers_have_their_own_defaults(read: Read) -> None:
    inner = "{type: bidirectional, layer: {type: lstm, units: 4, recurrent_initializer: random_normal}}"
    layers = f"model.layers=[{{type: embedding, input_dim: 5, output_dim: 3}}, {inner}]"
    jobs = resolve(read("defaults=native", layers).experiment)
    lstm = {f: jobs[f].model.layers[1].model_dump()["layer"] for f in FRAMEWORKS}

    assert [lstm[f]["unit_forget_bias"] for f in FRAMEWORKS] == [True, False]
    assert [lstm[f]["recurrent_initializer"]["stddev"] for f in FRAMEWORKS] == [0.05, 1.0]


def test_a_setting_that_says_nothing_beside_the_others_is_not_filled(read: Read) -> None:
    layers = "model.layers=[{type: dense, units: 1, use_bias: false}]"
    differences = setting_differences(resolve(read("defaults=native", layers).experiment))

    assert not any("bias_initializer" in one.path for one in differences)


def test_a_scale_counts_what_stands_beside_it(read: Read) -> None:
    layers = "model.layers=[{type: depthwise_conv2d, kernel_size: 2, depth_multiplier: 3}]"
    torch = resolve(read("defaults=native", layers).experiment)["torch"]

    assert torch.model.layers[0].model_dump()["kernel_initializer"]["scale"] == 1.0


@pytest.mark.parametrize(
    ("layers", "order"),
    [
        ("{type: conv1d, filters: 2, kernel_size: 1}, batch_norm, flatten", "channels_first"),
        ("{type: conv1d, filters: 2, kernel_size: 1}, {type: dense, units: 2}, flatten", "channels_last"),
        ("{type: embedding, input_dim: 9, output_dim: 2}, flatten", "channels_last"),
        (
            "{type: conv1d, filters: 2, kernel_size: 1, name: a}, "
            "{type: reshape, target_shape: [2, -1], name: b}, {type: add, inputs: [b, a]}, flatten",
            "channels_first",
        ),
    ],
)
def test_flatten_follows_pytorchs_axes_behind_a_convolution_alone(
    read: Read, layers: str, order: str
) -> None:
    jobs = resolve(read("defaults=native", f"model.layers=[{layers}]").experiment)

    assert jobs["torch"].model.layers[-1].model_dump()["order"] == order
    assert jobs["tensorflow"].model.layers[-1].model_dump()["order"] == "channels_last"


def test_each_setting_knows_where_it_came_from(read: Read) -> None:
    changes = ["defaults=native", "overrides={torch: {optimizer.momentum: 0.9}}"]
    torch = resolve_with_origins(read(*changes).experiment)["torch"]

    assert "optimizer.learning_rate" in torch.written
    assert torch.overridden == {"optimizer.momentum"}
    assert torch.native["optimizer.nesterov"].source == "torch.optim.SGD(nesterov=False)"
    assert "optimizer.learning_rate" not in torch.native


def test_what_was_left_out_stays_left_out_in_the_record(read: Read) -> None:
    experiment = read("defaults=native", "optimizer=adam").experiment
    again = Experiment.model_validate_json(experiment.model_dump_json(exclude_unset=True))

    assert resolve(again) == resolve(experiment)


def test_a_native_batch_larger_than_the_set_is_no_mistake_of_the_user(read: Read) -> None:
    prepared = prepare_experiment(read("defaults=native"))

    assert prepared.advice == (
        "tensorflow: training.batch_size 32 is larger than the 4 training samples, so every step takes the "
        "whole set",
    )


@pytest.mark.parametrize("name", example_names())
def test_every_example_can_be_prepared_with_native_defaults(name: str) -> None:
    assert list(prepare_experiment(read_experiment(name, ["defaults=native"])).runs) == FRAMEWORKS


@pytest.mark.parametrize("name", ["article", "diabetes"])
def test_shared_defaults_are_the_default(name: str) -> None:
    assert read_experiment(name).experiment.defaults == "shared"


def test_the_common_choice_cannot_be_overridden(read: Read, refusal: Callable[..., str]) -> None:
    assert "cannot be overridden" in refusal(read, "overrides={torch: {defaults: native}}")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_row_is_a_setting_of_the_job_file_with_a_value_it_may_have(framework: str) -> None:
    table = native_table(framework)
    assert len(table) > 40
    for section, rows in table.items():
        for field, row in rows.items():
            read_experiment_of(section, {field: row.value})


@pytest.mark.parametrize("field", ["momentun", "epsilon"])
def test_a_row_that_is_no_setting_is_found(field: str) -> None:
    with pytest.raises(Exception, match=field):
        read_experiment_of("optimizer.sgd", {field: 0.1})


def test_both_tables_cover_the_same_layers_and_optimizers() -> None:
    one, other = (
        {section for section in native_table(framework) if section.startswith(("layer.", "optimizer."))}
        for framework in FRAMEWORKS
    )
    assert one == other


NO_DEFAULT = {
    "name", "inputs", "seed",                                # ours alone; seeds are luck
    # asked for by each framework in its own way
    "layer.unit_normalization.axis",  # normalize takes dim=1, the channels of PyTorch's images
    "return_sequences", "value_dim", "use_causal_mask", "use_padding_mask",
    "class_weights", "clip_value", "clip_norm", "global_clip_norm", "schedule", "warmup", "offset",
    "loss.kl_divergence.weighting", "loss.cosine_similarity.weighting", "schedule.reduce_on_plateau.per",
    "weight",  # of one of several losses; 1 in both
    "trainable", "exclude_from_weight_decay", "include_in_weight_decay",
    "use_ema", "ema_momentum", "ema_start", "ema_use", "ema_buffers",
    "bias_correction", "optimizer.rmsprop.initial_accumulator_value",  # none has another
    "layer.unit_normalization.epsilon",
    *(f"layer.average_pooling{axes}d.pool_size" for axes in (1, 2, 3)),
    *(f"layer.locally_connected{axes}d.{field}" for axes in (1, 2) for field in (  # in neither framework
        "activation", "use_bias", "kernel_initializer", "bias_initializer", "strides", "padding",
    )),
    "layer.concatenate.axis", "layer.stack.axis", "layer.dot.normalize",  # PyTorch's default, 0, is the batch
    "layer.glu.activation", "layer.glu.gate", "layer.swiglu.gate",  # the same wherever there is one
    *(f"layer.position_embedding.{field}" for field in ("offset", "embeddings_initializer")),  # in neither
    "layer.sinusoidal_position.layout", "layer.sinusoidal_position.max_wavelength",
    *(f"activation.{kind}.axis" for kind in ("softmax", "log_softmax", "softmin")),  # PyTorch asks for it
    *(f"activation.clipped_relu.{field}" for field in ("max_value", "negative_slope", "threshold")),  # off
    "layer.masking.mask_value",  # PyTorch has no such layer
    "loss.dice.weighting", "loss.tversky.weighting", "loss.categorical_hinge.weighting",
    "loss.quantile.quantile", "loss.quantile.reduction", "loss.quantile.targets", "loss.quantile.weighting",
}  # fmt: skip
"""Settings that no framework has a default of its own for; what is left out is off, or the same."""

UNIONS = {
    "layer": Layer,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "initializer": Initializer,
}


def settings_with_a_default() -> Iterator[tuple[str, str]]:
    """Each section and field that may be left out."""
    for kind, union in UNIONS.items():
        for model in get_args(get_args(union)[0]):
            for word in get_args(model.model_fields["type"].annotation):
                yield from (
                    (f"{kind}.{word}", name)
                    for name, field in model.model_fields.items()
                    if not field.is_required()
                )


def without_rows(tables: Sequence[Table]) -> list[str]:
    """Settings that may be left out and of which no table says what then happens."""
    return [
        f"{section}.{field}"
        for section, field in settings_with_a_default()
        if not {field, f"{section}.{field}"} & NO_DEFAULT
        and not field.endswith(("_regularizer", "_constraint"))  # off wherever they are left out
        and not any(field in table.get(section, {}) for table in tables)
    ]


def test_every_setting_that_may_be_left_out_has_a_row_or_is_known_to_need_none() -> None:
    assert without_rows([native_table(framework) for framework in FRAMEWORKS]) == []


def test_a_setting_without_a_row_is_found() -> None:
    table = {section: dict(rows) for section, rows in native_table("torch").items()}
    del table["layer.batch_norm"]["momentum"]

    assert "layer.batch_norm.momentum" in without_rows([table])


REQUIRED: dict[str, dict[str, Any]] = {
    "schedule.step": {"step_size": 1},
    "schedule.exponential": {"decay_steps": 1, "decay_rate": 0.5},
    "schedule.cosine": {"decay_steps": 1},
    "schedule.cosine_restarts": {"decay_steps": 1},
    "schedule.polynomial": {"decay_steps": 1},
    "schedule.piecewise": {"boundaries": [1], "values": [1.0, 0.1]},
    "layer.dense": {"units": 1},
    **{
        f"layer.{word}": {"filters": 1, "kernel_size": 1}
        for axes in (1, 2, 3)
        for word in (f"conv{axes}d", f"conv{axes}d_transpose", f"separable_conv{axes}d")
    },
    **{f"layer.depthwise_conv{axes}d": {"kernel_size": 1} for axes in (1, 2)},
    "layer.multi_head_attention": {"num_heads": 1, "key_dim": 1},
    "layer.embedding": {"input_dim": 1, "output_dim": 1},
    "layer.simple_rnn": {"units": 1},
    "layer.lstm": {"units": 1},
    "layer.gru": {"units": 1},
    "training": {"epochs": 1},
}


def read_experiment_of(section: str, row: dict[str, Any]) -> None:
    """Validate a job whose part of this section has the row; raises ValidationError."""
    kind, _, word = section.partition(".")
    part = ({"type": word} if word else {}) | REQUIRED.get(section, {}) | row
    job: dict[str, Any] = {
        "data": {"type": "inline", "x": [0.0], "y": [0.0]},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": "mse",
        "optimizer": {"type": "sgd"},
        "training": {"epochs": 1},
    }
    match kind:
        case "layer":
            job["model"]["layers"] = [part]
        case "initializer":
            job["model"]["layers"][0]["kernel_initializer"] = part
        case "activation":
            job["model"]["layers"][0]["activation"] = part
        case "schedule":
            job["optimizer"]["schedule"] = part
        case _:
            job[kind] = part
    Experiment.model_validate_json(json.dumps(job))


def test_the_tables_ship_with_the_package() -> None:
    root = Path(__file__).resolve().parents[3]
    files = {path.stem for path in (root / "producer/job/native").glob("*.toml")}

    assert files == set(FRAMEWORKS)
