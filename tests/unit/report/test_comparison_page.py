"""The page's text: complete, self-contained, and safe against what users write."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from likewise.producer import report
from likewise.producer.classifying import predicted_classes
from likewise.producer.report import figures, figures_of_outputs, figures_of_training
from likewise.producer.report.comparison_page import page_of
from likewise.producer.report.page import html_of
from likewise.producer.report.truth import Truth, confusions, disagreements, truth_of

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def page(samples, comparison):
    truth = truth_of(samples.runs(comparison), samples.tables(comparison), samples.STORE.get)
    return html_of(page_of(comparison, truth))


def data_of(text):
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def classes_truth(**outputs):
    y = np.array([0, 1, 2, 2])
    return Truth(
        part="test", task="multiclass", seed=0, x=np.zeros((4, 2)), y=y, predict=None,
        outputs={name: np.array(values, dtype=float) for name, values in outputs.items()}, predictions={},
        classes=3, feature_names=(), target_names=(), standardized=False,
    )  # fmt: skip


def test_the_page_says_the_verdict_and_every_reason(samples):
    text = page(samples, samples.article())

    assert "<h1>" in text
    assert "tensorflow and torch differ" in text
    for reason in samples.article().reasons:
        assert reason in text
    assert '<tr class="differs"><th scope="row">loss.<wbr>reduction' in text
    assert "18.999998092651367" in text


def test_only_the_pages_own_scripts_may_run(samples):
    text = page(samples, samples.article())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)

    assert "default-src &#39;none&#39;" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert len(scripts) == 3
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert digest.replace("+", "&#43;") in policy or digest in policy


def test_nothing_points_outside(samples):
    text = page(samples, samples.article())
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)

    assert not re.search(r'(?:src|href)="(?!data:|#)', own)
    assert "http://" not in own
    assert "https://" not in own


def test_what_users_write_is_shown_and_never_run(samples):
    comparison = samples.failed(message=NASTY)
    text = page(samples, comparison.model_copy(update={"reasons": (NASTY,)}))
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)

    assert "<img" not in own
    assert "alert(1)</script>" not in own.replace("&lt;/script&gt;", "")
    assert "&lt;img src=x" in own


def test_a_column_named_like_a_tag_cannot_leave_the_figures(samples):
    comparison = samples.article()
    runs = tuple(
        run.model_copy(update={"dataset": run.dataset.model_copy(update={"feature_names": (NASTY,)})})
        for run in samples.runs(comparison)
    )
    truth = truth_of(runs, samples.tables(comparison), samples.STORE.get)
    text = html_of(page_of(comparison, truth))

    embedded = re.search(r'id="figures">(.*?)</script>', text, re.S)[1]
    assert "<" not in embedded
    assert data_of(text)["fit"]["x"]["label"] == NASTY


def test_every_series_has_a_value_or_a_gap_at_every_place(samples):
    for comparison in (samples.article(), samples.matched(3), samples.failed()):
        for figure in data_of(page(samples, comparison)).values():
            for series in figure["series"]:
                assert len(series["x"]) == len(series["y"]) > 0
                ends = len(series["y"]) if series["kind"] in ("band", "whiskers") else 0
                assert len(series.get("high", [])) == ends


def test_the_library_of_the_figures_is_small_licensed_and_the_released_one():
    folder = Path(report.__file__).parent / "vendor" / "echarts"
    script = (folder / "echarts.min.js").read_bytes()
    readme = (folder / "README.md").read_text()

    assert len(script) <= 1_200_000
    assert hashlib.sha256(script).hexdigest() in readme
    assert b'version="6.1.0"' in script
    assert "6.1.0" in readme
    assert "Apache License" in (folder / "LICENSE").read_text()
    assert {"NOTICE", "LICENSE-d3"} <= {path.name for path in folder.iterdir()}


def test_the_losses_of_every_framework_are_drawn_the_reference_solid_the_other_dashed(samples):
    figure = figures_of_training.losses(samples.article())

    assert [series.name for series in figure.series] == ["tensorflow", "torch"]
    assert figure.series[0].dash == ()
    assert figure.series[1].dash != ()
    assert len(figure.series[1].y) == 500
    assert figure.y.log


def test_a_long_curve_keeps_its_extremes_and_its_ends():
    values = [1.0 + 0.001 * np.sin(i) for i in range(100_000)]
    values[54_321] = 99.0
    epochs, kept = figures.thinned(values)

    assert len(kept) <= figures.MOST_POINTS + 2
    assert (epochs[0], epochs[-1]) == (1, 100_000)
    assert kept[epochs.index(54_322)] == 99.0


def test_one_feature_is_drawn_as_a_line_out_to_the_prediction(samples):
    comparison = samples.article()
    fit = data_of(page(samples, comparison))["fit"]
    lines = [series for series in fit["series"] if series["kind"] == "line"]

    assert [series["name"] for series in lines] == ["tensorflow", "torch"]
    assert lines[0]["x"] == [-1, 0, 1, 2, 3, 4, 10]
    assert lines[1]["y"][-1] == pytest.approx(18.999998)


def test_several_features_are_drawn_as_predicted_against_true():
    truth = Truth(
        part="test", task="regression", seed=0, x=np.zeros((3, 2)), y=np.array([[1.0], [2.0], [3.0]]),
        predict=None, outputs={"a": np.array([[1.5], [2.0], [2.5]])}, predictions={}, classes=None,
        feature_names=("u", "v"), target_names=("price",), standardized=True,
    )  # fmt: skip
    figure = figures_of_outputs.learned(truth, ["a", "b"])

    assert not truth.is_line
    assert [series.name for series in figure.series] == ["perfect", "a"]
    assert figure.y.label == "predicted price"


def test_a_confusion_matrix_counts_true_by_predicted():
    truth = classes_truth(a=[[9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 9, 0]], b=np.eye(3)[[0, 1, 2, 2]])
    a, b = confusions(truth, ["a", "b"])

    assert a.counts == ((1, 0, 0), (0, 1, 0), (0, 1, 1))
    assert (a.right, b.right, a.total) == (3, 4, 4)
    assert a.shares[2] == (0.0, 0.5, 0.5)
    assert disagreements(truth) == 1


def test_classes_go_by_their_own_names_where_the_data_has_them():
    truth = classes_truth(a=np.eye(3)[[0, 1, 2, 2]])
    named = dataclasses.replace(truth, class_names=("setosa", "versicolor", "virginica"))

    assert confusions(truth, ["a"])[0].classes == ("0", "1", "2")
    assert confusions(named, ["a"])[0].classes == named.class_names


def test_one_logit_stands_for_two_classes():
    assert predicted_classes(np.array([[-1.0], [0.1]])).tolist() == [0, 1]


def test_classes_are_shown_as_tables(samples):
    comparison = samples.matched()
    truth = classes_truth(tensorflow=np.eye(3)[[0, 1, 2, 1]], torch=np.eye(3)[[0, 1, 2, 2]])
    text = html_of(page_of(comparison, truth))

    assert "The sides put 1 of 4 test samples into different classes." in text
    assert text.count('class="matrix') == 2


def test_a_page_without_any_result_still_tells_why(samples):
    comparison = samples.compared(samples.experiment())
    text = page(samples, comparison)

    assert "no verdict yet" in text
    assert "tensorflow has no result for 1 seed." in text


def test_the_page_says_how_the_code_is_mended_in_either_framework(samples):
    text = page(samples, samples.article())

    assert "nn.MSELoss(reduction=&#34;mean&#34;)" in text
    assert "keras.losses.MeanSquaredError(reduction=&#34;sum&#34;)" in text
    assert "like tensorflow:" not in page(samples, samples.matched())
