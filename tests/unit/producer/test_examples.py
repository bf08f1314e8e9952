"""The shipped examples and the starter: valid, as the schema that editors use sees them too."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from likewise.producer.job import jobtext
from likewise.producer.job.examples import example, example_names, example_path, gallery_names
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.new_file import starter
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.job.schema import editor_schema

SCHEMA = editor_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def document(name: str) -> dict[str, Any]:
    return jobtext.read_yaml(example_path(name).read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_the_issues_examples_are_there() -> None:
    assert {"article", "matched", "diabetes", "digits", "breast_cancer", "houses"} <= set(example_names())


@pytest.mark.parametrize("name", [*example_names(), *gallery_names()])
def test_an_example_is_valid_and_its_data_fits(name: str) -> None:
    prepared = prepare_experiment(read_experiment(name))

    assert prepared.advice == () or name in gallery_names()  # whose mistakes may be warned of
    assert list(prepared.runs) == ["tensorflow", "torch"]


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_commented_for_a_newcomer(name: str) -> None:
    assert example_path(name).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", gallery_names())
def test_a_job_of_the_gallery_tells_its_story_in_five_lines_with_the_reports_address(name: str) -> None:
    found = example(name)
    lines = example_path(name).read_text(encoding="utf-8").splitlines()

    assert found.report is not None
    assert len(found.story) > 100
    assert sum(line.startswith("#") for line in lines) == 5
    assert max(len(line) for line in lines if line.startswith("#")) <= 120
    assert read_experiment(name).experiment.name == name


def test_the_gallery_has_twenty_reports_and_no_name_twice() -> None:
    assert len(gallery_names()) >= 20
    assert not set(gallery_names()) & set(example_names())


@pytest.mark.parametrize("name", [*example_names(), *gallery_names()])
def test_an_editor_finds_nothing_wrong_with_an_example(name: str) -> None:
    VALIDATOR.validate(document(name))


def test_an_editor_finds_nothing_wrong_with_the_starter() -> None:
    VALIDATOR.validate(jobtext.read_yaml(starter()))


def test_the_schema_is_one_and_describes_its_fields() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "Likewise job file"
    assert "mean 0 and variance 1" in SCHEMA["$defs"]["CsvData"]["properties"]["standardize"]["description"]
    assert "Stochastic gradient descent" in SCHEMA["$defs"]["Sgd"]["description"]


def test_the_schema_offers_the_words_that_may_stand_alone() -> None:
    offered = {field: SCHEMA["properties"][field] for field in ("loss", "optimizer", "initial_weights")}
    offered["loss"] = offered["loss"]["oneOf"][0]  # the other is a mapping by output
    words = {field: schema["anyOf"][0]["enum"] for field, schema in offered.items()}

    assert words["optimizer"] == [
        "sgd", "adam", "adamw", "adamax", "nadam", "rmsprop", "adagrad", "adadelta",
    ]  # fmt: skip
    assert words["initial_weights"] == ["shared", "initializers", "framework"]
    assert "mse" in words["loss"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("loss",), "msee"),
        (("loss",), {"type": "mse", "reducton": "sum"}),
        (("optimizer", "learning_rate"), 0),
        (("optimizer",), {"type": "sgd", "beta_1": 0.5}),
        (("model", "layers", 0), "dense"),
        (("model", "layers", 0, "units"), 0),
        (("training", "epochs"), "many"),
        (("data", "type"), "sql"),
        (("seeds",), -1),
        (("extra",), 1),
    ],
)
def test_an_editor_finds_what_is_wrong(path: tuple[Any, ...], value: Any) -> None:
    wrong = copy.deepcopy(document("matched"))
    here = wrong
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value

    assert not VALIDATOR.is_valid(wrong)


def test_the_article_is_as_the_article_wrote_it() -> None:
    experiment = read_experiment("article").experiment

    assert experiment.model_dump(mode="json", exclude_unset=True) == {
        "schema_version": 1,
        "name": "article",
        "data": {"type": "inline", "x": [-1, 0, 1, 2, 3, 4], "y": [-3, -1, 1, 3, 5, 7]},
        "model": {"layers": [{"type": "dense", "units": 1}]},
        "loss": {"type": "mse", "reduction": "mean"},
        "optimizer": {"type": "sgd", "learning_rate": 0.01},
        "training": {"epochs": 500, "batch_size": None, "shuffle": False},
        "initial_weights": {"type": "framework"},
        "frameworks": ["tensorflow", "torch"],
        "seeds": 1,
        "overrides": {"torch": {"loss.reduction": "sum"}},
        "predict": [10.0],
    }


def test_matched_is_the_article_like_for_like() -> None:
    article, matched = document("article"), document("matched")

    del article["overrides"]
    assert article | {"name": "matched", "initial_weights": "shared"} == matched
