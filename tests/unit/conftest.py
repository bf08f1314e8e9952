"""Hand-made comparisons and explanations as fixtures."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.unit.blame.explained import Bench
from tests.unit.verdict import samples as made


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """`verdict/samples.py`."""
    return made


@pytest.fixture
def bench() -> Bench:
    """What declares, trains and explains jobs on a line."""
    return Bench()
