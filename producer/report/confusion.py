"""Confusion matrices: how often each class was taken for each, by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from producer.report.truth import Truth

MOST_CLASSES = 20
"""Above this a table says nothing that can be read."""


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """`counts[true][predicted]`, and each row's shares."""

    side: str
    series: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float, ...], ...]
    right: int
    total: int


def confusions(truth: Truth, sides: Sequence[str]) -> list[Confusion]:
    """One matrix a side, in order."""
    known = truth.y.reshape(-1).astype(np.int64)
    classes = truth.classes or 2
    told = []
    for series, name in enumerate(sides):
        if name not in truth.outputs:
            continue
        guessed = predicted_classes(truth.outputs[name], from_logits=truth.from_logits)
        counts = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(counts, (known, guessed), 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        told.append(
            Confusion(
                side=name,
                series=series,
                classes=_names(truth, classes),
                counts=tuple(tuple(map(int, row)) for row in counts),
                shares=tuple(tuple(round(float(one), 3) for one in row) for row in shares),
                right=int(np.trace(counts)),
                total=len(known),
            )
        )
    return told


def _names(truth: Truth, classes: int) -> tuple[str, ...]:
    """The classes' own names, or their numbers."""
    numbers = tuple(map(str, range(classes)))
    return truth.class_names + numbers[len(truth.class_names) :]


def disagreements(truth: Truth) -> int:
    """Samples that not all frameworks put into the same class."""
    guessed = [
        predicted_classes(outputs, from_logits=truth.from_logits) for outputs in truth.outputs.values()
    ]
    return int(np.sum(np.any(np.array(guessed) != guessed[0], axis=0)))


def predicted_classes(outputs: NDArray[np.float64], *, from_logits: bool = True) -> NDArray[np.int64]:
    """The largest of several, or for one a probability above ½, which is a logit above 0."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > (0.0 if from_logits else 0.5)).astype(np.int64)
    largest: NDArray[np.int64] = np.argmax(outputs, axis=1)
    return largest
