"""Which environments a worker serves, and the packages that it was promised to have."""

from __future__ import annotations

from importlib import metadata

import pytest

from likewise.shared.errors import UsageError
from likewise.shared.settings import Settings
from likewise.worker.service.app import environments_of, refuse_unmet


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        (Settings(), ["torch", "torch==2.13"]),
        (Settings(dedicated=True), ["torch==2.13"]),
        (Settings(requirements="numpy==2.4.*"), ["torch+numpy==2.4.*", "torch==2.13+numpy==2.4.*"]),
        (
            Settings(requirements="numpy==2.4.*", dedicated=True),
            ["torch+numpy==2.4.*", "torch==2.13+numpy==2.4.*"],
        ),
    ],
)
def test_a_worker_takes_what_asks_for_what_it_has(settings: Settings, served: list[str]) -> None:
    assert environments_of("torch", "2.13.0+cpu", settings) == served


def test_a_promised_package_must_be_there_in_a_version_that_will_do() -> None:
    here = metadata.version("numpy")
    refuse_unmet([f"numpy=={here}", "numpy>=1"])
    with pytest.raises(UsageError, match=rf"names numpy<1, and numpy is {here} here"):
        refuse_unmet(["numpy<1"])
    with pytest.raises(UsageError, match="no-such-package is not installed here"):
        refuse_unmet(["no-such-package==1.0"])
