"""The table of causes names real settings, and every setting has its cause; how advice is told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from likewise.producer.job.resolve import SettingDifference, resolve
from likewise.producer.verdict import knowledge
from likewise.producer.verdict.knowledge import (
    Setup,
    consequence,
    conventions,
    together,
    weight_of,
)
from likewise.producer.verdict.mending import fixes, mendings
from likewise.shared.job import Experiment, Job
from likewise.shared.job.activations import Activation
from likewise.shared.job.layers import Layer
from likewise.shared.job.loss import Loss
from likewise.shared.job.optimizer import Optimizer
from likewise.shared.job.schedule import Schedule
from likewise.shared.job.training import Training

TABLES = Path(knowledge.__file__).parent / "known"
NOT_SETTINGS = {"type", "name", "inputs", "layer"}
FRAMEWORKS = {name: name for name in ("tensorflow", "torch", "jax")}
SHAPE = {
    "units", "filters", "kernel_size", "strides", "pool_size", "target_shape", "input_dim", "output_dim",
    "return_sequences", "depth_multiplier", "num_heads", "key_dim", "value_dim", "axis", "output_padding",
    "groups", "dilation",
}  # fmt: skip
"""What the layer computes, not how: that it differs says enough."""


def members(union: Any) -> list[Any]:
    """The models of a discriminated union."""
    return list(get_args(get_args(union)[0]))


def fields(union: Any) -> dict[str, set[str]]:
    """By type, the settings."""
    return {
        word: set(model.model_fields) - NOT_SETTINGS
        for model in members(union)
        for word in get_args(model.model_fields["type"].annotation)
    }


def settings() -> dict[str, tuple[str, ...]]:
    """Every setting as `<kind>.<type>.<field>`, with the keys that may explain it by itself."""
    found: dict[str, tuple[str, ...]] = {}
    for kind, prefix, union in (
        ("layer", "layer", Layer), ("optimizer", "optimizer", Optimizer), ("loss", "loss", Loss),
    ):  # fmt: skip
        for type_, names in fields(union).items():
            for name in names - (SHAPE if kind == "layer" else set()):
                found[f"{kind}.{type_}.{name}"] = (f"{type_}.{name}", f"{prefix}.{name}")
    for type_, names in fields(Schedule).items():
        for name in names:
            found[f"schedule.{type_}.{name}"] = (
                f"{type_}.{name}",
                f"optimizer.schedule.{name}",
                "optimizer.schedule",
            )
    for name in Training.model_fields:
        found[f"training.{name}"] = (f"training.{name}",)
    for name in Job.model_fields:
        if name not in ("schema_version", "name", "loss", "optimizer", "training"):
            found[name] = (name,)
    return found


CAUSES = tomllib.loads((TABLES / "causes.toml").read_text())


def test_every_setting_has_a_cause_of_its_own() -> None:
    missing = {
        setting: wanted
        for setting, wanted in settings().items()
        if not any(key in CAUSES for key in (*wanted, *(("optimizer.clip",) if "clip_" in setting else ())))
    }
    assert not missing, "causes.toml lacks a row for each of these"


def real_keys() -> set[str]:
    """Every key that a lookup could ever ask for."""
    asked = {key for keys in settings().values() for key in keys}
    asked |= {f"{kind}.{name}" for kind, names in fields(Layer).items() for name in names}
    asked |= {f"layer.{name}" for names in fields(Layer).values() for name in names}
    asked |= {f"layer.activation.{name}" for model in members(Activation) for name in model.model_fields}
    asked |= {f"data.{name}" for name in ("standardize", "split", "split.seed", "sample_weights")}
    return asked | {
        "model", "model.layers", "layer.type", "loss.type", "optimizer.type", "optimizer.clip",
        "initial_weights.seed",
    }  # fmt: skip


def test_no_cause_is_for_a_setting_that_there_is_not() -> None:
    assert sorted(set(CAUSES) - real_keys()) == []


def jobs(**changes: Any) -> dict[str, Job]:
    document = {
        "data": {"type": "synthetic", "kind": "linear", "features": 4},
        "model": {
            "layers": [
                {"type": "reshape", "target_shape": [4, 1]},
                {"type": "conv1d", "filters": 2, "kernel_size": 2, "activation": {"type": "leaky_relu"}},
                {"type": "batch_norm"},
                {"type": "flatten"},
                {"type": "dense", "units": 1},
            ]
        },
        "loss": "mse",
        "optimizer": {"type": "adam"},
        "training": {"epochs": 2},
        **changes,
    }
    return resolve(Experiment.model_validate(document))


def setup(**changes: Any) -> Setup:
    declared = jobs(**changes)
    return Setup.of(declared, FRAMEWORKS, dict.fromkeys(declared, (100, 4)))


FIXES = [
    (
        "loss.reduction",
        "sum",
        'loss_fn = nn.MSELoss(reduction="mean")',
        'loss_fn = keras.losses.MeanSquaredError(reduction="sum")',
    ),
    (
        "optimizer.epsilon",
        1e-8,
        "optimizer = torch.optim.Adam(model.parameters(), lr=0.001, betas=(0.9, 0.999), eps=1e-07)",
        "(keras.ops.sqrt(v / (1 - 0.999 ** t)) + 1e-08",
    ),
    ("model.layers.2.momentum", 0.9, "momentum=0.01)", "BatchNormalization(momentum=0.9, epsilon=0.001)"),
    ("model.layers.2.epsilon", 1e-5, "eps=0.001, momentum=0.01)", "(momentum=0.99, epsilon=1e-05)"),
    ("training.batch_size", 3, "DataLoader(dataset, batch_size=len(dataset), shuffle=False)", "batch_size=3"),
    (
        "model.layers.1.activation.negative_slope",
        0.01,
        "layer_1_activation = nn.LeakyReLU(0.2)",
        "activation=keras.layers.LeakyReLU(0.01)",
    ),
]


@pytest.mark.parametrize(("path", "theirs", "in_torch", "in_keras"), FIXES)
def test_a_fix_is_the_line_with_the_others_value(
    path: str, theirs: Any, in_torch: str, in_keras: str
) -> None:
    known = setup(overrides={"torch": {path: theirs}})
    difference = SettingDifference(path=path, values={"tensorflow": "mine", "torch": theirs})

    found = fixes(difference, known, reference="tensorflow", other="torch")

    assert in_torch in found["torch"]
    assert in_keras.removeprefix("(keras.ops.sqrt(v / (1 - 0.999 ** t)) + ") in found["tensorflow"]
    for text in found.values():
        compile(text, "advice", "exec")


def test_advice_names_the_layer_as_the_user_does_and_says_what_changes() -> None:
    layers = [{"type": "layer_norm", "name": "norm"}, {"type": "dense", "units": 1}]
    known = setup(model={"layers": layers}, overrides={"torch": {"model.layers.norm.epsilon": 1e-5}})
    difference = SettingDifference(path="model.layers.0.epsilon", values={"tensorflow": 1e-3, "torch": 1e-5})

    assert fixes(difference, known, reference="tensorflow", other="torch")["torch"] == (
        "# norm: epsilon from 1e-05 to 0.001, as in tensorflow\n"
        "# Where the layers are made:\n"
        "norm = nn.LayerNorm(4, eps=0.001)"
    )


def test_what_is_left_out_is_told() -> None:
    known = setup(overrides={"torch": {"optimizer.global_clip_norm": 1.0, "optimizer.clip_epsilon": 1e-6}})
    difference = SettingDifference(
        path="optimizer.global_clip_norm", values={"tensorflow": None, "torch": 1.0}
    )

    assert fixes(difference, known, reference="tensorflow", other="torch")["torch"].endswith(
        "# Between loss.backward() and optimizer.step(), leave out:\n"
        "# nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
    )


def test_an_unknown_framework_has_no_fix() -> None:
    declared = jobs(overrides={"torch": {"optimizer.learning_rate": 0.5}})
    declared = {"tensorflow": declared["tensorflow"], "jax": declared["torch"]}
    known = Setup.of(declared, FRAMEWORKS, dict.fromkeys(declared, (100, 4)))
    difference = SettingDifference(path="optimizer.learning_rate", values={"tensorflow": 0.001, "jax": 0.5})

    assert list(fixes(difference, known, reference="tensorflow", other="jax")) == ["tensorflow"]


def test_of_three_sides_each_other_is_mended_like_the_first_where_it_differs() -> None:
    two = jobs(overrides={"torch": {"loss.reduction": "sum"}})
    declared = {**two, "eager": two["tensorflow"]}
    known = Setup.of(declared, {**FRAMEWORKS, "eager": "torch"}, dict.fromkeys(declared, (100, 4)))
    rate = {"tensorflow": "mean", "torch": "sum", "eager": "mean"}
    (found,) = mendings([SettingDifference(path="loss.reduction", values=rate)], known)

    assert [(side, like) for side, like, _ in found.fixes] == [
        ("torch", "tensorflow"),
        ("tensorflow", "torch"),
    ]


def test_of_two_settings_in_one_line_the_later_has_both() -> None:
    changes = {"optimizer.epsilon": 1e-8, "optimizer.learning_rate": 0.5}
    known = setup(overrides={"torch": changes})
    values = {"tensorflow": "mine", "torch": "theirs"}
    _, last = mendings([SettingDifference(path=path, values=values) for path in changes], known)

    assert [code.splitlines()[-1] for side, _, code in last.fixes if side == "torch"] == [
        "optimizer = torch.optim.Adam(model.parameters(), lr=0.001, betas=(0.9, 0.999), eps=1e-07)"
    ]


def test_a_sum_under_adam_is_not_told_as_a_learning_rate() -> None:
    known = setup(overrides={"torch": {"loss.reduction": "sum"}}, training={"epochs": 2, "batch_size": 8})
    difference = SettingDifference(path="loss.reduction", values={"tensorflow": "mean", "torch": "sum"})

    assert consequence(difference, known) == (
        "with batches of 8 a sum makes gradients 8 times as large, most of which adam divides out again"
    )


@pytest.mark.parametrize(
    ("heavier", "lighter"),
    [
        ("loss.from_logits", "model.layers.0.kernel_initializer"),
        ("optimizer.learning_rate", "model.layers.0.bias_initializer"),
        ("model.layers.0.units", "loss.reduction"),
        ("loss.reduction", "optimizer.learning_rate"),
        ("model.layers.0.embeddings_initializer", "optimizer.epsilon_placement"),
        ("model.layers.1.kernel_initializer", "model.layers.0.bias_initializer"),
        ("optimizer.rho", "optimizer.epsilon"),
        ("optimizer.epsilon", "loss.ignore_index"),
        ("optimizer.schedule.warmup", "execution"),
    ],
)
def test_what_changes_a_training_most_comes_first(heavier: str, lighter: str) -> None:
    paths = [SettingDifference(path=path, values={}) for path in (lighter, heavier)]

    assert [one.path for one in sorted(paths, key=weight_of)] == [heavier, lighter]


def test_a_field_that_differs_alike_in_several_layers_is_told_once() -> None:
    values = {"tensorflow": "zeros", "torch": "ones"}
    alike = [
        SettingDifference(path=f"model.layers.{place}.bias_initializer", values=values) for place in (0, 2)
    ]
    other = SettingDifference(path="model.layers.3.bias_initializer", values={**values, "torch": "zeros"})

    groups = conventions([*alike, other])

    assert [together(group).path for group in groups] == [
        "model.layers.0,2.bias_initializer", "model.layers.3.bias_initializer",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"accumulation": "sum"}, "the sum of 4 batches' gradients is 4 times their mean"),
        (
            {},
            "the epoch's last batch has 4 samples and counts as much as one of 8; accumulation: samples "
            "counts each sample",
        ),
        (
            {"drop_last": True},
            "an epoch of 87 batches cuts a group after 3 of 4, which the next epoch completes, where one "
            "large batch ends with the epoch",
        ),
    ],
)
def test_what_parts_batches_in_parts_from_one_large_batch_is_said(
    training: dict[str, Any], expected: str
) -> None:
    parts = {"epochs": 1, "batch_size": 8, "gradient_accumulation_steps": 4, **training}
    whole = {"epochs": 1, "batch_size": 32}
    known = jobs(training=parts, overrides={"torch": {"training": whole}})
    told = Setup(jobs=known, frameworks=FRAMEWORKS, samples=700)
    steps = SettingDifference(
        path="training.gradient_accumulation_steps", values={"tensorflow": 4, "torch": 1}
    )

    assert consequence(steps, told) == f"it is not one batch of 32 taken in parts: {expected}"


def test_long_lists_that_begin_alike_are_told_apart_by_the_first_item_that_differs() -> None:
    rows = [[0.123456, -0.654321, 0.5, 0.25] for _ in range(20)]
    other = [list(row) for row in rows]
    other[3][2] = 0.75
    wide = [[*row, 1.0] for row in rows]
    said = [
        knowledge.statement(SettingDifference(path="data.x", values={"keras": rows, "torch": each}))
        for each in (other, wide)
    ]

    alike = "data.x.{} is [0.123456, -0.654321, 0.5, 0.25] in keras and [0.123456, -0.654321, {}] in torch"
    assert said == [alike.format(3, "0.75, 0.25"), alike.format(0, "0.5, 0.25, 1.0")]


def test_clipping_of_two_kinds_is_told_by_what_each_does():
    values = {"tensorflow": {"clip_norm": 1.0}, "torch": {"global_clip_norm": 1.0}}
    said = consequence(SettingDifference(path="optimizer.clip", values=values), Setup(jobs={}, frameworks={}))
    assert said is not None
    assert said.startswith("in tensorflow each tensor's gradient is cut by itself")
    assert "; in torch all gradients are cut by their common norm" in said
