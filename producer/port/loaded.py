"""What is found of two loaders, and by what scale and shift one's numbers are the other's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import gap
from likewise.producer.port.hosted import relative_difference

Array = NDArray[Any]
SAME = 1e-5
"""Samples this near, relative to the largest number, are the same: loaders work in float32."""


@dataclass(frozen=True)
class LoaderFinding:
    """One way in which the samples differ."""

    path: str
    setting: str
    text: str
    values: tuple[Any, Any] = (None, None)
    apart: float | None = None
    fix: str | None = None
    """The edit for the other side."""


@dataclass
class LoaderComparison:
    """What differs, and what is only worth a note."""

    findings: list[LoaderFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def found(self, path: str, setting: str, text: str, **more: Any) -> None:
        """Add one difference to the findings."""
        self.findings.append(LoaderFinding(path, setting, text, **more))


def fitted_channels(one: Array, two: Array) -> tuple[bool, Array, Array] | None:
    """Return whether channels are reversed, and each channel's factor and shift from the reference's."""
    orders = [False, True] if one.ndim > 2 and one.shape[-1] in (3, 4) else [False]
    for reversed_ in orders:
        turned = two[..., ::-1] if reversed_ else two
        a_channel = one.shape[-1] if one.ndim > 1 and one.shape[-1] <= 64 else 1
        left, right = one.reshape(-1, a_channel), turned.reshape(-1, a_channel)
        centre = [side.mean(axis=0) for side in (left, right)]
        spread = np.square(left - centre[0]).sum(axis=0)
        with np.errstate(all="ignore"):
            factor = ((left - centre[0]) * (right - centre[1])).sum(axis=0) / spread
        factor = np.where(spread > 0, factor, 1.0)
        shift = centre[1] - factor * centre[0]
        if np.all(factor > 0) and relative_difference(left * factor + shift, right) <= 1e-4:
            return reversed_, factor, shift
    return None


def tell_scale(
    told: LoaderComparison, name: str, scale: Array, shift: Array, labels: tuple[str, str]
) -> None:
    """Add that numbers have another scale, or another mean and deviation, by channel."""
    if np.allclose(scale, 1, rtol=1e-4) and np.allclose(shift, 0, atol=1e-4):
        return
    if np.allclose(scale, scale[0], rtol=1e-4) and np.allclose(shift, 0, atol=1e-4 * abs(scale[0])):
        told.found(
            f"data.{name}",
            "scale",
            f"{name} is {scale[0]:.6g} times as large in {labels[1]}",
            values=(1.0, float(scale[0])),
            fix=f"multiply {name} by {1 / scale[0]:.6g}",
        )
        return
    listed = [np.array2string(one, precision=5, separator=", ", threshold=8) for one in (scale, shift)]
    told.found(
        f"data.{name}",
        "mean_and_deviation",
        f"{name} is normalised otherwise: what is {name} in {labels[0]} is {name} times {listed[0]} plus "
        f"{listed[1]} in {labels[1]}",
        values=([0.0, 1.0], [shift.tolist(), scale.tolist()]),
        fix=f"use the reference's mean and deviation for {name}",
    )


def tell_values(told: LoaderComparison, name: str, one: Array, two: Array, labels: tuple[str, str]) -> None:
    """Add that samples have other shapes or numbers, where no simple rule explains it."""
    if one.shape != two.shape:
        told.found(
            f"data.{name}",
            "shape",
            f"a sample of {name} is {one.shape[1:]} in {labels[0]} and {two.shape[1:]} in {labels[1]}",
            values=(list(one.shape[1:]), list(two.shape[1:])),
        )
        return
    with np.errstate(all="ignore"):
        alike = float(np.corrcoef(one.ravel(), two.ravel())[0, 1])
    apart = relative_difference(one, two)
    why = "the samples are other ones, or in another order"
    if alike > 0.9:
        why = "nearly the same, as where pictures are resized, cropped or compressed by another rule"
    told.found(
        f"data.{name}",
        "values",
        f"{name} is {gap(apart)} apart (correlation {alike:.3f}): {why}",
        apart=apart,
    )
