"""The verdict, from hand-made results; each planted difference must be seen."""

from __future__ import annotations

import json

import pytest

from likewise.producer.report.comparison import ComparisonDocument

FAILURES_OF_THE_JOB = ["diverged", "bad_shape", "bad_weights", "unsupported"]
FAILURES_OF_THE_SURROUNDINGS = [
    "out_of_memory", "data_damaged", "data_unreachable", "cancelled", "hung", "time_limit",
    "program_refused", "program_failed",
    "worker_lost", "invalid", "internal", "too_large",
]  # fmt: skip


def both(samples, theirs, **declared):
    job = samples.experiment(**declared)
    return samples.compared(
        job, samples.result("tensorflow", [samples.train()]), samples.result("torch", [theirs])
    )


def test_equal_numbers_agree(samples):
    found = samples.matched()

    assert found.verdict == "agree"
    assert found.reasons == (
        "tensorflow and torch ended with bit for bit the same predictions, outputs and weights, "
        "and the same losses.",
    )
    assert all(gap.relative == 0 for gap in found.gaps[0].largest)


def test_a_gap_within_the_tolerance_agrees_and_is_told(samples):
    found = both(samples, samples.train(nudge=1e-6))

    assert found.verdict == "agree"
    assert "within the tolerance of 1e-05: the largest is" in found.reasons[0]


def test_a_gap_above_the_float32_tolerance_with_nothing_declared_is_inconclusive(samples):
    found = both(samples, samples.train(nudge=1e-4))

    assert found.verdict == "inconclusive"
    assert "--set precision=float64" in found.reasons[-1]


def test_the_same_gap_in_float64_is_a_difference(samples):
    job = samples.experiment(precision="float64")
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.train(dtype="float64")]),
        samples.result("torch", [samples.train(dtype="float64", nudge=1e-8)]),
    )

    assert found.verdict == "differ"
    assert found.tolerance.relative == 1e-9
    assert "Please report it." in found.reasons[-1]


def test_other_initial_weights_make_a_gap_a_difference(samples):
    found = both(samples, samples.train(kernel=0.5), initial_weights={"type": "framework"})

    assert found.verdict == "differ"
    assert "did not start from the same weights: initial_weights is framework" in found.reasons[0]


def test_other_batches_make_a_gap_a_difference(samples):
    theirs = samples.train(nudge=1e-3)
    hashes = theirs.hashes.model_copy(update={"batches": "other"})
    found = both(samples, theirs.model_copy(update={"hashes": hashes}))

    assert found.verdict == "differ"
    assert "did not train on the same batches" in found.reasons[0]


def test_a_setting_that_differs_without_effect_still_agrees(samples):
    found = both(samples, samples.train(), overrides={"torch": {"training.epoch_loss": "per_batch"}})

    assert found.verdict == "agree"
    assert found.reasons[0].startswith("This is not like for like: training.epoch_loss is per_sample in")
    assert "The numbers agree all the same." in found.reasons


def test_a_setting_that_does_nothing_in_float64_is_told_without_an_effect(samples):
    stopping = {"monitor": "loss", "patience": 100, "min_delta": 0.0, "restore_best_weights": False}
    job = samples.experiment(precision="float64", overrides={"torch": {"training.early_stopping": stopping}})
    trained = samples.train(dtype="float64")
    found = samples.compared(job, samples.result("tensorflow", [trained]), samples.result("torch", [trained]))

    assert found.verdict == "agree"
    assert found.reasons[0].startswith("Declared otherwise, and the same in float64: training.early_stopping")
    assert not any("not like for like" in reason or "all the same" in reason for reason in found.reasons)


def test_models_of_other_numbers_of_layers_are_told_by_their_layers(samples):
    deeper = [{"type": "dense", "units": 3, "activation": "tanh"}, {"type": "dense", "units": 1}]
    found = both(samples, samples.train(nudge=1e-2), overrides={"torch": {"model.layers": deeper}})

    assert found.reasons[0].startswith(
        'This is not like for like: model.layers is ["dense"] in tensorflow and ["dense", "dense"] in torch; '
        "the weights do not have the same shapes"
    )
    assert found.reasons[1].startswith("They do not train the same model; ")
    assert not any("model.layers.0" in reason for reason in found.reasons)


HARD = {"type": "hard_sigmoid", "slope": 0.2}


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ("sigmoid", HARD, "is sigmoid in tensorflow and hard_sigmoid (slope 0.2) in torch"),
        ("leaky_relu", "relu", "is leaky_relu (negative_slope 0.2) in tensorflow and relu in torch"),
        ("relu", "tanh", "is relu in tensorflow and tanh in torch"),
    ],
)
def test_a_function_of_another_kind_is_told_with_its_numbers(samples, mine, theirs, said):
    layers = [{"type": "dense", "units": 1, "activation": mine}]
    override = {"model.layers.0.activation": theirs}
    job = samples.experiment(model={"layers": layers}, overrides={"torch": override})
    results = (
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(nudge=1)]),
    )
    found = samples.compared(job, *results)

    assert said in found.reasons[0]
    assert not any("more setting" in reason for reason in found.reasons)


def test_settings_that_come_with_a_kind_are_counted_where_they_are_many(samples):
    found = both(samples, samples.train(nudge=1), overrides={"torch": {"optimizer": {"type": "adam"}}})

    assert found.reasons[0].startswith(
        "This is not like for like: optimizer.type is sgd in tensorflow and adam in torch; "
    )
    assert any(
        reason.endswith("more settings differ; the table of settings has them all.")
        for reason in found.reasons
    )


def test_sides_that_are_only_run_otherwise_are_like_for_like(samples):
    found = both(samples, samples.train(), overrides={"torch": {"execution": "eager"}})

    assert found.verdict == "agree"
    assert found.reasons[0].startswith("Like for like but for how it is run: execution is auto in tensorflow")
    assert "The numbers agree all the same." not in found.reasons


def told_in_other_losses(samples, **trained):
    theirs = samples.train(**trained)
    losses = tuple(1.25 * loss for loss in theirs.losses)
    return theirs.model_copy(update={"losses": losses, "final_loss": losses[-1]})


def test_other_losses_of_the_same_bits_agree_and_what_is_reported_is_told(samples):
    found = both(
        samples, told_in_other_losses(samples), overrides={"torch": {"training.epoch_loss": "per_batch"}}
    )

    assert found.verdict == "agree"
    assert [note.code for note in found.notes] == ["reported_differently"]
    assert (
        "the same bits were trained, and the losses of tensorflow and torch are up to 0.25 of the first"
        in (found.notes[0].text)
    )


def test_other_losses_and_other_weights_differ(samples):
    found = both(
        samples,
        told_in_other_losses(samples, nudge=1e-4),
        overrides={"torch": {"training.epoch_loss": "per_batch"}},
    )

    assert (found.verdict, found.notes) == ("differ", ())


def test_other_losses_of_weights_that_never_moved_say_nothing_of_the_loss(samples):
    still = samples.train(epochs=1)
    still = still.model_copy(update={"epochs": 3, "losses": still.losses * 3})
    theirs = still.model_copy(update={"losses": tuple(6 * loss for loss in still.losses)})
    job = samples.experiment(overrides={"torch": {"loss.reduction": "sum"}})
    found = samples.compared(job, samples.result("tensorflow", [still]), samples.result("torch", [theirs]))

    assert (found.verdict, found.notes) == ("differ", ())


@pytest.mark.parametrize(("nudge", "verdict"), [(0.0, "agree"), (1e-7, "differ")])
def test_in_float64_rounding_beside_other_losses_is_no_difference(samples, nudge, verdict):
    job = samples.experiment(precision="float64", overrides={"torch": {"training.epoch_loss": "per_batch"}})
    theirs = told_in_other_losses(samples, dtype="float64", nudge=nudge + 1e-13)
    found = samples.compared(
        job, samples.result("tensorflow", [samples.train(dtype="float64")]), samples.result("torch", [theirs])
    )

    assert found.verdict == verdict


def test_the_article_is_not_like_for_like_and_says_how_much_a_sum_weighs(samples):
    found = samples.article()

    assert found.verdict == "differ"
    assert found.reasons[0] == (
        "This is not like for like: loss.reduction is mean in tensorflow and sum in torch; with 6 samples "
        "a sum makes every step 6 times as large as a mean, as if the learning rate were 0.06."
    )
    assert found.reasons[1].startswith("They did not start from the same weights")
    assert "18.982839584350586" in found.reasons[2]
    assert "18.999998092651367" in found.reasons[2]
    assert [(one.path, one.values) for one in found.setting_differences] == [
        ("loss.reduction", {"tensorflow": "mean", "torch": "sum"})
    ]


def test_a_sum_of_batches_counts_the_batch_and_not_the_data(samples):
    found = both(
        samples,
        samples.train(reduction="sum"),
        overrides={"torch": {"loss.reduction": "sum"}},
        training={"epochs": 500, "batch_size": 2},
    )

    assert "with 2 samples a batch a sum makes every step 2 times as large" in found.reasons[0]
    assert "learning rate were 0.02." in found.reasons[0]


def test_a_sum_under_adam_is_not_told_as_a_learning_rate(samples):
    found = both(
        samples,
        samples.train(reduction="sum"),
        overrides={"torch": {"loss.reduction": "sum"}},
        optimizer={"type": "adam"},
    )

    assert "adam divides most of that out again" in found.reasons[0]
    assert "as if the learning rate" not in found.reasons[0]


def test_an_unknown_number_of_samples_is_not_guessed(samples):
    job = samples.experiment(overrides={"torch": {"loss.reduction": "sum"}})
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(reduction="sum")]),
        samples=None,
    )

    assert "6" not in found.reasons[0]


@pytest.mark.parametrize("reason", FAILURES_OF_THE_JOB)
def test_a_training_that_fails_on_the_job_alone_is_a_difference(samples, reason):
    found = both(samples, samples.failed_seed(reason=reason))

    assert found.verdict == "differ"
    assert found.reasons[0].startswith("torch ")
    assert "at epoch 12" in found.reasons[0]
    assert found.failed


@pytest.mark.parametrize("reason", FAILURES_OF_THE_SURROUNDINGS)
def test_a_training_that_its_surroundings_end_decides_nothing(samples, reason):
    assert both(samples, samples.failed_seed(reason=reason)).verdict == "inconclusive"


def test_a_run_without_a_result_decides_nothing(samples):
    found = samples.compared(samples.experiment(), samples.result("tensorflow", [samples.train()]))

    assert found.verdict == "inconclusive"
    assert found.runs[1].seeds[0].status == "missing"
    assert "torch has no result for 1 seed." in found.reasons


def test_both_failing_decides_nothing(samples):
    job = samples.experiment()
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.failed_seed()]),
        samples.result("torch", [samples.failed_seed()]),
    )

    assert found.verdict == "inconclusive"


def test_a_whole_run_that_fails_fails_every_seed(samples):
    failure = samples.failed_seed(reason="unsupported", epoch=None).failure
    job = samples.experiment(seeds=2)
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.train(seed=0), samples.train(seed=1)]),
        samples.result("torch", [], failure),
    )

    assert [seed.status for seed in found.runs[1].seeds] == ["failed", "failed"]
    assert found.verdict == "differ"


def test_one_seed_outside_the_tolerance_is_enough(samples):
    job = samples.experiment(seeds=[3, 7])
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.train(seed=3), samples.train(seed=7)]),
        samples.result("torch", [samples.train(seed=3), samples.train(seed=7, nudge=1e-3)]),
    )

    assert found.verdict == "inconclusive"
    assert (found.gaps[0].seeds, found.gaps[0].seeds_within_tolerance) == (2, 1)
    assert "on 1 of 2 seeds" in found.reasons[0]
    assert "seed 7" in found.reasons[0]


def test_seeds_are_matched_by_number_and_not_by_place(samples):
    job = samples.experiment(seeds=2)
    found = samples.compared(
        job,
        samples.result("tensorflow", [samples.train(seed=0), samples.train(seed=1)]),
        samples.result("torch", [samples.train(seed=1), samples.train(seed=0)]),
    )

    assert found.verdict == "agree"


def test_trainings_of_other_length_do_not_agree_even_with_equal_numbers(samples):
    theirs = samples.train().model_copy(update={"epochs": 499})

    assert both(samples, theirs).verdict == "inconclusive"


def test_weights_of_another_shape_cannot_be_compared_and_differ(samples):
    theirs = samples.train()
    bias = theirs.weights["layers.0.bias"]
    found = both(samples, theirs.model_copy(update={"weights": {"layers.0.bias": bias}}))

    assert found.verdict == "inconclusive"
    assert any("only one of them has layers.0.kernel" in reason for reason in found.reasons)


def test_any_number_of_frameworks_is_compared_with_the_first(samples):
    names = ("jax", "tensorflow", "torch")
    job = samples.experiment(frameworks=names)
    found = samples.compared(
        job,
        samples.result("jax", [samples.train()]),
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(nudge=0.1)]),
    )

    assert found.sides == names
    assert [(one.reference, one.other) for one in found.gaps] == [("jax", "tensorflow"), ("jax", "torch")]
    assert found.verdict == "inconclusive"


def test_one_framework_alone_has_nothing_to_agree_with(samples):
    job = samples.experiment(frameworks=("torch",))
    found = samples.compared(job, samples.result("torch", [samples.train()]))

    assert found.verdict == "inconclusive"
    alone = "Only torch was asked for, so there is nothing to compare it with."
    assert found.reasons == (alone,)
    failed = samples.compared(job, samples.result("torch", [samples.failed_seed()]))
    assert failed.reasons == (failed.reasons[0], alone)
    assert failed.reasons[0].startswith("torch ")


def test_the_document_has_every_public_path(samples):
    document = ComparisonDocument(comparison=samples.article()).to_json()

    assert {
        "schema_version", "experiment_id", "name", "verdict", "reasons", "notes", "setting_differences",
        "first_divergence", "tolerance", "runs",
    } <= set(document)  # fmt: skip
    assert document["setting_differences"] == [
        {"path": "loss.reduction", "tensorflow": "mean", "torch": "sum"}
    ]
    seed = document["runs"]["torch"][0]
    assert {
        "seed", "status", "losses", "final_loss", "metrics", "predictions", "weights", "hashes", "timings",
        "peak_bytes", "execution", "device", "environment",
    } <= set(seed)  # fmt: skip
    assert set(seed["hashes"]) == {"initial_weights", "batches"}
    assert {"queue_s", "build_s", "compile_s", "train_s", "predict_s"} <= set(seed["timings"])
    assert seed["predictions"] == [[18.999998092651367]]
    assert seed["device"] == "cpu"
    assert len(seed["losses"]) == 500


def test_a_large_array_stays_a_reference_and_is_compared_all_the_same(samples):
    import numpy as np

    mine, theirs = np.zeros((101, 100), np.float32), np.zeros((101, 100), np.float32)
    mine[:] = 1
    theirs[:] = 1
    theirs[70, 5] = 1.5
    job = samples.experiment()
    found = samples.compared(
        job,
        *(
            samples.result(name, [samples.train().model_copy(update={"outputs": samples.STORE.put(array)})])
            for name, array in (("tensorflow", mine), ("torch", theirs))
        ),
    )

    outputs = next(gap for gap in found.gaps[0].largest if gap.measure == "outputs")
    assert (outputs.relative, outputs.where) == (0.5, "row 71")
    assert set(ComparisonDocument(comparison=found).to_json()["runs"]["torch"][0]["outputs"]) == {
        "sha256",
        "shape",
        "dtype",
        "sha256_of",
    }


def test_the_text_is_json_without_nan_even_for_numbers_that_are_not_finite(samples):
    import numpy as np

    wild = samples.STORE.put(np.array([[np.nan], [np.inf]]))
    found = both(samples, samples.train().model_copy(update={"predictions": wild}))

    text = json.dumps(ComparisonDocument(comparison=found).to_json())
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert document["runs"]["torch"][0]["predictions"] == [[None], [None]]
