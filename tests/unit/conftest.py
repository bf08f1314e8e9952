"""The hand-made comparisons as a fixture."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.unit.verdict import samples as made


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """`verdict/samples.py`."""
    return made
