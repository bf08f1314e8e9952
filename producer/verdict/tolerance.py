"""How large a gap may be and still be rounding. Pinned from measurements, with the reason.

The measurements: matched jobs (a line, a linear regression, MLPs, convolutions, LSTM, BatchNorm), 100
to 500 steps, one CPU thread, TensorFlow 2.21 against PyTorch 2.13. In float64 matched training stayed
within 2e-14 of the largest weight, and the smallest real difference (Adam's correction rounded to
float32) showed 7e-7. In float32 rounding reached 2e-7 without and 4e-6 with convolutions; real
differences (Adam's epsilon, reductions) showed 1e-3 and more.
"""

from __future__ import annotations

from collections.abc import Iterable

from producer.verdict.models import Tolerance
from shared.job.experiment import Precision

_BY_PRECISION: dict[Precision, Tolerance] = {
    "float32": Tolerance(
        relative=1e-5,
        why="In float32 rounding alone moved the weights of matched trainings by 2e-7 to 4e-6 of the "
        "largest weight in 100 to 500 steps, and differences of meaning by 1e-3 and more. A smaller "
        "difference of meaning can hide below it: the float64 twin finds it.",
    ),
    "float64": Tolerance(
        relative=1e-9,
        why="In float64 rounding alone moved the weights of matched trainings by at most 2e-14 of the "
        "largest weight in 500 steps, and the smallest difference of meaning by 7e-7. What is above "
        "this is not rounding.",
    ),
}


def tolerance_for(precisions: Iterable[Precision]) -> Tolerance:
    """The tolerance of the least precise of the given precisions."""
    given = set(precisions)
    return _BY_PRECISION["float32" if "float32" in given else "float64"]
