"""How environments are named: as a user writes them, and as queues do."""

from __future__ import annotations

import pytest

from likewise.shared.names import (
    environment_key,
    environment_name,
    package_name,
    parts_of_environment,
    requirements_of_queue,
    train_queue,
)


@pytest.mark.parametrize(
    "parts",
    [
        ("torch", None, ()),
        ("torch", "2.13.0", ()),
        ("tensorflow", None, ("keras==3.14.*",)),
        ("tensorflow", "2.21.0", ("keras==3.14.*", "numpy>=1.26,<2")),
    ],
)
def test_the_name_of_an_environment_says_all_of_it(parts: tuple[str, str | None, tuple[str, ...]]) -> None:
    assert parts_of_environment(environment_name(*parts)) == parts
    assert requirements_of_queue(train_queue(environment_key(*parts), "any")) == parts[2]


def test_equal_environments_have_one_key() -> None:
    one = environment_key("tensorflow", "2.21.0+cpu", ("numpy==2.0", "Keras==3.14"))
    assert one == environment_key("tensorflow", "2.21", ("keras==3.14", "numpy==2.0"))
    assert one != environment_key("tensorflow", "2.21", ("keras==3.15", "numpy==2.0"))


def test_names_of_packages_are_compared_as_indexes_do() -> None:
    assert package_name("ML_dtypes>=0.5,<1") == package_name("ml-dtypes") == "ml-dtypes"
