"""Agreement that means nothing is told as such: diverged trainings, and those that a constant beats."""

from __future__ import annotations

import io

import numpy as np
import pytest

from likewise.producer.compare import Background, compare
from likewise.producer.job.resolve import resolve
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import write_terminal
from likewise.producer.verdict.usefulness import usefulness_of
from likewise.producer.verdict.usefulness_notes import notes
from likewise.shared.results.run_result import Hashes
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Dataset, Samples
from tests.listed import Seed

RNG = np.random.default_rng(5)
X = RNG.normal(size=(60, 2))
CLASSES = (RNG.random(60) < 0.2).astype(np.int64)


@pytest.fixture
def held(samples):
    """Return a comparison of two sides' outputs and losses, with the targets known."""

    def held(outputs, losses, *more, targets, task="regression", **declared):
        y = samples.STORE.put(targets)
        data = Samples(x=samples.STORE.put(X[: len(targets)]), y=y)
        job = samples.experiment(predict=None, **declared)
        jobs = resolve(job)
        results = [
            samples.result(side, [seed(samples, number, *end) for number, end in enumerate(ends)])
            for side, ends in zip(jobs, map(zip, outputs, losses, *more), strict=True)
        ]
        background = Background(
            data_shapes=dict.fromkeys(jobs, X[: len(targets)].shape),
            datasets=dict.fromkeys(jobs, Dataset(task=task, train=data, test=data, classes=None)),
        )
        return compare(samples.record(job), jobs, results, samples.STORE.get, background=background)

    return held


def seed(samples, number, outputs, losses, weight=1.0):
    return Seed(
        seed=number,
        epochs=len(losses),
        losses=tuple(losses),
        final_loss=losses[-1],
        outputs=samples.STORE.put(np.asarray(outputs, np.float32)),
        outputs_of="test",
        weights={"layers.0.kernel": samples.STORE.put(np.full((1, 1), weight, np.float32))},
        hashes=Hashes(initial_weights="a" * 64, batches="b" * 64),
    )


def codes(comparison):
    return [note.code for note in comparison.notes]


def alike(outputs, losses):
    """The same outputs and losses in both sides, of one seed."""
    return [[outputs]] * 2, [[losses]] * 2


LINE = X @ [[1.5], [-2.0]]
CROSS = {"type": "binary_crossentropy"}


def test_a_good_fit_has_no_notes(held):
    found = held(*alike(LINE + 0.01, [6.0, 0.5, 0.01]), targets=LINE)

    assert (found.verdict, codes(found)) == ("agree", [])


def test_trainings_that_all_diverged_are_no_agreement(held):
    found = held(*alike(LINE * 1e15, [6.0, 4e12, 4e30]), targets=LINE)

    assert (found.verdict, codes(found)) == ("inconclusive", ["diverged"])
    assert "tensorflow and torch diverged, to a loss of 4e+30" in found.notes[0].text
    assert found.reasons == ("Every training diverged, so there is nothing to compare.",)


def test_diverged_trainings_say_nothing_of_settings_that_differ_either(held):
    ends = [[LINE * 1e15], [LINE * 3e15]], [[[6.0, 4e30]], [[6.0, 9e30]]]
    found = held(*ends, targets=LINE, overrides={"torch": {"optimizer.momentum": 0.5}})

    assert (found.verdict, codes(found)) == ("inconclusive", ["diverged"])


def test_a_loss_out_of_all_scale_from_the_first_epoch_on_has_diverged(held):
    found = held(*alike(LINE * 1e15, [7e30, 6e30, 5e30]), targets=LINE)

    assert (found.verdict, codes(found)) == ("inconclusive", ["diverged"])


def test_a_high_loss_on_its_way_down_has_not_diverged(held):
    found = held(*alike(LINE * 100, [4e8, 4e6, 4e5]), targets=LINE)

    assert (found.verdict, codes(found)) == ("agree", ["worse_than_mean"])


@pytest.mark.parametrize("reduction", ["sum", "sum_of_means"])
def test_a_sum_over_many_samples_is_no_divergence(held, reduction):
    found = held(
        *alike(LINE * 0.9, [9e6, 9e5]), targets=LINE * 10, loss={"type": "mse", "reduction": reduction}
    )

    assert "diverged" not in codes(found)


def test_one_side_that_diverged_differs_though_it_finished(held):
    found = held([[LINE], [LINE * 1e15]], [[[6.0, 0.01]], [[6.0, 4e30]]], targets=LINE)

    assert (found.verdict, codes(found)) == ("differ", ["diverged"])
    assert found.notes[0].text.startswith("torch diverged, to a loss of 4e+30")
    assert not any("report it" in reason for reason in found.reasons)


def test_a_seed_that_diverged_everywhere_leaves_no_agreement(held):
    fine, bad = (LINE, [6.0, 0.01]), (LINE * 1e15, [6.0, 4e30])
    outputs, losses = zip(fine, bad, strict=True)
    found = held([list(outputs)] * 2, [list(losses)] * 2, targets=LINE, seeds=2)

    assert (found.verdict, codes(found)) == ("inconclusive", ["diverged"])
    assert "diverged on 1 of 2 seeds" in found.notes[0].text


def test_worse_than_the_mean_is_told_with_both_numbers(held):
    found = held(*alike(LINE + 40, [1600.0, 1590.0]), targets=LINE)

    assert (found.verdict, codes(found)) == ("agree", ["worse_than_mean"])
    assert "r2 of the test samples is −354" in found.notes[0].text


@pytest.mark.parametrize(("loss", "last"), [("mse", 2.5e9), ("log_cosh", 5e4), ("quantile", 2.5e4)])
def test_a_target_that_is_not_scaled_is_told_as_the_reason(held, loss, last):
    found = held(*alike(LINE, [last, last]), targets=LINE * 1000 + 50_000, loss=loss)

    assert codes(found) == ["worse_than_mean", "target_not_scaled"]
    assert "its mean is 50," in found.notes[1].text or "its mean is 49," in found.notes[1].text


def test_a_large_target_that_is_learnt_needs_no_word(held):
    found = held(*alike(LINE * 1000 + 50_001, [2.5e9, 1.0]), targets=LINE * 1000 + 50_000)

    assert codes(found) == []


def test_a_median_is_no_worse_than_the_mean_for_who_minimises_distances(held):
    skewed = np.exp(LINE / 2)
    found = held(*alike(np.full_like(skewed, np.median(skewed) * 1.3), [9.0, 1.0]), targets=skewed)
    by_distance = held(
        *alike(skewed * 0.5, [9.0, 1.0]),
        targets=skewed,
        loss="mae",
    )

    assert codes(found) == ["worse_than_mean"]
    assert codes(by_distance) == []


def test_always_saying_the_commonest_class_is_told(held):
    never = np.full((60, 1), -3.0)
    found = held(*alike(never, [0.7, 0.5]), targets=CLASSES[:, None], task="binary", loss=CROSS)

    assert (found.verdict, codes(found)) == ("agree", ["worse_than_commonest"])
    assert "commonest class" in found.notes[0].text


def test_a_classifier_that_beats_the_commonest_class_has_no_notes(held):
    good = CLASSES[:, None] * 4.0 - 2.0
    found = held(*alike(good, [0.7, 0.1]), targets=CLASSES[:, None], task="binary", loss=CROSS)

    assert codes(found) == []


def test_probabilities_and_many_classes_are_scored_too(held):
    probabilities = np.tile([0.6, 0.3, 0.1], (60, 1))
    found = held(
        *alike(probabilities, [1.1, 0.9]),
        targets=np.arange(60) % 3,
        task="multiclass",
        loss={"type": "categorical_crossentropy", "from_logits": False},
    )

    assert codes(found) == ["worse_than_commonest"]


def test_the_notes_stand_right_under_the_verdict_in_every_format(held):
    found = held(*alike(LINE + 40, [1600.0, 1590.0]), targets=LINE)
    text = found.notes[0].text
    document = ComparisonDocument(comparison=found)

    stream = io.StringIO()
    write_terminal(document, stream)

    assert stream.getvalue().splitlines()[1] == f"! {text}"
    assert document.sentences[0] == text
    assert document.to_json()["notes"][0] == {"code": "worse_than_mean", "text": text}
    assert document.page().notes == [text]


def test_weights_that_grew_without_bound_under_a_bounded_loss_have_diverged(held):
    sure = np.eye(3)[np.arange(60) % 3]
    loss = {"type": "categorical_crossentropy", "from_logits": False}
    ends = [[[sure], [[1.1, 0.9]], [weight]] for weight in (1e29, 1e29)]
    outputs, losses, weights = zip(*ends, strict=True)
    found = held(outputs, losses, weights, targets=np.arange(60) % 3, task="multiclass", loss=loss)

    assert (found.verdict, codes(found)) == ("inconclusive", ["diverged"])


def test_tests_over_seeds_that_all_diverged_say_nothing(held):
    outputs = [[LINE * 1e15 * (1 + seed / 10) for seed in range(4)]] * 2
    losses = [[[6.0, 4e30 + seed * 1e29] for seed in range(4)]] * 2
    found = held(outputs, losses, targets=LINE, seeds=4)

    assert (found.verdict, found.equivalence) == ("inconclusive", ())
    assert found.reasons == ("Every training diverged, so there is nothing to compare.",)


def test_counts_are_not_told_to_be_scaled(held):
    counts = np.full((60, 1), 150.0) + np.arange(60)[:, None]
    found = held(*alike(np.zeros((60, 1)), [-5.0, -6.0]), targets=counts, loss="poisson")

    assert codes(found) == ["worse_than_mean"]


TWO_OUTPUTS = {
    "model": {
        "layers": [
            {"type": "dense", "units": 2, "name": "kind", "inputs": ["input"]},
            {"type": "dense", "units": 1, "name": "size", "inputs": ["input"]},
        ],
        "outputs": ["kind", "size"],
    },
    "loss": {"kind": "categorical_crossentropy", "size": "mse"},
    "data": {"type": "inline", "x": [0.0, 1.0], "y": {"kind": [0, 1], "size": [0.0, 1.0]}},
}


@pytest.mark.parametrize(
    ("spoiled", "said"), [("kind", "always saying the commonest class"), ("size", "the mean")]
)
def test_each_of_several_outputs_is_held_against_a_constant_answer(samples, spoiled, said):
    kinds = (X[:, :1] > 0).astype(np.float64)
    good = {"kind": np.concatenate([1 - kinds, kinds], axis=1), "size": LINE + 0.01}
    bad = {"kind": np.tile([0.5, 0.2], (60, 1)), "size": np.full((60, 1), LINE.mean())}
    outputs = np.concatenate([(bad if name == spoiled else good)[name] for name in good], axis=1)
    table = SeedTable.of(
        samples.result("torch", [seed(samples, 0, outputs, [3.0, 1.0])]), [0], arrays=samples.STORE.get
    )
    table.output_columns = {"kind": (0, 2), "size": (2, 3)}
    part = Samples(x=samples.STORE.put(X), y=samples.STORE.put(np.concatenate([kinds, LINE], axis=1)))
    job = resolve(samples.experiment(predict=None, **TWO_OUTPUTS))["torch"]

    found = usefulness_of(table, job, Dataset(task="several", train=part, test=part), samples.STORE.get)
    (note,) = notes({"torch": found})

    assert found.score is not None
    assert found.score.output == spoiled
    assert note.text.startswith(f"Of the output {spoiled}, torch is no better than")
    assert said in note.text
