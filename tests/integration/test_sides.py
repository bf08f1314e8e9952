"""Three sides, and sides of unlike precision, with a real Redis and real workers: each against the first."""

from __future__ import annotations

import html

import pytest

SIDES = ("--sides", "torch:eager,torch:compiled,tensorflow")
EAGER, COMPILED, OTHER = "torch-eager", "torch-compiled", "tensorflow"
PLANTED = f"overrides={{{COMPILED}: {{optimizer.learning_rate: 0.02}}, {OTHER}: {{loss.reduction: sum}}}}"
"""Both others differ from the first, each in a setting of its own."""


def test_three_sides_that_train_alike_agree(document):
    found = document("compare", "matched", *SIDES)

    assert found["verdict"] == "agree"
    assert list(found["runs"]) == [EAGER, COMPILED, OTHER]
    assert [(one["reference"], one["other"]) for one in found["gaps"]] == [(EAGER, COMPILED), (EAGER, OTHER)]
    assert found["first_divergences"] == []


def test_of_three_sides_each_other_is_traced_to_where_it_parts_from_the_first(document, tmp_path):
    page = tmp_path / "page.html"
    found = document("compare", "matched", *SIDES, "--set", PLANTED, "--report", str(page))

    assert found["verdict"] == "differ"
    there = {
        one["other"]: (one["reference"], one["step"], one["stage"]) for one in found["first_divergences"]
    }
    assert there == {COMPILED: (EAGER, 1, "update"), OTHER: (EAGER, 1, "loss")}
    assert found["first_divergence"] == found["first_divergences"][1]
    for one in found["first_divergences"]:
        assert one["sentence"].startswith(f"{EAGER} and {one['other']} first part at update 1")
        assert one["sentence"] in found["reasons"]
        assert one["sentence"] in html.unescape(page.read_text(encoding="utf-8"))


def test_sides_that_do_not_start_alike_are_each_traced_from_the_weights_of_the_first(document):
    found = document("compare", "article", *SIDES)
    (there,) = found["first_divergences"]

    assert (there["other"], there["step"], there["stage"], there["given_start"]) == (OTHER, 1, "loss", True)
    assert any(
        f"A replay of {EAGER} and {COMPILED} that laid" in one and "no tensor that differs" in one
        for one in found["reasons"]
    )


def test_without_a_side_named_every_other_is_explained_against_the_first(document, likewise):
    found = document("explain", "matched", *SIDES, "--set", PLANTED, "--set", "training.epochs=60")
    first, second = found["explanations"]

    assert (first["reference"], first["other"]) == (EAGER, COMPILED)
    assert (second["reference"], second["other"]) == (EAGER, OTHER)
    shares = [{line["path"]: line["share"] for line in one["contributions"]} for one in (first, second)]
    near = {"abs": 1e-3}
    assert shares == [
        {"optimizer.learning_rate": pytest.approx(1.0, **near), "execution": pytest.approx(0.0, **near)},
        {"loss.reduction": pytest.approx(1.0, **near), "execution": pytest.approx(0.0, **near)},
    ]
    assert {name: one for name, one in found.items() if name != "explanations"} == first

    said = likewise("explain", found["experiment_id"]).stdout
    assert f"why {COMPILED} differs from {EAGER}" in said
    assert f"why {OTHER} differs from {EAGER}" in said
    alone = document("explain", found["experiment_id"], "--side", OTHER)
    assert alone == second


def test_sides_of_unlike_precision_agree_over_twenty_seeds(document, tmp_path):
    page = tmp_path / "page.html"
    sides = ("--sides", "torch/float64,torch/float32")
    found = document("compare", "digits", *sides, "--seeds", "20", "--report", str(page))

    assert found["verdict"] == "agree"
    assert {name: len(seeds) for name, seeds in found["runs"].items()} == {
        "torch-float64": 20,
        "torch-float32": 20,
    }
    assert {name: job["precision"] for name, job in found["jobs"].items()} == {
        "torch-float64": "float64",
        "torch-float32": "float32",
    }
    assert all(seed["status"] == "succeeded" for seeds in found["runs"].values() for seed in seeds)
    assert "torch-float64, median of 20 seeds" in page.read_text(encoding="utf-8")
