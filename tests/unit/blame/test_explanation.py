"""Explanations of a line trained for real in NumPy: what was planted is what is found."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.blame.plan import Extent, plan
from likewise.producer.report.explanation import ExplanationDocument

SUM = {"loss.reduction": "sum"}
SEEDS = (0, 1)
TWO = {"loss.reduction": "sum", "optimizer.learning_rate": 0.002}
EVEN = {"training": {"epochs": 60}}
"""One batch of all, so that a sum is six times a mean. The bench trains on all at once anyway."""


def shares(explanation):
    return {one.path: one.share for one in explanation.contributions}


def test_the_one_setting_that_differs_explains_all_and_the_sentence_says_what_it_does(bench):
    found = bench.explain(bench.plan(SUM, **EVEN))

    assert found.sentence == (
        "loss.reduction (sum against mean) explains 100 % of the difference: with 6 points a sum is a "
        "learning rate 6 times higher."
    )
    assert shares(found) == {"loss.reduction": pytest.approx(1.0, abs=1e-12)}
    assert found.unexplained_share == pytest.approx(0.0, abs=1e-12)
    assert found.contributions[0].interval == pytest.approx((1.0, 1.0))
    assert (found.measure, found.mixtures) == ("predictions", 2)


def test_the_fix_is_told_for_the_code_of_either_framework(bench):
    (one,) = bench.explain(bench.plan(SUM)).contributions

    assert one.fixes["torch"].endswith('loss_fn = nn.MSELoss(reduction="mean")')
    assert one.fixes["tensorflow"].endswith('loss_fn = keras.losses.MeanSquaredError(reduction="sum")')


def test_the_document_has_the_public_paths(bench):
    document = ExplanationDocument([bench.explain(bench.plan(SUM))]).to_json()

    assert {
        "experiment_id", "measure", "gap", "contributions", "unexplained_share", "sentence",
    } <= set(document)  # fmt: skip
    (one,) = document["contributions"]
    assert (one["path"], one["tensorflow"], one["torch"]) == ("loss.reduction", "mean", "sum")
    assert one["interval"] == pytest.approx([1.0, 1.0])


def test_two_settings_share_the_gap_and_add_up(bench):
    found = bench.explain(bench.plan({"loss.reduction": "sum", "optimizer.momentum": 0.3}))

    assert found.mixtures == 4
    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)
    assert shares(found)["loss.reduction"] > shares(found)["optimizer.momentum"] > 0
    assert found.sentence.startswith("loss.reduction (sum against mean) explains ")
    assert ", optimizer.momentum (0.3 against 0.0) " in found.sentence
    assert ": with 6 points" not in found.sentence  # it would read as the cause of the last one named


def test_two_settings_that_nearly_cancel_are_told_together_and_not_as_hundreds_of_per_cent(bench):
    """A fifth of the rate and six times the gradient: switching either alone widens the gap."""
    found = bench.explain(bench.plan(TWO))

    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)
    assert list(shares(found)) == ["loss.reduction + optimizer.learning_rate"]
    assert all(list(one.shares) == list(shares(found)) for one in found.measures)
    assert found.sentence.startswith(
        "loss.reduction (sum against mean) and optimizer.learning_rate (0.002 against 0.01) nearly cancel: "
    )
    assert "together they explain 100 % of the difference" in found.sentence
    assert found.contributions[0].cause.endswith("; the larger one makes every step 5 times as large")


def test_a_sum_at_another_rate_is_a_mean_at_a_rate_that_is_blamed_alone(bench):
    """Batches of one size make a sum six times a mean: what differs is the rate, 0.012 in those words."""
    found = bench.explain(bench.plan(TWO, **EVEN))

    assert shares(found)["optimizer.learning_rate"] == pytest.approx(1.0)
    assert shares(found)["loss.reduction"] == pytest.approx(0.0, abs=1e-9)
    assert found.contributions[0].values["torch"] == pytest.approx(0.012)
    assert found.contributions[0].fixes == {}, "torch's own code has 0.002"
    assert found.notes[0].startswith("Written differently, computes the same: loss.reduction (")


def test_the_measures_agree_on_one_setting_and_each_is_told(bench):
    found = bench.explain(bench.plan(SUM))

    assert [one.measure for one in found.measures] == ["predictions", "outputs", "loss", "train mae"]
    assert all(one.shares["loss.reduction"] == pytest.approx(1.0) for one in found.measures)


def test_the_loss_is_measured_alike_although_one_minimises_a_sum(bench):
    """Else the sum's own scale would be the gap, and no switching of the rate could close it."""
    same = {"loss.reduction": "sum", "optimizer.learning_rate": 0.01 / 6}
    found = bench.explain(bench.plan(same, **EVEN))

    assert found.sentence.startswith("Nothing is left to explain: 1 setting differs")
    assert next(one.gap for one in found.measures if one.measure == "loss") < 1e-12


def test_without_predictions_the_outputs_are_the_measure(bench):
    found = bench.explain(
        bench.plan(SUM), spoil=lambda _, seed: seed.model_copy(update={"predictions": None})
    )

    assert found.measure == "outputs"


def test_a_framework_that_does_something_else_stays_unexplained(bench):
    """The planted fault is in no setting: torch's predictions are off by 0.05 whatever is switched."""

    def off(run, seed):
        if run.framework != "torch":
            return seed
        moved = bench.store.get(seed.predictions) + 0.05
        return seed.model_copy(update={"predictions": bench.store.put(moved)})

    found = bench.explain(bench.plan(SUM), spoil=off)

    assert found.unexplained_share > 0.02
    assert "stays unexplained" in found.sentence
    assert shares(found)["loss.reduction"] + found.unexplained_share == pytest.approx(1.0)


def test_no_setting_and_no_gap_leave_nothing_to_explain(bench):
    found = bench.explain(bench.plan({}))

    assert found.sentence.startswith("Nothing is left to explain: no setting differs")
    assert found.contributions == ()
    assert found.unexplained_share is None


def test_no_setting_and_yet_a_gap_is_said_and_not_blamed_on_anything(bench):
    def off(run, seed):
        moved = bench.store.get(seed.predictions) + (run.framework == "torch")
        return seed.model_copy(update={"predictions": bench.store.put(moved)})

    found = bench.explain(bench.plan({}), spoil=off)

    assert found.sentence.startswith("No setting differs between tensorflow and torch, and yet they end")
    assert found.unexplained_share == 1.0


def test_own_starts_are_chance_and_the_mixtures_start_alike(bench):
    planned = bench.plan(SUM, initial_weights="framework")

    assert planned.own_start
    assert len(planned.runs()) == 5
    found = bench.explain(planned)
    assert any(note.startswith("Each side draws its own initial weights") for note in found.notes)
    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)


def test_own_starts_that_widen_the_gap_beyond_chance_get_their_share(bench):
    small = {"optimizer.learning_rate": 0.0101}
    found = bench.explain(bench.plan(small, initial_weights="framework"))

    assert found.contributions[0].path == "initial_weights"
    assert found.contributions[0].share > 0.9
    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)


def test_where_only_the_starts_differ_they_are_what_is_switched(bench):
    found = bench.explain(bench.plan({}, initial_weights="framework"))

    assert shares(found) == {"initial_weights": pytest.approx(1.0)}


def test_a_divergence_is_explained_by_which_switches_make_it_train(bench):
    steep = {"optimizer.learning_rate": 0.5, "optimizer.nesterov": False, "training.epochs": 61}
    found = bench.explain(bench.plan(steep))

    assert found.measure == "divergence"
    assert found.sentence.startswith(
        "optimizer.learning_rate (0.5 against 0.01) explains 100 % of whether the training diverges"
    )
    assert shares(found) == {"optimizer.learning_rate": 1.0, "training.epochs": 0.0}


def test_a_mixture_that_diverges_is_left_out_and_said(bench):
    """A sum at 0.05 diverges: the reduction can only be switched after the rate."""
    overrides = {"loss.reduction": "mean", "optimizer.learning_rate": 0.05}
    declared = {"loss": {"type": "mse", "reduction": "sum"}}
    found = bench.explain(bench.plan(overrides, **declared))

    assert None not in shares(found).values()
    assert any("1 mixture of 4 could not be trained" in note for note in found.notes)
    assert any("diverged" in note and "left out" in note for note in found.notes)
    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)


def test_many_settings_are_tried_at_both_ends_and_said_so(bench):
    overrides = {**TWO, "optimizer.momentum": 0.1}
    found = bench.explain(bench.plan(overrides, most_combined=2))

    assert found.mixtures == 8
    assert any("not every combination is trained" in note for note in found.notes)
    assert sum(shares(found).values()) + found.unexplained_share == pytest.approx(1.0)


def test_one_seed_gives_shares_without_an_interval(bench):
    found = bench.explain(bench.plan(SUM, seeds=(0,)))

    assert found.contributions[0].interval is None
    assert any("--seeds 5" in note for note in found.notes)


def test_a_reference_that_failed_leaves_nothing_to_explain_with(bench):
    def lost(run, seed):
        failure = {"reason": "worker_lost", "message": "gone"}
        update = {
            "status": "failed",
            "failure": type(seed).model_fields["failure"].annotation.__args__[0](**failure),
        }
        return seed.model_copy(update=update) if run.framework == "tensorflow" else seed

    found = bench.explain(bench.plan(SUM), spoil=lost)

    assert found.measure is None
    assert "can be compared" in found.sentence


def test_what_is_the_same_training_is_trained_once(bench):
    bench.explain(bench.plan(TWO))

    assert len(bench.trained) == 1 + 4
    assert len({run.job.model_dump_json() + run.framework for run in bench.trained}) == 5


def test_given_weights_that_are_the_others_in_another_order_are_recognised(bench):
    kernel = [[1.0, 2.0, 3.0]]
    layers = [{"type": "dense", "units": 3}, {"type": "dense", "units": 1}]
    start = {"type": "values", "weights": {"layers.0.kernel": kernel}}
    planned = bench.plan({}, model={"layers": layers}, initial_weights=start)
    mine, theirs = planned.ends
    given = [{"layers.0.kernel": bench.store.put(np.array(rows))} for rows in (kernel, [[2.0, 1.0, 3.0]])]
    weights = {"type": "values", "weights": {"layers.0.kernel": [[2.0, 1.0, 3.0]]}}
    other = theirs.job.model_validate(theirs.job.model_dump(mode="json") | {"initial_weights": weights})
    ends = (
        mine.model_copy(update={"given_weights": given[0]}),
        theirs.model_copy(update={"given_weights": given[1], "job": other}),
    )
    (one,) = bench.explain(plan(*ends, Extent(seeds=SEEDS, most_combined=4))).contributions

    assert one.path == "initial_weights.weights.layers.0.kernel"
    assert one.cause.startswith(
        "layers.0.kernel of torch is tensorflow's with its 3 gates in the order 2, 1, 3"
    )


def fixed_in_torch(bench, name):
    head = {"type": "dense", "units": 1} | ({"name": name} if name else {})
    model = {"layers": [head]}
    layers = [{"type": "flatten"}, {**head, "use_bias": False}]
    found = bench.explain(bench.plan({"model.layers": layers}, model=model))
    (bias,) = [one for one in found.contributions if one.path == "model.layers.0.use_bias"]
    return bias.fixes.get("torch")


def test_a_fix_behind_a_layer_that_only_one_side_has_is_of_the_layer_by_its_name(bench):
    told = fixed_in_torch(bench, "head")
    assert told is not None
    assert told.splitlines()[0] == "# head: use_bias from false to true, as in tensorflow"
    assert "head = nn.Linear(1, 1)" in told


def test_a_fix_of_a_layer_without_a_name_is_of_its_place_in_that_sides_own_list(bench):
    told = fixed_in_torch(bench, None)
    assert told is not None
    assert told.splitlines()[0] == "# layers.1: use_bias from false to true, as in tensorflow"
    assert "layer_1 = nn.Linear(1, 1)" in told
