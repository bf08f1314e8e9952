"""Environment variables: what is wrong with one is told with its value and what would be right."""

from __future__ import annotations

import pytest

from likewise.shared.errors import UsageError
from likewise.shared.settings import Settings, misspelt, variable


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("threads", "abc", "a whole number from 1 to 1,024"),
        ("threads", "0", "a whole number from 1 to 1,024"),
        ("blob_redis_limit_mb", "1.5", "a whole number, 1 or more"),
        ("lease_s", "nan", "a number from 1 to 3,600"),
        ("idle_minutes", "0", "a number above 0, up to 525,600"),
        ("retention_days", "1e30", "a number from 0.001 to 36,500"),
        ("retention_days", "1e-9", "a number from 0.001 to 36,500"),
        ("checkpoint_s", "-1", "a number, 0 or more"),
        ("device", "tpu", "cpu, cuda, cuda:1 or mps"),
        ("allow_volatile_redis", "maybe", "true or false"),
    ],
)
def test_a_wrong_value_is_told_with_the_variable_and_what_it_takes(name: str, value: str, right: str) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.from_environment({variable(name): value})
    assert str(caught.value) == f"LIKEWISE_{name.upper()} is {value!r}; it takes {right}"


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        Settings.from_environment({"LIKEWISE_THREADS": "two", "LIKEWISE_DEVICE": "gpu"})
    told = str(caught.value).splitlines()
    assert {line.split()[0] for line in told} == {"LIKEWISE_DEVICE", "LIKEWISE_THREADS"}


def test_good_values_are_taken_and_empty_ones_count_as_unset() -> None:
    given = {"LIKEWISE_THREADS": "4", "LIKEWISE_DEVICE": "", "LIKEWISE_ALLOW_VOLATILE_REDIS": "true"}
    settings = Settings.from_environment(given)
    assert (settings.threads, settings.device, settings.allow_volatile_redis) == (4, None, True)
    assert settings.worker_device == "cpu"


def test_a_variable_that_is_almost_a_setting_is_found_and_others_are_let_be() -> None:
    given = {"LIKEWISE_THREAD": "2", "LIKEWISE_THREADS": "2", "LIKEWISE_GPUS": "1", "HOME": "/"}
    assert misspelt(given) == {"LIKEWISE_THREAD": "LIKEWISE_THREADS"}
