"""The noise floor: what a framework's own numbers move by when it trains the same once more."""

from __future__ import annotations

import pytest

from producer import twin
from producer.compare import Background, compare
from producer.job.resolve import resolve
from producer.report.json import to_document


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
    assert to_document(found)["noise_floor"][0]["largest"][0]["relative"] == 0.0


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
    assert not twin.rerun_tells_more(samples.matched())
    assert not twin.rerun_tells_more(samples.failed())
    assert twin.rerun_tells_more(samples.article())
