"""Looking for the first version that trains otherwise: what is asked, which are tried, what is told."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from likewise.producer.bisecting import Between, Bisection, Tried, bisect, sides_between, told
from likewise.producer.verdict.models import Comparison
from likewise.shared.errors import StackError, UsageError

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "2.0")


def test_what_lies_between_two_versions_is_read_and_put_in_order() -> None:
    asked = Between.parse("TensorFlow==1.0, tensorflow==2")
    assert (asked.package, asked.oldest, asked.newest) == ("tensorflow", "1.0", "2")
    there = ["2.1", "2.0", "1.10", "1.9", "2.0rc1", "1.0", "0.9"]
    assert asked.among(there) == ["1.0", "1.9", "1.10", "2.0"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("tensorflow==1.0", "one package in two versions"),
        ("tensorflow==1.0,torch==2.0", "tensorflow and torch"),
        ("tensorflow>=1,tensorflow<2", "one package in two versions"),
        ("tensorflow==2.0,tensorflow==1.0", "name the older first"),
        ("tensorflow==1.0,tensorflow==1.0", "name the older first"),
        (
            "tensorflow==1.0,tensorflow==1.5",
            r"no tensorflow 1\.5 .* near it there is 1\.2, 1\.3, 1\.4 and 2\.0",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused_in_words(given: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Between.parse(given).among(VERSIONS)


def searched(verdicts: dict[str, str], samples: ModuleType) -> Bisection:
    """Search with the verdict that each version has; a version without one has no environment."""
    comparison: Comparison = samples.many_seeds()
    asked = []

    def compare(oldest: str, version: str) -> Tried:
        asked.append(version)
        assert oldest == VERSIONS[0]
        if version not in verdicts:
            raise StackError("no such wheel")
        return Tried.of(version, comparison.model_copy(update={"verdict": verdicts[version]}))

    *_, found = bisect("job", "toy", VERSIONS, compare)
    assert len(set(asked)) == len(asked)
    return found


@pytest.mark.parametrize("first", range(1, len(VERSIONS)))
def test_the_first_version_that_differs_is_found_by_halving(first: int, samples: ModuleType) -> None:
    verdicts = {one: "differ" if place >= first else "agree" for place, one in enumerate(VERSIONS)}
    found = searched(verdicts, samples)
    assert found.first_different is not None
    assert found.first_different.version == VERSIONS[first]
    assert (found.last_same, found.in_doubt) == (VERSIONS[first - 1], ())
    assert len(found.tried) <= 4
    assert told(found) == (
        f"job first trains otherwise in toy {VERSIONS[first]}: up to {VERSIONS[first - 1]} it agrees with "
        "1.0."
    )


def test_where_the_newest_agrees_nothing_else_is_trained(samples: ModuleType) -> None:
    found = searched({"2.0": "agree"}, samples)
    assert [one.version for one in found.tried] == ["2.0"]
    assert told(found) == "toy 2.0 trains job as 1.0 does."


def test_a_version_without_an_environment_is_left_out_and_named(samples: ModuleType) -> None:
    found = searched({"2.0": "differ", "1.4": "differ", "1.3": "differ", "1.1": "agree"}, samples)
    assert found.first_different is not None
    assert (found.first_different.version, found.in_doubt) == ("1.3", ("1.2",))
    assert told(found) == (
        "job first trains otherwise in toy 1.3: up to 1.1 it agrees with 1.0; 1.2 could not be judged."
    )


def test_where_nothing_can_be_judged_that_is_said(samples: ModuleType) -> None:
    assert "not every one could be judged" in told(searched({}, samples))
    assert "not every one could be judged" in told(searched({"2.0": "inconclusive"}, samples))


def test_the_sides_are_the_jobs_own_in_two_versions() -> None:
    side: dict[str, Any] = {"framework": "torch", "device": "cpu", "requirements": ("numpy==1.26.4", "x<2")}
    old, new = sides_between("torch", "torch", ("1.0", "2.0"), side).values()
    assert (old, new) == ({**side, "version": "1.0"}, {**side, "version": "2.0"})
    sides = sides_between("torch", "numpy", ("1.26.4", "2.0"), side)
    assert sides["candidate"]["requirements"] == ["x<2", "numpy==2.0"]
