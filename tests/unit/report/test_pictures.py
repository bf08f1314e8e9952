"""The pages' pictures of replays, outputs and verdicts: what is drawn is what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.report import figures_of_layers, figures_of_outputs, figures_of_training
from likewise.producer.report.comparison_page import page_of
from likewise.producer.report.figures_of_verdict import proof
from likewise.producer.report.truth import Truth, line_through, truth_of
from likewise.producer.verdict.divergence_map import divergence_map
from likewise.shared.results.step_trace import NUMBERS, StepTensor, Trace
from tests.listed import encoded


def trace(store: dict, table: np.ndarray, places: list[tuple[str, str]]) -> Trace:
    ref, _ = encoded(table)
    store[ref] = table
    starts, _ = encoded(np.zeros((2, 0, NUMBERS)))
    return Trace(
        steps=tuple(range(1, len(table) + 1)), finished=True, weight_names=(), starts=starts,
        places=tuple(StepTensor(stage=stage, tensor=tensor) for stage, tensor in places), table=ref,
        learning_rates=(0.1,) * len(table),
    )  # fmt: skip


def test_a_map_has_the_relative_difference_of_each_tensor_in_each_update():
    store: dict = {}
    table = np.ones((3, 2, NUMBERS))
    table[:, :, 4] = 2.0  # the largest values
    other = table.copy()
    other[1:, 1, 0] += 0.5
    other[2, 0, 3] = np.nan
    keys = [("update", "layers.0.kernel"), ("forward", "layers.0")]
    traces = (trace(store, table, keys), trace(store, other, keys))
    found = divergence_map(("a", "b"), traces, seed=3, tolerance=1e-9, arrays=store.__getitem__)

    assert found.tensors == (("forward", "layers.0"), ("update", "layers.0.kernel")), "in the order of a step"
    assert found.apart[0].tolist() == [0.0, 0.25, 0.25]
    assert found.apart[1][:2].tolist() == [0.0, 0.0]
    assert np.isnan(found.apart[1][2])

    figure = figures_of_layers.spread(found)
    assert figure.y.names == ["output of layers.0", "new layers.0.kernel"]
    assert figure.series[0].values == [[0.0, 0.25, 0.25], [0.0, 0.0, None]]


def test_two_replays_without_a_common_tensor_have_no_map():
    store: dict = {}
    table = np.ones((1, 1, NUMBERS))
    traces = (trace(store, table, [("forward", "a")]), trace(store, table, [("forward", "b")]))

    assert divergence_map(("a", "b"), traces, seed=0, tolerance=1e-9, arrays=store.__getitem__) is None


def test_calibration_is_the_share_that_is_right_where_a_side_is_so_sure():
    outputs = np.array([[0.62, 0.38], [0.68, 0.32], [0.05, 0.95], [0.02, 0.98]])
    truth = Truth(
        part="test", task="multiclass", seed=0, x=np.zeros((4, 1)), y=np.array([0, 1, 1, 1]), predict=None,
        outputs={"a": outputs}, predictions={}, classes=2, feature_names=(), target_names=(),
        standardized=False, from_logits=False,
    )  # fmt: skip
    diagonal, drawn = figures_of_outputs.calibration(truth, ("a",)).series

    assert drawn.x == [pytest.approx(0.65), pytest.approx(0.965)]
    assert drawn.y == [0.5, 1.0]
    assert diagonal.y == [0.0, 1.0]


def article_truth(samples):
    comparison = samples.article()
    truth = truth_of(samples.runs(comparison), samples.tables(comparison), samples.STORE.get)
    return comparison, truth


def test_the_articles_page_shows_what_was_learned_beside_the_line_that_gives_19(samples):
    comparison, truth = article_truth(samples)
    line = line_through(truth)
    page = page_of(comparison, truth)
    learned = next(section for section in page.sections if section.short == "Learned").blocks[0]

    assert (line.slope, line.intercept, line.exact) == (2.0, -1.0, True)
    assert learned.columns == ("", "tensorflow", "torch", "the data’s own line")
    assert [row[-1] for row in learned.rows] == ["2.0", "-1.0", "19.0"]
    assert learned.rows[2][0] == "prediction at 10"
    assert learned.rows[2][2].startswith("18.99999")


def test_residuals_tell_two_lines_apart_that_cover_each_other(samples):
    comparison, truth = article_truth(samples)
    one, two = figures_of_outputs.residuals(truth, comparison.sides).series
    known = truth.y.reshape(-1)

    assert one.y == pytest.approx((truth.outputs["tensorflow"].reshape(-1) - known).tolist(), rel=1e-6)
    assert max(map(abs, one.y)) > 100 * max(map(abs, two.y))


def test_the_proof_is_every_gap_beside_the_tolerance(samples):
    comparison = samples.article()
    _, figure = proof(comparison)
    (drawn,) = figure.series
    gaps = {gap.measure: gap.relative for pair in comparison.gaps for gap in pair.largest}

    assert dict(zip(figure.y.names, drawn.x, strict=True)) == pytest.approx(gaps)
    assert figure.guides[0].value == comparison.tolerance.relative


def test_over_seeds_the_proof_is_each_interval_in_margins(samples):
    comparison = samples.many_seeds()
    _, figure = proof(comparison)
    (drawn,) = figure.series
    first = comparison.equivalence[0]

    assert (drawn.low[0], drawn.high[0]) == pytest.approx([end / first.margin for end in first.interval])
    assert (figure.guides[0].value, figure.guides[0].until) == (-1.0, 1.0)


def test_the_gap_below_the_losses_is_their_difference(samples):
    comparison = samples.article()
    (drawn,) = figures_of_training.loss_gap(comparison).series
    losses = [run.seeds[0].losses for run in comparison.runs]

    assert drawn.y[0] == pytest.approx(abs(losses[0][0] - losses[1][0]))
    assert len(drawn.y) == 500
    assert figures_of_training.loss_gap(samples.compared(samples.experiment())) is None


def test_many_seeds_are_dots_around_their_median(samples):
    comparison = samples.matched(6)
    figure = figures_of_training.final_losses_over_seeds(comparison)
    dots, whisker = figure.series[:2]
    final = [seed.final_loss for seed in comparison.runs[0].seeds]

    assert sorted(dots.x) == pytest.approx(sorted(final))
    assert whisker.x == [pytest.approx(float(np.median(final)))]
    assert all(abs(height) <= 0.25 for height in dots.y)
