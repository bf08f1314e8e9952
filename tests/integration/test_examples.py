"""Every shipped example, trained in every framework through real workers, as `likewise compare NAME`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from likewise.producer.job.examples import example_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compare(likewise):
    """The document of one comparison."""

    def run(*words):
        answer = likewise("compare", *words, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return run


@pytest.mark.parametrize(
    "name", sorted(set(example_names()) - {"article", "digits", "naive_port", "two_heads"})
)
def test_an_example_gives_the_same_in_every_framework(compare, name):
    document = compare(name)

    assert document["verdict"] == "agree", document["reasons"]
    assert all(seed["status"] == "succeeded" for seeds in document["runs"].values() for seed in seeds)


def test_the_digits_are_read_by_both_frameworks_alike(compare):
    document = compare("digits")

    assert document["verdict"] == "agree", document["reasons"]
    for seeds in document["runs"].values():
        assert seeds[0]["metrics"]["test"]["accuracy"] >= 0.95


def test_two_heads_agree_and_are_told_apart_by_name(compare):
    document = compare("two_heads")

    assert document["verdict"] == "agree", document["reasons"]
    for (seed,) in document["runs"].values():
        assert {name: len(rows[0]) for name, rows in seed["predictions"].items()} == {"rooms": 9, "price": 1}
        assert {name: len(rows) for name, rows in seed["outputs"].items()} == {"rooms": 30, "price": 30}
        metrics = seed["metrics"]["train"]
        assert list(metrics) == ["rooms.accuracy", "rooms.loss", "price.mae", "price.r2", "price.loss"]
        assert seed["final_loss"] == pytest.approx(
            metrics["rooms.loss"] + 0.2 * metrics["price.loss"], rel=0.1
        )


def test_the_article_is_not_like_for_like(compare):
    document = compare("article")

    assert document["verdict"] == "differ"
    assert [one["path"] for one in document["setting_differences"]] == ["loss.reduction"]


def test_a_naive_port_parts_by_its_frameworks_defaults_and_by_nothing_else(compare):
    native = compare("naive_port", "--no-twin")
    shared = compare("naive_port", "--set", "defaults=shared")

    assert native["verdict"] == "differ"
    assert {one["path"] for one in native["setting_differences"]} >= {
        "optimizer.learning_rate", "optimizer.rho", "optimizer.epsilon", "optimizer.epsilon_placement",
        "model.layers.0.kernel_initializer",
    }  # fmt: skip
    assert (shared["verdict"], shared["setting_differences"]) == ("agree", [])
