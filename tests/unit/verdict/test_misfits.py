"""Data and weights that do not fit are the finding, with both shapes, before anything that follows of it."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.compare import Background, compare
from likewise.producer.follow_ups import rerun_tells_more, twin_tells_more
from likewise.producer.job.resolve import resolve
from likewise.producer.replay import started_alike, tells_more
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.page import html_of
from likewise.producer.verdict.misfits import misfits
from likewise.shared.program import compile_job
from likewise.shared.results.run_result import Hashes
from likewise.shared.run import Dataset, Samples
from tests.listed import Seed

SIDES = ("tensorflow", "torch")


@pytest.fixture
def fitted(samples):
    """Return a comparison of sides with data and jobs of their own; each trains one epoch of noise."""

    def fitted(*datasets, weights=None, **declared):
        job = samples.experiment(predict=None, training={"epochs": 1}, **declared)
        jobs = resolve(job)
        given = [weights or {}] * len(jobs) if not isinstance(weights, list) else weights
        results = [
            samples.result(side, [trained(samples, data, arrays, output=place)])
            for place, (side, data, arrays) in enumerate(zip(jobs, datasets, given, strict=True))
        ]
        background = Background(
            data_shapes={side: data.train.x.shape for side, data in zip(jobs, datasets, strict=True)},
            datasets=dict(zip(jobs, datasets, strict=True)),
        )
        return compare(samples.record(job), jobs, results, samples.STORE.get, background=background)

    return fitted


def trained(samples, data, arrays, *, output):
    part = "validation" if data.validation else "train"
    rows = getattr(data, part).x.shape[0]
    return Seed(
        losses=(1.0,),
        final_loss=1.0,
        outputs=samples.STORE.put(np.full((rows, 1), output, np.float32)),
        outputs_of=part,
        weights={name: samples.STORE.put(array) for name, array in arrays.items()},
        hashes=Hashes(initial_weights=f"{data.train.x.shape[-1]:064x}", batches="b" * 64),
    )


@pytest.fixture
def data(samples):
    """Return a data set of noise with these shapes."""

    def data(x, *, validation=None, classes=None, seed=0, y=None):
        return Dataset(
            task="regression",
            train=drawn(samples, x, seed, y),
            validation=drawn(samples, validation, seed, y) if validation else None,
            classes=classes,
        )

    return data


def drawn(samples, shape, seed, y):
    numbers = np.random.default_rng(seed).normal(size=shape)
    targets = np.zeros((shape[0], 1)) if y is None else np.full((shape[0], 1), y)
    return Samples(x=samples.STORE.put(numbers), y=samples.STORE.put(targets))


def test_data_of_another_length_are_the_finding_and_nothing_after_it_is_measured(fitted, data):
    found = fitted(data((200, 5)), data((150, 5)))

    assert found.verdict == "differ"
    assert found.reasons[0] == (
        "The data are not the same: the training x is 200×5 in tensorflow and 150×5 in torch; the training y "
        "is 200×1 in tensorflow and 150×1 in torch."
    )
    assert not any(word in reason for reason in found.reasons for word in ("—", "report this", "alike"))
    parting = found.first_divergence
    assert (parting.stage, parting.tensor) == ("data", "x")
    assert parting.shapes == {"tensorflow": (200, 5), "torch": (150, 5)}


def test_wider_data_are_told_and_not_the_weights_that_follow(fitted, data):
    wide = {"layers.0.kernel": np.zeros((6, 1), np.float32)}
    found = fitted(
        data((200, 5)), data((200, 6)), weights=[{"layers.0.kernel": np.zeros((5, 1), np.float32)}, wide]
    )

    assert "the training x is 200×5 in tensorflow and 200×6 in torch" in found.reasons[0]
    assert not any("kernel" in reason or "report this" in reason for reason in found.reasons)
    assert found.first_divergence.stage == "data"


@pytest.mark.parametrize("shape", [(240, 8, 8, 3), (240, 12, 12, 1), (240, 12)])
def test_pictures_of_another_size_are_told(data, shape):
    found = misfits(dict(zip(SIDES, (data((240, 12, 12, 3)), data(shape)), strict=True)), {}, sides=SIDES)

    assert "×".join(map(str, shape)) in next(found.sentences())
    assert found.parting.tensor == "x"


def test_weights_of_another_shape_are_the_finding_with_both_shapes(fitted, data):
    layers = [{"type": "lstm", "units": 8, "name": "memory"}, {"type": "dense", "units": 1}]
    found = fitted(
        data((20, 10, 5)),
        data((20, 10, 5)),
        model={"layers": layers},
        overrides={"torch": {"model.layers.memory.units": 16}},
    )

    assert found.reasons[0].startswith(
        "This is not like for like: model.layers.0.units is 8 in tensorflow and 16 in torch; the weights "
        "do not have the same shapes: memory.kernel is 5×32 in tensorflow and 5×64 in torch; "
    )
    assert found.reasons[0].endswith("; and 1 more tensor.")
    assert found.reasons[1] == "The layer has another number of outputs and weights."
    parting = found.first_divergence
    assert (parting.step, parting.stage, parting.tensor) == (0, "forward", "memory.kernel")
    assert "5×64" in html_of(ComparisonDocument(comparison=found).page())


def test_a_layer_more_is_told_as_weights_that_one_side_has_alone(fitted, data):
    one, two = [{"type": "dense", "units": 1}], [{"type": "dense", "units": 1}] * 2
    found = fitted(
        data((20, 5)), data((20, 5)), model={"layers": one}, overrides={"torch": {"model.layers": two}}
    )

    assert "layers.1.kernel (1×1) is in torch alone" in found.reasons[0]


def test_data_with_other_numbers_are_told_and_left_to_a_replay(fitted, data):
    found = fitted(data((20, 5)), data((20, 5), seed=1))

    assert (
        found.reasons[0] == "The data are not the same: the training x is 20×5 in both, with other numbers."
    )
    assert found.first_divergence is None


def test_samples_held_out_alone_leave_the_training_comparable(fitted, data):
    kernel = {"layers.0.kernel": np.ones((5, 1), np.float32)}
    found = fitted(data((20, 5), validation=(8, 5)), data((20, 5), validation=(12, 5)), weights=[kernel] * 2)

    assert "the validation x is 8×5 in tensorflow and 12×5 in torch" in found.reasons[0]
    assert found.first_divergence is None
    assert any("What can be compared of tensorflow and torch is within" in reason for reason in found.reasons)


def test_another_number_of_classes_is_told(data):
    sets = dict(zip(SIDES, (data((20, 5), classes=4), data((20, 5), classes=5, y=4.0)), strict=True))

    assert "the number of classes is 4 in tensorflow and 5 in torch" in next(
        misfits(sets, {}, sides=SIDES).sentences()
    )


def test_the_same_data_and_weights_have_no_misfits(data, samples):
    job = resolve(samples.experiment())["torch"]
    programs = dict.fromkeys(SIDES, compile_job(job, (1,)))
    found = misfits(dict.fromkeys(SIDES, data((20, 1))), programs, sides=SIDES)

    assert list(found.sentences()) == []
    assert found.parting is None


def test_targets_that_each_loss_wants_in_its_own_form_are_no_other_data(data):
    mine = data((20, 5))
    theirs = mine.model_copy(
        update={"task": "multiclass", "train": mine.train.model_copy(update={"y": mine.train.x})}
    )

    assert list(misfits(dict(zip(SIDES, (mine, theirs), strict=True)), {}, sides=SIDES).sentences()) == []


def test_what_does_not_fit_is_not_trained_again(fitted, data):
    found = fitted(data((200, 5)), data((150, 5)))

    assert [twin_tells_more(found), rerun_tells_more(found), tells_more(found)] == [False] * 3


def test_a_side_that_does_not_fit_is_no_other_start_of_the_rest(fitted, data):
    sides = {name: {"framework": "torch"} for name in ("tensorflow", "torch", "third")}
    found = fitted(data((200, 5)), data((200, 6)), data((200, 5)), sides=sides)

    assert [one.other for one in found.first_divergences] == ["torch"]
    assert started_alike(found, 0)


def test_a_setting_of_a_layer_that_one_side_lacks_has_no_code_and_ends_nothing(fitted, data):
    one = [{"type": "dense", "units": 1}]
    two = [{"type": "dense", "units": 1, "activation": "relu"}, {"type": "dense", "units": 1}]
    found = fitted(
        data((20, 5)), data((20, 5)), model={"layers": one}, overrides={"torch": {"model.layers": two}}
    )

    assert any(one.path == "model.layers.1.units" for one in found.setting_differences)
