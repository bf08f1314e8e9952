"""The first step, stage and tensor in which two replays part: planted differences, rounding, odd shapes."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.report.comparison_gaps import stages
from likewise.producer.verdict.first_divergence import Replays, traced
from likewise.producer.verdict.gathered_updates import update_ends
from likewise.producer.verdict.parting import Replayed, first_parting, largest_gap, moved_by_rounding
from likewise.producer.verdict.rounding import tolerance_for
from likewise.shared.job import Job, Model
from likewise.shared.program import compile_model
from likewise.shared.results.step_trace import PROJECTIONS, StepTensor, Trace
from likewise.shared.store.arrays import decode_array, encode_array

NAMES = ("tensorflow", "torch")
TOLERANCE = tolerance_for(["float64"]).relative
FACTORS = np.random.default_rng(0).uniform(-1, 1, (PROJECTIONS, 64))
STORED: dict[str, bytes] = {}
PROGRAM = compile_model(
    Model.model_validate(
        {"layers": [{"type": "dense", "units": 2}, {"type": "activation", "activation": "relu"}]}
    ),
    (2,),
)


def store(array):
    ref, data = encode_array(np.asarray(array, dtype=np.float64))
    STORED[ref.sha256] = data
    return ref


def load(ref):
    return decode_array(ref, STORED[ref.sha256])


def fingerprint(array):
    flat = np.asarray(array, dtype=np.float64).reshape(-1)
    return np.concatenate([FACTORS[:, : flat.size] @ flat, [np.max(np.abs(flat), initial=0.0), flat.size]])


class Training:
    """Plain descent on a line as one framework would trace it; `change` alters a tensor of a step."""

    def __init__(self, change=None, *, steps=6, rate=0.1, start=(1.0, -2.0), finished=False, bias=()):
        self.kept, self.rates = [], []
        weights = np.array(start)
        self.first = weights
        x = np.random.default_rng(1).normal(size=(4, 2))
        for step in range(1, steps + 1):
            outputs = x @ weights
            gradient = 2 * x.T @ outputs / 4
            tensors = {
                ("data", "x"): x,
                ("forward", "layers.0"): outputs,
                ("forward", "layers.1"): np.maximum(outputs, 0),
                ("loss", "loss"): np.array([np.mean(outputs**2)]),
                ("backward", "layers.0.kernel"): gradient,
            }
            weights = weights - rate * gradient
            if bias:
                tensors["backward", "layers.0.bias"] = np.array([bias[0]])
                tensors["update", "layers.0.bias"] = np.array([bias[step]])
            tensors["update", "layers.0.kernel"] = weights
            for key, by in (change or {}).get(step, {}).items():
                tensors[key] = by(tensors[key])
            weights = tensors["update", "layers.0.kernel"]
            self.kept.append(tensors)
            self.rates.append(rate)
        self.finished = finished

    def trace(self, *, skip=0, keep=None, start_of=None, **more):
        shown = [step for step in range(1, len(self.kept) + 1) if step == 1 or step > skip]
        rows = [[fingerprint(one) for one in self.kept[step - 1].values()] for step in shown]
        resumed = self.kept[skip - 1]["update", "layers.0.kernel"] if skip else self.first
        whole = {}
        for (stage, name), array in (self.kept[keep - 1] if keep else {}).items():
            whole.setdefault(stage, {})[name] = store(array)
        return Trace(
            steps=tuple(shown),
            finished=self.finished,
            weight_names=("layers.0.kernel",),
            starts=store([[fingerprint(self.first)], [fingerprint(resumed)]]),
            given_start=start_of is not None,
            places=tuple(StepTensor(stage=stage, tensor=name) for stage, name in self.kept[0]),
            table=store(rows),
            learning_rates=tuple(self.rates[step - 1] for step in shown),
            start_weights={"layers.0.kernel": store(self.first)},
            kept=whole,
            **more,
        )


def replayed(one, two, ends=(None, None)):
    return [
        Replayed(side=side, trace=trace, ends=by)
        for side, trace, by in zip(NAMES, (one, two), ends, strict=True)
    ]


def parted(one, two, *, ends=(None, None), **by):
    """Where two traces part."""
    return first_parting(*replayed(one, two, ends), arrays=load, **{"tolerance": TOLERANCE, **by})


def parting(one, two, **more):
    found = parted(one.trace(**more), two.trace(**more))
    return found and (found.step, found.stage, found.tensor)


def planted(step, stage, tensor, by):
    return Training({step: {(stage, tensor): by}})


def off(amount):
    return lambda array: array + amount


@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize(
    ("stage", "tensor"),
    [
        ("data", "x"),
        ("forward", "layers.0"),
        ("forward", "layers.1"),
        ("loss", "loss"),
        ("backward", "layers.0.kernel"),
        ("update", "layers.0.kernel"),
    ],
)
def test_a_planted_difference_is_named_by_step_stage_and_tensor(step, stage, tensor):
    assert parting(Training(), planted(step, stage, tensor, off(1e-6))) == (step, stage, tensor)
    assert parting(planted(step, stage, tensor, off(1e-6)), Training()) == (step, stage, tensor)


def test_rounding_is_no_difference_and_the_same_numbers_are_none():
    assert parting(Training(), Training()) is None
    noise = {
        step: {key: lambda array: array * (1 + 4e-16) for key in Training().kept[0]} for step in range(1, 7)
    }
    assert parting(Training(), Training(noise)) is None


def test_the_rounding_of_a_loss_that_vanishes_is_no_difference():
    """Near the end a loss of 1e-30 differs in every digit; it began at 1."""
    shrinking = {6: {("loss", "loss"): lambda _: np.array([1e-30])}}
    other = {6: {("loss", "loss"): lambda _: np.array([3e-30])}}
    assert parting(Training(shrinking), Training(other)) is None
    assert parting(Training(shrinking), Training(other), skip=4) is None
    # twin: judged by its own size it would be one
    assert parting(Training({1: shrinking[6]}), Training({1: other[6]})) == (1, "loss", "loss")


def test_an_update_that_is_small_beside_its_weight_is_judged_by_its_own_size():
    """As of a learning rate of 1e-7: the change differs in the sixth digit, the weight in the thirteenth."""
    start = (1.0, -2.0)
    one, two = (Training(rate=rate, start=start, steps=1) for rate in (1e-5, 1.00001e-5))
    gap = largest_gap(one.kept[0]["update", "layers.0.kernel"], two.kept[0]["update", "layers.0.kernel"])
    assert gap.relative < TOLERANCE
    assert parting(one, two) == (1, "update", "layers.0.kernel")


def test_a_change_that_an_optimizer_makes_of_rounding_is_no_difference():
    """As of a bias before a batch norm under Adam: a gradient of 1e-17 moves it by 5e-12, or by 9e-14."""

    def biases(gradient, *changes):
        return (Training(bias=(gradient, 1.0, 1.0 + change), steps=2) for change in changes)

    assert parting(*biases(1e-17, 5e-12, 9e-14)) is None
    assert parting(*biases(0.1, 5e-12, 9e-14)) == (2, "update", "layers.0.bias")
    assert parting(*biases(1e-17, 1e-3, 2e-3)) == (2, "update", "layers.0.bias")


def test_the_first_place_of_a_large_difference_is_found_behind_a_small_one():
    small, large = off(1e-6), lambda array: array * 1.1
    other = Training({1: {("forward", "layers.1"): small}, 3: {("update", "layers.0.kernel"): large}})

    def found(**by):
        there = parted(Training().trace(), other.trace(), **by)
        return there.step, there.stage

    assert found(tolerance=TOLERANCE) == (1, "forward")
    assert found(tolerance=0.01, change=0.01) == (3, "update")
    # a change of a weight counts by its own size
    slow, slower = (Training(rate=rate, steps=1).trace() for rate in (1e-5, 1.1e-5))
    by = {"tolerance": 0.01}
    assert parted(slow, slower, change=0.01, **by).stage == "update"
    assert parted(slow, slower, change=0.5, **by) is None


def test_a_weight_that_rounding_alone_moves_is_no_place_where_they_part():
    """What reads it parts with it; the replay is to leave it at rest, and a true gradient never is."""

    def moved(gradient, change, change_of="forward", *, at=3):
        biases = [(gradient, 1.0, 1.0 + 5e-12 + by, 1.0) for by in (0.0, change)]
        planted_there = {at: {(change_of, "layers.0"): off(1e-6)}}
        one, two = Training(bias=biases[0], steps=3), Training(planted_there, bias=biases[1], steps=3)
        there = parted(one.trace(), two.trace())
        return there.step, moved_by_rounding(one.trace(), two.trace(), there, arrays=load)

    assert moved(1e-17, 4e-12) == (3, ["layers.0.bias"])
    # equal so far, or apart only afterwards; no gradient at all; a gradient
    assert moved(1e-17, 0.0) == (3, [])
    assert moved(1e-17, 4e-12, at=2) == (2, [])
    assert moved(0.0, 4e-12) == (3, [])
    assert moved(1e-3, 0.0) == (3, [])


def test_a_weight_that_rounding_moves_far_is_none_either():
    one, two = (Training(bias=(1e-17, 1.0 + by), steps=1) for by in (1e-3, -1e-3))
    there = parted(one.trace(), two.trace())
    assert (there.stage, there.tensor) == ("update", "layers.0.bias")
    assert moved_by_rounding(one.trace(), two.trace(), there, arrays=load) == ["layers.0.bias"]


def test_a_gradient_that_a_replay_took_for_zero_is_named():
    at_rest = {"zero_gradients": ("layers.0.bias",)}
    said = "The gradient of layers.0.bias is nothing but rounding, and the replay took it for zero."
    assert whole(Training(), Training(), 1, **at_rest).notes[0].endswith(said)
    assert divergence(Training(rate=0.1), Training(rate=0.2), 1, **at_rest).sentence.endswith(said)


def test_other_initial_weights_stand_before_the_first_update():
    assert parting(Training(), Training(start=(1.0, -2.5))) == (0, "forward", "layers.0.kernel")


def test_where_the_start_was_given_the_computing_is_looked_at_first():
    def found(change):
        other = Training(change).trace(start_of="the reference")
        own = store([[fingerprint([5.0, 5.0])], [fingerprint([1.0, -2.0])]])
        other = other.model_copy(update={"starts": own})
        return parted(Training().trace(), other)

    assert (found(None).step, found(None).stage) == (0, "forward")
    assert found({2: {("loss", "loss"): off(1.0)}}).step == 2


def test_a_difference_before_the_steps_laid_open_is_said_to_be_before():
    late = planted(3, "update", "layers.0.kernel", off(1e-3))
    assert parting(Training(), late, skip=4) == (4, "update", "layers.0.kernel")


def test_a_training_that_ends_before_the_other_parts_in_the_data():
    done, longer = Training(steps=4, finished=True), Training(steps=6, finished=True)
    found = parted(done.trace(), longer.trace())
    assert (found.step, found.stage, found.tensor) == (5, "data", "indices")
    assert found.problem == "tensorflow has finished, and the other trains on"
    assert parting(done, Training(steps=4, finished=True)) is None


def job(**training):
    model = {"layers": [{"type": "dense", "units": 1}]}
    data = {"type": "inline", "x": [[0.0]], "y": [[0.0]]}
    return Job.model_validate(
        {"schema_version": 1, "data": data, "model": model, "loss": "mse", "optimizer": {"type": "sgd"}}
        | {"training": {"epochs": 2, **training}}
    )


@pytest.mark.parametrize(
    ("remainder", "ends"),
    [
        ("carry", {2: 1, 4: 2, 6: 3}),
        ("update", {2: 1, 3: 2, 5: 3, 6: 4}),
        ("drop", {2: 1, 5: 2}),
    ],
)
def test_gathered_batches_end_updates_where_the_training_makes_them(remainder, ends):
    """Ten samples in batches of 4, gathered by 2, against batches of 8."""
    gathering = job(batch_size=4, gradient_accumulation_steps=2, accumulation_remainder=remainder)
    assert update_ends(gathering, job(batch_size=8), samples=10, batches=6) == (
        ends,
        {step: step for step in range(1, 7)},
    )


def test_batches_are_compared_one_by_one_where_updates_are_not_of_the_same_samples():
    gathering = job(batch_size=4, gradient_accumulation_steps=2)
    for other in (
        job(batch_size=4, gradient_accumulation_steps=2, accumulation="sum"),
        job(batch_size=16),
        job(batch_size=8, shuffle=True),
        job(batch_size=8, drop_last=True),
    ):
        assert update_ends(gathering, other, samples=16, batches=6) is None


def test_what_stands_after_gathered_updates_is_compared_and_nothing_of_their_batches():
    """The reference makes an update of two steps, and has those of the other at each second one."""
    ends = {2: 1, 4: 2, 6: 3}, {1: 1, 2: 2, 3: 3}

    def found(change=None):
        updates, batches = (
            Training(steps=3),
            Training({step: {("data", "x"): off(9.0)} for step in range(1, 7)}),
        )
        for step, tensors in enumerate(batches.kept, start=1):
            if step % 2 == 0:
                tensors["update", "layers.0.kernel"] = updates.kept[step // 2 - 1][
                    "update", "layers.0.kernel"
                ]
        other = Training(change, steps=3)
        return parted(batches.trace(), other.trace(), ends=ends)

    assert found() is None
    there = found({2: {("update", "layers.0.kernel"): off(0.1), ("loss", "loss"): off(1.0)}})
    assert (there.step, there.stage, there.tensor) == (2, "update", "layers.0.kernel")


def test_the_update_that_parts_is_said_to_be_made_of_so_many_batches():
    one, two = Training(steps=6), planted(3, "update", "layers.0.kernel", off(0.1))
    ends = dict(zip((2, 4, 6), (1, 2, 3), strict=True)), {1: 1, 2: 2, 3: 3}
    for step in (1, 2, 3):
        two.kept[step - 1]["update", "layers.0.kernel"] = one.kept[2 * step - 1][
            "update", "layers.0.kernel"
        ] + (0.1 if step == 3 else 0.0)
    replays = Replays(
        seed=3,
        pair=tuple(replayed(one.trace(), two.trace(), ends)),
        kept={NAMES[0]: one.trace(keep=6), NAMES[1]: two.trace(keep=3)},
        precision="float64",
    )
    shown = traced(
        replays, programs=dict.fromkeys(NAMES, PROGRAM), arrays=load, tolerance=TOLERANCE, alike=TOLERANCE
    )
    (found,) = shown.divergences
    assert found.batches == {"tensorflow": 2, "torch": 1}
    assert found.learning_rates == {"tensorflow": 0.1, "torch": 0.1}
    assert found.sentence.startswith(
        "They first part at update 3 (seed 3), whose batches are 2 in tensorflow and 1 in torch, in the "
        "update: the updates before it end with the same weights, layers.0.kernel becomes "
    )
    assert [mark.state for mark in stages(found)] == ["later", "later", "later", "later", "parts"]


def test_other_structures_are_compared_as_far_as_they_go():
    wider = planted(1, "forward", "layers.0", lambda array: np.tile(array, 2))
    found = parted(Training().trace(), wider.trace())
    assert (found.stage, found.tensor) == ("forward", "layers.0")
    assert found.problem == "they are 4 in tensorflow and 8 in torch"
    fewer = Training()
    for tensors in fewer.kept:
        del tensors["forward", "layers.1"]
    found = parted(Training().trace(), fewer.trace())
    assert (found.tensor, found.problem) == ("layers.1", "only tensorflow has it")


def test_evaluation_is_compared_after_the_update_it_follows():
    def with_outputs(by, names=("outputs",)):
        return Training().trace(
            evaluated=tuple(StepTensor(stage="evaluation", tensor=name, step=6) for name in names),
            evaluations=store([fingerprint([1.0, 2.0 + by]) for _ in names]),
        )

    def found(one, two):
        return parted(one, two)

    assert found(with_outputs(0.0), with_outputs(0.0)) is None
    there = found(with_outputs(0.0), with_outputs(1e-3))
    assert (there.step, there.stage, there.tensor) == (6, "evaluation", "outputs")
    assert found(with_outputs(0.0), with_outputs(0.0, names=("outputs", "test.mae"))) is None


def whole(one, two, step, refed=None, **more):
    given = {"layers.0": refed} if refed is not None else {}
    kept = {
        NAMES[0]: one.trace(keep=step),
        NAMES[1]: two.trace(keep=step, refed={path: store(array) for path, array in given.items()}),
    }
    replays = Replays(
        seed=3,
        pair=tuple(replayed(one.trace(**more), two.trace(**more))),
        kept=kept,
        precision="float64",
    )
    programs = dict.fromkeys(NAMES, PROGRAM)
    return traced(replays, programs=programs, arrays=load, tolerance=TOLERANCE, alike=TOLERANCE)


def divergence(*given, **kept):
    (found,) = whole(*given, **kept).divergences
    return found


def test_both_values_stand_where_the_difference_is_largest():
    def off_in_one_place(array):
        changed = array.copy()
        changed[2] += 0.5
        return changed

    one, two = Training(), planted(2, "forward", "layers.0", off_in_one_place)
    found = divergence(one, two, 2, refed=one.kept[1]["forward", "layers.0"])
    outputs = one.kept[1]["forward", "layers.0"]

    assert (found.seed, found.step, found.stage, found.tensor, found.index) == (
        3,
        2,
        "forward",
        "layers.0",
        (2,),
    )
    assert found.values == {"tensorflow": outputs[2], "torch": outputs[2] + 0.5}
    assert found.relative_difference == pytest.approx(0.5 / np.abs(outputs).max())
    assert (found.layers_fed_alike, found.layers_apart) == (("layers.0",), ())
    assert found.sentence.startswith(
        "They first part at update 2 (seed 3), in the forward pass: the batch is the same, "
        "the output of layers.0 (dense) is "
    )
    assert "in row 3 (relative difference" in found.sentence


def test_a_gradient_that_is_all_of_it_six_times_the_others_is_told_so():
    found = divergence(Training(), planted(1, "backward", "layers.0.kernel", lambda array: 6 * array), 1)

    assert found.relation == "times 6"
    assert " All of it is tensorflow's, times 6." in found.sentence
    assert divergence(Training(), planted(1, "backward", "layers.0.kernel", off(0.1)), 1).relation is None


def test_a_layer_that_differs_when_fed_alike_is_named_beside_the_first():
    one, two = Training(), planted(1, "data", "x", off(1.0))
    found = divergence(one, two, 1, refed=one.kept[0]["forward", "layers.0"] + 0.1)
    assert (found.stage, found.layers_apart) == ("data", ("layers.0",))
    assert "Fed with the same weights and inputs, layers.0 differs, all the same." in found.sentence


def test_another_learning_rate_is_named_with_the_update():
    found = divergence(Training(rate=0.1), Training(rate=0.2), 1)
    assert found.stage == "update"
    assert "layers.0.kernel becomes " in found.sentence
    assert "The learning rate of this update is 0.1 in tensorflow and 0.2 in torch." in found.sentence


def test_nothing_found_is_said_with_how_far_the_replay_went():
    assert (
        whole(Training(), Training(), 1)
        .notes[0]
        .startswith("A replay that laid 6 updates open, the last of them")
    )
    done = whole(Training(finished=True), Training(finished=True), 1)
    assert done.divergences == ()
    assert "to the end of the training, found no tensor that differs" in done.notes[0]


def test_infinite_and_missing_numbers_are_differences_and_no_errors():
    nan = np.array([1.0, np.nan, 3.0])
    assert largest_gap(nan, np.array([1.0, 2.0, 3.0])).index == (1,)
    endless = planted(2, "loss", "loss", lambda _: np.array([np.inf]))
    assert parting(Training(), endless) == (2, "loss", "loss")
    assert parting(endless, planted(2, "loss", "loss", lambda _: np.array([np.inf]))) is None
