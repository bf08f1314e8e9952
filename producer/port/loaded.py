"""What is found of two loaders, and by what scale and shift one's numbers are the other's."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import gap
from likewise.producer.port.exchanged import relative_difference

Array = NDArray[Any]
_LEAST_SIZE = 8
_FARTHEST = 2
"""Pictures are shifted by so many whole pixels at most."""
_ALIKE = 0.9
_LEAST_ALIKE = 0.5
"""Pictures that are less correlated are not the same ones."""
_EXPLAINED = 0.7
"""A displacement is told where it explains this share of what pictures differ by."""
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
    setting, why = "values", "the samples are other ones, or in another order"
    if alike > _ALIKE:
        why = "nearly the same, as where pictures are resized, cropped or compressed by another rule"
    if alike > _LEAST_ALIKE:
        setting, why = displacement(one, two) or (setting, why)
    told.found(
        f"data.{name}",
        setting,
        f"{name} is {gap(apart)} apart (correlation {alike:.3f}): {why}",
        apart=apart,
    )


def displacement(one: Array, two: Array) -> tuple[str, str] | None:
    """Return the setting, and in words how pictures are displaced against each other, where that is what they
    differ by: from their middle outwards, as other corners do, or all in one direction.

    What differs is fitted by the pictures' slopes, times the place from the middle and by themselves, once
    whole pixels are shifted.
    """
    if one.ndim != 4 or min(one.shape[1:3]) < _LEAST_SIZE:
        return None
    inner = (slice(None), *[slice(_FARTHEST, -_FARTHEST)] * 2)
    whole = min(
        product(range(-_FARTHEST, _FARTHEST + 1), repeat=2),
        key=lambda by: float(np.square(np.roll(two, by, (1, 2)) - one)[inner].sum()),
    )
    differs = (np.roll(two, whole, (1, 2)) - one)[inner].ravel()
    slopes = [np.gradient(one, axis=axis) for axis in (1, 2)]
    middles = [(size - 1) / 2 for size in one.shape[1:3]]
    places = [
        (np.arange(size) - middle).reshape(shape)
        for size, middle, shape in zip(one.shape[1:3], middles, ((1, -1, 1, 1), (1, 1, -1, 1)), strict=True)
    ]
    columns = [slope * place for slope, place in zip(slopes, places, strict=True)] + slopes
    terms = np.stack([column[inner].ravel() for column in columns], axis=1)
    found, *_ = np.linalg.lstsq(terms, differs, rcond=None)
    left = float(np.square(differs - terms @ found).sum())
    if left > (1 - _EXPLAINED) * float(np.square((two - one)[inner]).sum()):
        return None
    outwards = max(abs(float(part)) * middle for part, middle in zip(found[:2], middles, strict=True))
    down, across = (abs(float(part) - by) for part, by in zip(found[2:], whole, strict=True))
    if outwards > max(down, across):
        return "corners", (
            f"one is stretched about its middle by {outwards:.2g} pixels at the edges, as where a resize "
            "aligns the corners and the other does not"
        )
    return "shift", (
        f"one is shifted by {down:.2g} pixels down and {across:.2g} across, as where a resize or a crop "
        "begins at the corner of a pixel and the other at its middle"
    )
