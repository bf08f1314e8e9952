"""The first divergence and the growth of the gap, on the page, in a terminal and in the document."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from likewise.producer.compare import Background, compare
from likewise.producer.job.resolve import resolve
from likewise.producer.report import comparison_gaps, figures_of_training
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.comparison_page import page_of
from likewise.producer.report.document import print_parts
from likewise.producer.report.page import html_of
from likewise.producer.verdict.models import FirstDivergence, Growth, ReplayFindings
from likewise.producer.verdict.parting import STAGES


def divergence(**changes):
    fields = {
        "seed": 0,
        "step": 1,
        "stage": "loss",
        "tensor": "loss",
        "relative_difference": 5.0,
        "reference": "tensorflow",
        "other": "torch",
        "values": {"tensorflow": 47.25, "torch": 283.5},
        "precision": "float64",
        "sentence": "They first part at update 1 (seed 0), in the loss.",
    }
    return FirstDivergence(**(fields | changes))


def parted(samples, found):
    declared = samples.experiment(overrides={"torch": {"loss.reduction": "sum"}})
    results = [
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(reduction="sum")]),
    ]
    traced = ReplayFindings(divergences=(found,))
    return compare(samples.record(declared), resolve(declared), results, samples.STORE.get, traced=traced)


def grown(samples):
    def compared(precision, known=None):
        job = samples.experiment(precision=precision)
        one, two = (samples.train(dtype=precision) for _ in "ab")
        off = 1e-6 if precision == "float32" else 1e-15
        two = two.model_copy(
            update={"losses": tuple(loss * (1 + off * place) for place, loss in enumerate(two.losses))}
        )
        two = two.model_copy(update={"weights": samples.train(dtype=precision, nudge=1e-7).weights})
        results = [samples.result("tensorflow", [one]), samples.result("torch", [two])]
        found = compare(samples.record(job), resolve(job), results, samples.STORE.get, background=known)
        return found, Background(twin=found)

    return compared("float32", compared("float64")[1])[0]


def printed(comparison, *, terminal):
    shown = io.StringIO()
    print_parts(
        ComparisonDocument(comparison=comparison),
        Console(width=100, force_terminal=terminal, color_system=None, file=shown),
    )
    return shown.getvalue()


@pytest.mark.parametrize(
    ("changes", "equal", "parts"),
    [
        ({}, ["data", "forward"], "loss"),
        ({"stage": "evaluation", "tensor": "outputs"}, list(STAGES[:-1]), "evaluation"),
        ({"step": 0, "stage": "forward"}, [], "forward"),
    ],
)
def test_the_stages_are_marked_up_to_where_they_part(changes, equal, parts):
    marks = comparison_gaps.stages(divergence(**changes))
    assert [mark.stage for mark in marks if mark.state == "equal"] == equal
    assert [mark.stage for mark in marks if mark.state == "parts"] == [parts]
    assert ("evaluation" in [mark.stage for mark in marks]) == (parts == "evaluation")


def test_the_terminal_shows_stages_and_both_values(samples):
    said = printed(parted(samples, divergence()), terminal=False)
    assert "update 1 of seed 0:  data =  forward =  loss ≠  backward ·  update ·" in said
    assert "where they part   tensorflow   torch" in said
    assert "They first part at update 1 (seed 0), in the loss." in said


def test_learning_rates_stand_beside_an_update(samples):
    found = divergence(
        stage="update", tensor="layers.0.kernel", learning_rates={"tensorflow": 0.1, "torch": 0.2}
    )
    labels = [row.label for row in comparison_gaps.divergence(parted(samples, found), found)]
    assert labels == ["layers.0.kernel", "learning rate"]


def test_the_page_and_the_document_have_it(samples):
    found = parted(samples, divergence(tensor="<b>loss"))
    page, document = html_of(page_of(found)), ComparisonDocument(comparison=found).to_json()
    assert found.first_divergence is not None
    assert page.count(found.first_divergence.sentence) == 1
    assert '<li class="parts">loss' in page
    assert "&lt;b&gt;loss" in page
    assert document["first_divergence"]["step"] == 1
    assert document["first_divergence"]["values"] == {"tensorflow": 47.25, "torch": 283.5}
    assert "Where they part first" not in html_of(page_of(samples.article()))


def test_with_several_sides_each_parting_is_shown_with_its_side(samples):
    found = parted(samples, divergence())
    second = divergence(other="third", step=3, sentence="The third parts at update 3.")
    both = found.model_copy(update={"first_divergences": (*found.first_divergences, second)})
    page = html_of(page_of(both))

    assert "torch, update 1 of seed 0:" in printed(both, terminal=False)
    assert "third, update 3 of seed 0:" in printed(both, terminal=False)
    assert page.count('<ol class="stages"') == 2
    assert '<h3 class="subheading">third</h3>' in page
    assert [table.title for table in ComparisonDocument(comparison=both).tables()][:2] == [
        "Where torch parts from tensorflow first", "Where third parts from tensorflow first"
    ]  # fmt: skip


def test_how_the_gap_grows_is_shown_beside_the_twin(samples):
    found = grown(samples)
    (growth,) = found.growth

    assert (growth.other, growth.seed, len(growth.epochs)) == ("torch", 0, 500)
    assert growth.declared[0] == 0
    first, later = (found.runs[0].seeds[0].losses[place] for place in (0, 100))
    assert growth.declared[100] == pytest.approx(1e-4 * later / first, rel=1e-2)
    assert max(growth.twin) < 1e-7 * max(growth.declared)
    figure = figures_of_training.growth(found)
    assert [series.name for series in figure.series] == ["float64 twin", "float32"]
    assert figure.y.log
    assert 'id="growth"' in html_of(page_of(found))
    assert "gap in the loss by epoch" in printed(found, terminal=True)
    assert "gap in the loss by epoch" not in printed(found, terminal=False)
    assert ComparisonDocument(comparison=found).to_json()["growth"][0]["epochs"][-1] == 500


def test_an_epoch_between_two_without_a_gap_has_a_mark(samples):
    found = grown(samples)
    lone = Growth(other="torch", seed=3, epochs=(1, 2, 3), declared=(0.0, 1e-8, 0.0), twin=(0.0, 0.0, 0.0))
    found = found.model_copy(update={"growth": (lone,)})

    (series,) = figures_of_training.growth(found).series

    assert series.y == [None, 1e-8, None]
    assert series.symbol == "circle"
    assert "of seed 3. An epoch without a value had equal losses" in html_of(page_of(found))


def test_nothing_grows_without_a_twin(samples):
    assert samples.article().growth == ()
    assert figures_of_training.growth(samples.article()) is None
