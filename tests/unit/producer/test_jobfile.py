"""From a name on the command line to an Experiment, and the words for everything that is wrong."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise.producer.job.examples import example_names
from likewise.producer.job.jobfile import LoadedExperiment, read_experiment
from likewise.shared.errors import JobFileError, UsageError

Read = Callable[..., LoadedExperiment]
Refusal = Callable[..., str]

MISTAKES = [
    ("training.epochs=-1", "training.epochs = -1: must be 1 or more (for example `epochs: 100`)"),
    ("training.epochs=1.5", "training.epochs = 1.5: expected a whole number (for example `epochs: 100`)"),
    ("training.epochs='9'", 'training.epochs = "9": expected a whole number, not text (for example `epochs: 100`)'),
    ("training.epoch=3", "training.epoch = 3: unknown field of training (did you mean epochs?)"),
    ("training.shuffle=yes", 'training.shuffle = "yes": expected false, true or once'),
    ("training.drop_last=yes", 'training.drop_last = "yes": expected true or false'),
    ("training.shuffle_seed=-1", "training.shuffle_seed = -1: must be 0 or more"),
    ("training.epoch_loss=mean", 'training.epoch_loss = "mean": expected per_sample or per_batch'),
    ("initial_weights={type: shared, seed: 1.5}", "initial_weights.seed = 1.5: expected a whole number"),
    (
        "optimizer.schedule={type: constant, warmup_start: 2}",
        "optimizer.schedule.warmup_start = 2: must be at most 1",
    ),
    (
        "optimizer.schedule={type: constant, offset: late}",
        'optimizer.schedule.offset = "late": expected a whole number, not text',
    ),
    (
        "optimizer.schedule={type: piecewise, boundaries: [2], values: [1, 2], boundary: at}",
        'optimizer.schedule.boundary = "at": expected before or after',
    ),
    (
        "optimizer.schedule={type: reduce_on_plateau, patience_rule: met}",
        'optimizer.schedule.patience_rule = "met": expected reached or exceeded',
    ),
    ("model.layers.out.units=0", "model.layers.0.units = 0: must be 1 or more"),
    ("model.layers.0.unit=4", "model.layers.0.unit = 4: unknown field of dense layer (did you mean units?)"),
    ("model.layers.0.type=dens", 'model.layers.0.type = "dens": unknown layer (did you mean dense?)'),
    (
        "model.layers.0.activation=swish",
        'model.layers.0.activation = "swish": unknown activation (did you mean silu?)',
    ),
    (
        "model.layers.0.activation=rrelu",
        'model.layers.0.activation = "rrelu": is not taken (it draws a slope for each element of each batch, by '
        "the framework's own generator, so that no two frameworks train alike; {type: leaky_relu, "
        "negative_slope: 0.22916666666666666}, the mean of its 1/8 and 1/3, is what it is in evaluation)",
    ),
    (
        "model.layers.0.type=TimeDistributed",
        'model.layers.0.type = "TimeDistributed": unknown layer (write the layer by itself: dense takes the last '
        "axis of every step)",
    ),
    (
        "model.layers.0.type=gaussian_noise",
        'model.layers.0.type = "gaussian_noise": is not taken (its noise is the framework\'s own, so that no two '
        "frameworks train alike; the masks of {type: dropout} are drawn once for all sides)",
    ),
    (
        "model.layers.0.activation={type: relu, max_value: 6}",
        "model.layers.0.activation.max_value = 6: unknown field of relu activation ({type: clipped_relu, "
        "max_value: …} has it; 6 is relu6)",
    ),
    (
        "model.layers.0.kernel_initializer=xavier_uniform_",
        'model.layers.0.kernel_initializer = "xavier_uniform_": unknown initializer (did you mean glorot_uniform?)',
    ),
    (
        "optimizer.schedule={type: MultiStepLR}",
        'optimizer.schedule.type = "MultiStepLR": unknown schedule (did you mean piecewise?)',
    ),
    (
        "optimizer.schedule={type: LinearLR}",
        'optimizer.schedule.type = "LinearLR": unknown schedule (write {type: constant, warmup: …, '
        "warmup_start: …}, or {type: polynomial, power: 1} to go down)",
    ),
    (
        "optimizer.type=RAdam",
        'optimizer.type = "RAdam": is not taken (`likewise port` compares two programs that have it)',
    ),
    (
        "loss.type=KLDivLoss",
        'loss.type = "KLDivLoss": unknown loss (write kl_divergence, which takes the logits)',
    ),
    ("model.layers.0=linear", 'model.layers.0 = "linear": unknown layer (did you mean dense?)'),
    ("model.layers.0=dropout", "model.layers.0.rate: is missing (a dropout layer needs it)"),
    ("model.layers=[]", "model.layers = []: must not be empty (for example `layers: [{type: dense, units: 1}]`)"),
    ("model=[1]", "model = [1]: expected a mapping (for example `model: {layers: [{type: dense, units: 1}]}`)"),
    ("loss=msee", 'loss = "msee": unknown loss (did you mean mse?)'),
    ("loss=5", "loss = 5: expected a word, or a mapping with a type (for example `loss: mse`)"),
    ("loss.reduction=summ", 'loss.reduction = "summ": expected mean, sum or sum_of_means'),
    (
        "optimizer.momentum_convention=torch",
        'optimizer.momentum_convention = "torch": expected velocity or buffer',
    ),
    ("optimizer.weight_decay_kind=l2", 'optimizer.weight_decay_kind = "l2": expected coupled or decoupled'),
    (
        "optimizer={type: adam, epsilon_placement: inside}",
        'optimizer.epsilon_placement = "inside": expected outside or hat',
    ),
    ("optimizer.clip_epsilon=-1", "optimizer.clip_epsilon = -1: must be 0 or more"),
    ("data.sample_weights=[1, -1]", "data.sample_weights.1 = -1: must be 0 or more"),
    ("loss.weighting=sum", 'loss.weighting = "sum": expected by_count or by_weights'),
    ("loss.targets=flat", 'loss.targets = "flat": expected aligned or broadcast'),
    ("loss={type: categorical_crossentropy, ignore_index: none}", 'loss.ignore_index = "none": expected a whole number, not text'),
    ("loss={type: binary_crossentropy, from_logits: 1}", "loss.from_logits = 1: expected true or false"),
    ("optimizer=adma", 'optimizer = "adma": unknown optimizer (did you mean adam?)'),
    ("training.learning_rate=0.1", "training.learning_rate = 0.1: unknown field of training (did you mean optimizer.learning_rate?)"),
    ("epochs=3", "epochs = 3: unknown field of job file (did you mean training.epochs?)"),
    ("loss.delta=3", "loss.delta = 3: unknown field of mse loss (one of reduction, weighting, weight, targets, type)"),
    ("optimizer.lr=1", "optimizer.lr = 1: unknown field of sgd optimizer (did you mean learning_rate?)"),
    ("optimizer.learning_rate=0", "optimizer.learning_rate = 0: must be above 0"),
    ("optimizer.learning_rate=.nan", "optimizer.learning_rate = NaN: must be a finite number"),
    ("optimizer.nesterov=true", "optimizer.nesterov: nesterov needs a momentum above 0"),
    ("optimizer.schedule=step", "optimizer.schedule.step_size: is missing (a step schedule needs it)"),
    (
        "model.layers.0.kernel_initializer={type: random_uniform, minval: 1, maxval: 0}",
        "model.layers.0.kernel_initializer.minval: minval 1 is above maxval 0",
    ),
    ("data=digits", 'data = "digits": unknown data source (did you mean {type: builtin, name: digits}?)'),
    ("data.x=[[1, 2], [3]]", "data.x = [[1, 2], [3]]: row 2 has 1 values where row 1 has 2"),
    ("data.x=[]", "data.x = []: expected at least one row, and there is none"),
    ("data.x=[1, a]", 'data.x: row 2 is "a", not a number'),
    ("data.x=[[1], [.nan]]", "data.x: row 2, column 1 is NaN, not a finite number"),
    ("data.x=5", "data.x = 5: expected a list of numbers, or a list of rows of numbers"),
    ("data.split={test: 0.5, validation: 0.5}", "data.split.validation: validation 0.5 and test 0.5 leave nothing to train on"),
    ("seeds=0", "seeds = 0: must be 1 or more (a count such as 3, or a list such as [1, 2, 3])"),
    ("seeds=[1, -1]", "seeds.1 = -1: must be 0 or more"),
    ("seeds=[1, 1]", "seeds: names 1 twice"),
    ("frameworks=[torch, torch]", "frameworks: names torch twice; sides of one framework have labels of their own, in sides"),
    ("initial_weights=sharedd", 'initial_weights = "sharedd": unknown weights source (did you mean shared?)'),
    (
        "initial_weights={type: values, weights: {layers.0.kernel: [[a]]}}",
        'initial_weights.weights.layers.0.kernel: row 1, column 1 is "a", not a number',
    ),
    ("metrics=[acuracy]", 'metrics.0 = "acuracy": expected mae, rmse, r2, accuracy, f1, auc, top_k_accuracy, precision or recall (did you mean accuracy?)'),
    ("device=gpu", 'device = "gpu": expected auto, cpu, cuda, cuda:1 or mps (did you mean cuda?)'),
    (
        "schema_version=7",
        "schema_version = 7: this file is of schema version 7; this Likewise reads 1 "
        "(upgrade Likewise: pip install --upgrade likewise)",
    ),
    ("overrides.torch.loss.reducton=sum", 'overrides.torch.loss.reducton = "sum": unknown field of mse loss (did you mean reduction?)'),
    ("overrides.torch.seeds=2", "overrides.torch.seeds = 2: seeds is the same for every side and cannot be overridden"),
    ("sides={a: {framework: torch, requirements: [keras=3]}}", 'sides.a.requirements.0 = "keras=3": is not a package with its versions (as a requirement file has them, such as keras==3.14.*)'),
    ("overrides.keras.loss=mae", "overrides.keras: is for a framework that is not in frameworks (tensorflow, torch)"),
    ("overrides.tourch.loss=mae", "overrides.tourch: is for a framework that is not in frameworks (tensorflow, torch) (did you mean torch?)"),
    ("model.layers.ou.units=2", 'model.layers.ou.units: model.layers has no item named "ou" (did you mean out?)'),
    ("model.layers.7.units=2", "model.layers.7.units: model.layers has no item 7 (its items are 0 to 0)"),
]  # fmt: skip


@pytest.mark.parametrize(("assignment", "expected"), MISTAKES, ids=[a for a, _ in MISTAKES])
def test_a_mistake_is_told_with_its_path_value_and_remedy(
    read: Read, refusal: Refusal, assignment: str, expected: str
) -> None:
    message = refusal(read, assignment)

    assert message.removeprefix(f"job.yaml with --set {assignment}: ").endswith(expected), message
    assert message.count("\n") == 0


def test_all_problems_of_a_file_are_told_at_once(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(text="training: {epochs: 0}\nlos: mse\nx: 1\n")

    assert [problem.path for problem in caught.value.problems] == [
        "data", "model", "loss", "optimizer", "training.epochs", "los", "x",
    ]  # fmt: skip
    assert "7 problems" in str(caught.value)


def test_a_control_character_reaches_no_terminal(read: Read, refusal: Refusal) -> None:
    message = refusal(read, "a\x1b[31m\u202e=\x9b2J")

    assert message.isprintable()


def test_a_file_with_thousands_of_problems_shows_twenty(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(text="\n".join(f"field{i}: 1" for i in range(3000)))

    assert len(caught.value.problems) == 3005
    assert len(str(caught.value).splitlines()) == 22


def test_a_list_of_a_million_wrong_numbers_is_one_problem(read: Read) -> None:
    with pytest.raises(JobFileError) as caught:
        read(
            text='{"data": {"type": "inline", "y": [1], "x": [' + '"a",' * 1_000_000 + "1]}}", name="job.json"
        )

    assert [p.message for p in caught.value.problems if p.path == "data.x"] == ['row 1 is "a", not a number']


@pytest.mark.parametrize(
    ("assignments", "path", "value"),
    [
        (["training.epochs=7"], "training.epochs", 7),
        (["optimizer.learning_rate=1e-3"], "optimizer.learning_rate", 0.001),
        (["loss.reduction=sum"], "loss.reduction", "sum"),
        (
            ["model.layers.out.units=1", "model.layers.0.activation=tanh"],
            "model.layers.0.activation.type",
            "tanh",
        ),
        (
            ["model.layers.0.activation=leaky_relu", "model.layers.0.activation.negative_slope=0.01"],
            "model.layers.0.activation.negative_slope",
            0.01,
        ),
        (["training.early_stopping.monitor=loss"], "training.early_stopping.monitor", "loss"),
        (["seeds=[3, 4]"], "seeds", (3, 4)),
        (["data.x.0=9.5"], "data.x.0", 9.5),
        (["optimizer=adam", "optimizer.beta_1=0.8"], "optimizer.beta_1", 0.8),
        (["overrides.torch.optimizer.momentum=0.5"], "overrides.torch", {"optimizer.momentum": 0.5}),
        (["training.batch_size="], "training.batch_size", None),
        (["predict=[1]", "predict=[2]"], "predict", (2.0,)),
    ],
)
def test_set_changes_a_value_by_its_dotted_path(
    read: Read, assignments: list[str], path: str, value: object
) -> None:
    here: Any = read(*assignments).experiment
    for part in path.split("."):
        if part.isdigit():
            here = here[int(part)]
        else:
            here = here[part] if isinstance(here, dict) else getattr(here, part)

    assert here == value


@pytest.mark.parametrize("assignment", ["training.epochs", "=3", "", "a=[1,", "training..epochs=1"])
def test_a_set_that_is_no_assignment_is_refused(read: Read, refusal: Refusal, assignment: str) -> None:
    assert "--set" in refusal(read, assignment)


def test_json_and_yaml_files_read_alike(read: Read) -> None:
    text = (
        '{"data": {"type": "inline", "x": [1], "y": [1]}, "model": {"layers": ["flatten"]}, "loss": "mse", '
    )
    text += '"optimizer": "sgd", "training": {"epochs": 1}}'

    assert read(text=text, name="a.json").experiment == read(text=text, name="a.yml").experiment


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_found_by_its_name(name: str) -> None:
    loaded = read_experiment(name)

    assert loaded.experiment.name == name
    assert loaded.source == f"example {name}"


def test_a_file_of_an_examples_name_in_this_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "article").write_text("name: mine", encoding="utf-8")

    assert refusal(read_experiment, "article").startswith("article: ")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("artcle", "artcle: there is no such file or example (did you mean the example article?)"),
        ("jbo.yaml", "did you mean"),
        ("zzz", "examples are article, "),
        (".", ".: is a folder, not a job file (it holds jobs.yaml)"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("pipe", "pipe: is not a regular file (use - to read from a pipe)"),
        ("binary.yaml", "binary.yaml: is a binary file (a job file is YAML or JSON text)"),
        ("latin.yaml", "latin.yaml: line 2: is not UTF-8 text (save it as UTF-8)"),
        ("large.yaml", "large.yaml: is larger than a job file may be (16 MiB)"),
        ("empty.yaml", "empty.yaml: is empty (`likewise init` writes one to start from)"),
        ("list.yaml", "list.yaml: is not a job file: expected fields such as `name: value`"),
        (
            "half.json",
            'loss.type = "\\ud800": has half of a character (write the character itself, or both of its',
        ),
        ("half.json", '\n  data = "\\udc00"'),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: Refusal, spec: str, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    if spec in {"jbo.yaml", "."}:
        Path("jobs.yaml").write_text("a: 1", encoding="utf-8")
    for name, data in {
        "binary.yaml": b"\x00\x01",
        "latin.yaml": b"a: 1\nb: \xe9",
        "large.yaml": b"#" * (17 * 2**20),
        "empty.yaml": b"",
        "list.yaml": b"- 1",
        "half.json": rb'{"loss": {"type": "\ud800"}, "data": {"\udc00": 1}}',
    }.items():
        if spec == name:
            Path(name).write_bytes(data)

    assert expected in refusal(read_experiment, spec)


def test_an_empty_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="or an example: article"):
        read_experiment("")


@pytest.mark.parametrize("names", [["torch"] * 101, [f"f{number}" for number in range(100_000)]])
def test_far_too_many_sides_are_one_line(read: Read, refusal: Refusal, names: list[str]) -> None:
    message = refusal(read, f"frameworks=[{', '.join(names)}]")

    assert "has more than 100 items" in message
    assert len(message) < 500


def test_a_framework_that_does_not_ship_is_told_as_what_it_is() -> None:
    with pytest.raises(JobFileError, match=r"\(jax is no framework that ships with Likewise\)"):
        read_experiment("article", ["frameworks=[jax]"])
