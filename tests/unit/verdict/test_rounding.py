"""What is rounding: the float64 twin decides, and a side's own rerun says what its numbers move by."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from likewise.producer import follow_ups
from likewise.producer.compare import Background, compare
from likewise.producer.display import count
from likewise.producer.job.resolve import resolve
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.document import print_parts


def with_twin(samples, *, gap32, gap64, moved=None, **declared):
    """A comparison whose frameworks part by `gap32`, with a float64 twin that parts by `gap64`.

    `moved` is how far torch's twin moves from itself where its start is moved in the last place.
    """

    def compared(precision, nudge, known=None):
        job = samples.experiment(precision=precision, **declared)
        results = [
            samples.result("tensorflow", [samples.train(dtype=precision)]),
            samples.result("torch", [samples.train(dtype=precision, nudge=nudge)]),
        ]
        found = compare(samples.record(job), resolve(job), results, samples.STORE.get, background=known)
        perturbed = [] if moved is None else [
            results[0],
            samples.result("torch", [samples.train(dtype=precision, nudge=nudge + moved)]),
        ]  # fmt: skip
        return found, Background(twin=found, perturbed=perturbed)

    return compared("float32", gap32, compared("float64", gap64)[1])[0]


def test_rounding_that_training_amplified_is_agreement(samples):
    found = with_twin(samples, gap32=1e-3, gap64=1e-13)

    assert found.verdict == "agree"
    assert found.twin.equal
    assert "compute the same: in float64 these trainings agree to" in found.reasons[0]
    assert not any("--set precision=float64" in reason for reason in found.reasons)


def test_a_difference_that_hides_in_float32_is_found(samples):
    found = with_twin(samples, gap32=1e-6, gap64=1e-6)

    assert found.gaps[0].seeds_within_tolerance == 1
    assert found.verdict == "differ"
    assert any("this is a real difference, not rounding" in reason for reason in found.reasons)
    assert "Please report it." in found.reasons[-1]


def test_what_a_moved_start_moves_as_far_is_rounding(samples):
    found = with_twin(samples, gap32=1e-3, gap64=1e-3, moved=4e-4)

    assert found.verdict == "agree"
    assert found.twin.amplified == ("outputs", "predictions", "layers.0.kernel")
    assert found.reasons[0].startswith(
        "In float64 the losses agree and outputs, predictions and layers.0.kernel part by "
    )


@pytest.mark.parametrize("moved", [1e-13, 4e-5])
def test_what_a_moved_start_moves_less_is_real(samples, moved):
    found = with_twin(samples, gap32=1e-3, gap64=1e-3, moved=moved)

    assert (found.verdict, found.twin.amplified) == ("differ", ())


def grown(epoch):
    """Ten times as far apart every five epochs."""
    return min(1e-15 * 10 ** (epoch / 5), 0.1)


def jumped(epoch):
    """A difference of meaning that acts from the 20th epoch on."""
    return 0.0 if epoch < 20 else 1e-4


def added(epoch):
    """The same small difference in every update."""
    return 2e-10 * epoch


def parted(samples, apart, *, precision="float32", seeds=1):
    """A comparison in which the losses part so in float64, and nothing that was declared differs."""

    def compared(precision, known=None):
        job = samples.experiment(precision=precision, seeds=seeds)
        mine, theirs = (
            [
                samples.train(seed=seed, epochs=100, dtype=precision, nudge=nudge * (-1) ** seed)
                for seed in range(seeds)
            ]
            for nudge in (0, 1e-2)
        )
        for place, (one, other) in enumerate(zip(theirs, mine, strict=True)):
            size = other.losses[0] * (-1) ** other.seed
            losses = tuple(loss + size * apart(epoch) for epoch, loss in enumerate(other.losses))
            losses = (*losses[:-1], other.losses[-1])  # they end alike
            theirs[place] = one.model_copy(update={"losses": losses})
        results = [samples.result("tensorflow", mine), samples.result("torch", theirs)]
        found = compare(samples.record(job), resolve(job), results, samples.STORE.get, background=known)
        return found, Background(twin=found)

    return compared(precision, compared("float64")[1] if precision == "float32" else None)[0]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    ("apart", "verdict"), [(grown, "inconclusive"), (jumped, "differ"), (added, "differ")]
)
def test_a_training_that_amplifies_rounding_in_float64_too_decides_nothing(
    samples, apart, verdict, precision
):
    found = parted(samples, apart, precision=precision)
    told = " ".join(found.reasons)

    assert found.verdict == verdict
    assert ("compute something different" in told) is (verdict == "differ")
    assert ("this is a real difference" in told) is (verdict == "differ" and precision == "float32")
    assert ("equal for 16 epochs and part little by little" in told) is (verdict == "inconclusive")
    assert "precision=float64" not in told


def test_what_rounding_took_apart_even_in_float64_is_for_the_tests_over_seeds(samples):
    assert parted(samples, grown, seeds=30).verdict == "agree"


@pytest.mark.parametrize(("gap64", "verdict"), [(5e-10, "agree"), (5e-8, "differ")])
def test_what_shrinks_as_rounding_does_is_rounding(samples, gap64, verdict):
    assert with_twin(samples, gap32=1e-3, gap64=gap64).verdict == verdict


def test_a_twin_beside_a_small_gap_says_that_rounding_is_left(samples):
    found = with_twin(samples, gap32=1e-6, gap64=0.0)

    assert found.verdict == "agree"
    assert found.reasons[-1] == "In float64 they agree to 0: what is left is rounding."


def test_a_twin_of_fewer_seeds_says_of_how_many(samples):
    def compared(seeds, known=None):
        job = samples.experiment(seeds=seeds)
        results = [
            samples.result(name, [samples.train(seed=seed, nudge=nudge) for seed in range(seeds)])
            for name, nudge in (("tensorflow", 0.0), ("torch", 1e-6))
        ]
        return compare(samples.record(job), resolve(job), results, samples.STORE.get, background=known)

    found = compared(3, Background(twin=compared(1)))
    assert any(reason.startswith("In float64, on 1 of 3 seeds, ") for reason in found.reasons)


def test_a_twin_that_did_not_finish_decides_nothing(samples):
    job = samples.experiment()
    broken = samples.compared(
        samples.experiment(precision="float64"),
        samples.result("tensorflow", [samples.train(dtype="float64")]),
        samples.result("torch", [samples.failed_seed()]),
    )
    results = [
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(nudge=1e-3)]),
    ]
    found = compare(
        samples.record(job), resolve(job), results, samples.STORE.get, background=Background(twin=broken)
    )

    assert found.twin is None
    assert found.verdict == "inconclusive"


def test_the_twin_is_in_the_document_and_in_the_table(samples, capsys):
    from likewise.producer.console import make_console

    found = with_twin(samples, gap32=1e-3, gap64=1e-13)
    told = ComparisonDocument(comparison=found).to_json()["twin"]
    print_parts(ComparisonDocument(comparison=found), make_console())

    assert told["equal"] is True
    assert told["gaps"][0]["largest"][0]["seed"] == 0
    assert "float64 twin" in capsys.readouterr().out


def test_a_twin_is_trained_only_where_it_tells_more(samples):
    apart = [
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(nudge=1e-6)]),
    ]
    other_start = [
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(kernel=1.0)]),
    ]

    assert follow_ups.twin_tells_more(samples.compared(samples.experiment(), *apart))
    assert not follow_ups.twin_tells_more(samples.matched())
    assert not follow_ups.twin_tells_more(samples.failed())
    assert not follow_ups.twin_tells_more(samples.compared(samples.experiment(), *other_start))
    assert not follow_ups.twin_tells_more(samples.compared(samples.experiment(precision="float64"), *apart))


@pytest.mark.parametrize(("start", "paired"), [("shared", True), ("framework", False)], ids=["shared", "own"])
def test_seeds_that_start_from_the_same_weights_in_another_precision_are_pairs(samples, start, paired):
    declared = samples.experiment(
        seeds=5, precision="float64", overrides={"torch": {"precision": "float32"}}, initial_weights=start
    )
    sides = {
        name: [samples.train(seed=seed, kernel=0.1, epochs=100, dtype=dtype) for seed in range(5)]
        for name, dtype in (("tensorflow", "float64"), ("torch", "float32"))
    }
    found = samples.compared(declared, *(samples.result(name, seeds) for name, seeds in sides.items()))

    assert sides["torch"][0].hashes != sides["tensorflow"][0].hashes
    assert {test.paired for test in found.equivalence} == {paired}


def test_the_twin_has_the_first_seeds_and_no_other_precision(samples):
    declared = samples.experiment(
        seeds=[5, 3, 8, 1], overrides={"torch": {"precision": "float32", "loss.reduction": "sum"}}
    )
    made = follow_ups.twin_experiment(declared)

    assert made.precision == "float64"
    assert made.seed_list == (5, 3, 8)
    assert made.overrides == {"torch": {"loss.reduction": "sum"}}


def test_the_cost_of_a_seed_is_its_share_of_the_slowest_side(samples):
    assert follow_ups.seed_cost_s(samples.many_seeds()) == pytest.approx(0.041 + 0.32)


@pytest.mark.parametrize(
    ("budget_s", "seeds", "left_out"),
    [
        (2.5, {"twin": 3, "rerun": 3}, []),
        (1.5, {"twin": 3, "rerun": 1}, []),
        (1.1, {"twin": 2, "rerun": 1}, []),
        (0.5, {"twin": 1}, ["the rerun"]),
        (0.3, {}, ["the float64 twin", "the rerun"]),
    ],
)
def test_a_twin_and_a_rerun_have_as_many_seeds_as_the_budget_allows(
    samples, monkeypatch, budget_s, seeds, left_out
):
    comparison = samples.many_seeds()
    monkeypatch.setattr(follow_ups, "BUDGET_S", budget_s)
    monkeypatch.setattr(follow_ups, "TOLD_FROM_S", 0.0)
    outcome = SimpleNamespace(
        comparison=comparison, record=SimpleNamespace(experiment=comparison.experiment), runs=[]
    )
    told = []
    asked = next(follow_ups.twin_and_rerun(outcome, told.append), [])
    assert {one.relation: len(one.experiment.seed_list) for one in asked} == seeds
    assert [words.split(" is left out: one seed of it")[0] for words in told] == left_out
    for one in asked:
        assert (f"of {count(seeds[one.relation], 'seed')} and not 3" in one.announcement) == (
            seeds[one.relation] < 3
        )


@pytest.mark.parametrize(("least_s", "words"), [(1.0, ": about 1 s of training"), (2.0, "")])
def test_a_long_twin_is_announced_with_how_long_it_trains(samples, monkeypatch, least_s, words):
    comparison = samples.many_seeds()
    monkeypatch.setattr(follow_ups, "TOLD_FROM_S", least_s)
    outcome = SimpleNamespace(
        comparison=comparison, record=SimpleNamespace(experiment=comparison.experiment), runs=[]
    )
    told = []
    (twin,) = next(follow_ups.twin_alone(outcome, told.append))
    assert twin.announcement == "once more in float64, to tell rounding from a real difference" + words
    assert told == []


def compared(samples, *, apart, moved):
    """PyTorch `apart` from TensorFlow, whose own rerun moves by `moved`."""
    declared = samples.experiment()
    results = [
        samples.result("tensorflow", [samples.train()]),
        samples.result("torch", [samples.train(nudge=apart)]),
    ]
    again = [
        samples.result("tensorflow", [samples.train(nudge=moved)]),
        samples.result("torch", [samples.train(nudge=apart)]),
    ]
    known = Background(again=again)
    return compare(samples.record(declared), resolve(declared), results, samples.STORE.get, background=known)


def test_reruns_with_the_same_bits_are_one_short_line(samples):
    found = compared(samples, apart=1e-3, moved=0.0)

    assert found.verdict == "inconclusive"
    assert [(one.framework, one.identical) for one in found.noise_floor] == [
        ("tensorflow", True),
        ("torch", True),
    ]
    assert "Trained once more, tensorflow and torch each gave the same bits." in found.reasons
    assert found.tolerance.relative == 1e-5
    assert ComparisonDocument(comparison=found).to_json()["noise_floor"][0]["largest"][0]["relative"] == 0.0


def test_a_gap_below_a_frameworks_own_is_no_evidence(samples):
    found = compared(samples, apart=1e-4, moved=1e-3)
    steady, moving = found.noise_floor[1], found.noise_floor[0]

    assert (moving.identical, steady.identical) == (False, True)
    assert found.verdict == "agree"
    assert found.tolerance.relative == max(one.relative for one in moving.largest)
    assert "tensorflow's own numbers moved by" in found.tolerance.why
    assert any("tensorflow moves by" in reason and "no evidence" in reason for reason in found.reasons)
    assert "Trained once more, torch gave the same bits." in found.reasons


def test_a_gap_above_a_frameworks_own_stays_one(samples):
    """The twin that must fail: the floor hides nothing larger than itself."""
    assert compared(samples, apart=1e-2, moved=1e-3).verdict == "inconclusive"


@pytest.mark.parametrize("seeds", [3, 10, 11, 1_000])
def test_a_rerun_of_some_of_the_seeds_says_of_how_many(samples, seeds):
    declared = samples.experiment(seeds=seeds)
    first = [samples.train(seed=seed, epochs=5) for seed in range(seeds)]
    moved = [samples.train(seed=seed, epochs=5, nudge=1e-3) for seed in range(3)]
    results = [samples.result(name, first) for name in declared.labels]
    known = Background(
        again=[samples.result("tensorflow", moved), samples.result("torch", first[:3])],
    )
    found = compare(samples.record(declared), resolve(declared), results, samples.STORE.get, background=known)

    assert [(one.seeds, one.identical) for one in found.noise_floor] == [(3, False), (3, True)]
    of = "" if seeds == 3 else f" on 3 of {seeds:,} seeds"
    assert any(reason.startswith(f"Trained once more{of}, tensorflow moves by") for reason in found.reasons)
    assert f"Trained once more{of}, torch gave the same bits." in found.reasons


def test_what_did_not_finish_again_tells_nothing(samples):
    declared = samples.experiment()
    results = [samples.result(name, [samples.train()]) for name in declared.frameworks]
    again = [samples.result("tensorflow", [samples.failed_seed()])]
    found = compare(
        samples.record(declared),
        resolve(declared),
        results,
        samples.STORE.get,
        background=Background(again=again),
    )
    assert found.noise_floor == ()


def test_a_rerun_is_trained_where_the_frameworks_ended_with_other_bits(samples):
    assert not follow_ups.rerun_tells_more(samples.matched())
    assert not follow_ups.rerun_tells_more(samples.failed())
    assert follow_ups.rerun_tells_more(samples.article())
