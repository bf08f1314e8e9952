"""How far two arrays are apart, also where they hold infinities."""

from __future__ import annotations

import numpy as np
import pytest

from likewise.producer.port.exchanged import relative_difference

MASK = [-np.inf, 0.0, 2.0]


@pytest.mark.parametrize(
    ("reference", "other", "apart"),
    [
        (MASK, MASK, 0.0),
        (MASK, [-np.inf, 0.0, 3.0], 0.5),
        (MASK, [np.inf, 0.0, 2.0], np.inf),
        (MASK, [-1e9, 0.0, 2.0], np.inf),
        ([0.0, 0.0, 2.0], MASK, np.inf),
        ([-np.inf] * 3, [-np.inf] * 3, 0.0),
        ([np.nan, 1.0, 1.0], [np.nan, 1.0, 1.0], np.inf),
    ],
)
def test_equal_infinities_are_equal(reference: list[float], other: list[float], apart: float) -> None:
    assert relative_difference(np.array(reference), np.array(other)) == apart
