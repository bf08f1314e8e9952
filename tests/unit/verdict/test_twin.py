"""The float64 twin decides: planted differences, amplified rounding, and when it is left out."""

from __future__ import annotations

import pytest

from producer import twin
from producer.compare import Background, compare
from producer.job.resolve import resolve
from producer.report.json import to_document
from producer.report.terminal import render


def with_twin(samples, *, gap32, gap64, **declared):
    """A comparison whose frameworks part by `gap32`, with a float64 twin that parts by `gap64`."""

    def compared(precision, nudge, known=None):
        job = samples.experiment(precision=precision, **declared)
        results = [
            samples.result("tensorflow", [samples.train(dtype=precision)]),
            samples.result("torch", [samples.train(dtype=precision, nudge=nudge)]),
        ]
        found = compare(samples.record(job), resolve(job), results, samples.STORE.get, background=known)
        return found, Background(twin=found, twin_results=results)

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
        return found, Background(twin=found, twin_results=results)

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
    from producer.console import make_console

    found = with_twin(samples, gap32=1e-3, gap64=1e-13)
    told = to_document(found)["twin"]
    render(found, make_console())

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

    assert twin.tells_more(samples.compared(samples.experiment(), *apart))
    assert not twin.tells_more(samples.matched())
    assert not twin.tells_more(samples.failed())
    assert not twin.tells_more(samples.compared(samples.experiment(), *other_start))
    assert not twin.tells_more(samples.compared(samples.experiment(precision="float64"), *apart))


def test_the_twin_has_the_first_seeds_and_no_other_precision(samples):
    declared = samples.experiment(
        seeds=[5, 3, 8, 1], overrides={"torch": {"precision": "float32", "loss.reduction": "sum"}}
    )
    made = twin.twin_experiment(declared)

    assert made.precision == "float64"
    assert made.seed_list == (5, 3, 8)
    assert made.overrides == {"torch": {"loss.reduction": "sum"}}


def test_the_cost_is_that_of_the_seeds_it_trains(samples):
    assert twin.cost_s(samples.many_seeds()) == pytest.approx(3 * (0.041 + 0.32))
