"""What an environment of another version, or with packages in versions of their own, is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from likewise.producer.local.environments import ADAPTERS, find
from likewise.producer.local.home import Paths, WorkerEnvironment
from likewise.producer.local.packages import as_tested, framework_requirement, packages_of


def lines(environment: WorkerEnvironment) -> tuple[list[str], list[str]]:
    """What is required, and what is pinned beside it."""
    packages = packages_of(environment, ADAPTERS, Path("/nowhere"))
    assert packages is not None
    return [packages.texts[file].splitlines() for file in (packages.requirements, packages.constraints)]  # type: ignore[return-value]


def test_another_version_takes_the_pins_place_and_leaves_open_what_must_follow_it() -> None:
    required, pinned = lines(WorkerEnvironment(framework="tensorflow", version="2.20.0"))
    assert required[0].startswith("tensorflow-cpu==2.20.0 ;")
    assert {"keras", "numpy", "celery[redis]"} <= set(required)
    names = {one.partition("==")[0] for one in pinned}
    assert {"celery", "pydantic", "redis"} <= names
    assert not names & {"numpy", "protobuf", "ml_dtypes"}


def test_a_package_of_its_own_version_leaves_all_others_as_they_are_tested() -> None:
    required, pinned = lines(WorkerEnvironment(framework="tensorflow", requirements=("keras==3.14.*",)))
    assert [one for one in required if one.startswith("keras")] == ["keras==3.14.*"]
    assert any(one.startswith("tensorflow-cpu==2.2") for one in required)
    assert any(one.startswith("numpy==") for one in pinned)


def test_a_frameworks_own_index_stays_with_its_wheels() -> None:
    packages = packages_of(WorkerEnvironment(framework="torch", version="2.12.*"), ADAPTERS, Path("/nowhere"))
    assert packages is not None
    assert packages.wheels is not None
    wheels = packages.texts[packages.wheels].splitlines()
    assert wheels[0].startswith("--extra-index-url ")
    assert wheels[1:] == ["torch==2.12.*"]


@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_the_version_that_is_tested_needs_no_environment_of_its_own(framework: str) -> None:
    usual = WorkerEnvironment(framework=framework)
    pinned = framework_requirement(usual, ADAPTERS)
    assert pinned is not None
    (version,) = (one.version for one in pinned.specifier)
    for asked in (version, f"{version.rpartition('.')[0]}.*"):
        assert as_tested(usual.model_copy(update={"version": asked}), ADAPTERS) == usual
    other = usual.model_copy(update={"version": "1.0"})
    assert as_tested(other, ADAPTERS) == other


def test_each_environment_has_a_place_and_a_name_of_its_own() -> None:
    environments = [
        WorkerEnvironment(framework="tensorflow"),
        WorkerEnvironment(framework="tensorflow", version="2.20.0"),
        WorkerEnvironment(framework="tensorflow", requirements=("keras==3.14.*",)),
        WorkerEnvironment(framework="tensorflow", requirements=("keras==3.15.*",)),
        WorkerEnvironment(framework="tensorflow", requirements=tuple(f"package-{n}==1" for n in range(20))),
    ]
    folders = {find(Paths(Path("/nowhere")), one).folder for one in environments}
    names = {one.name for one in environments}
    assert len(folders) == len(names) == len(environments)
    assert max(map(len, names)) < 100
    assert environments[2].name == "tensorflow-keras-3.14.x"
