"""How one program has another's outputs: with other axes, or as probabilities where those are logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import Arrays, relative_difference


@dataclass(frozen=True)
class OutputForm:
    """It says how the other program has the reference's outputs: with other axes, or on another scale."""

    scale: tuple[str, str] | None = None
    """What the outputs are in the reference and in the other: `probabilities` and `logits (before a
    softmax)`.
    """
    to_other: Callable[[NDArray[Any]], NDArray[Any]] = lambda array: array
    """It makes the other's outputs of the reference's."""
    to_reference: Callable[[NDArray[Any]], NDArray[Any]] = lambda array: array
    """It makes the reference's outputs of the other's."""


@dataclass(frozen=True)
class OutputForms:
    """Which output of the other program is which of the reference's, and in what form."""

    pairs: tuple[tuple[str, str, OutputForm], ...] = ()
    """The reference's name, the other's, and the form."""

    @property
    def scaled(self) -> tuple[str, str] | None:
        """Return the scales of the first output that has another one."""
        return next((form.scale for _, _, form in self.pairs if form.scale is not None), None)

    def to_other(self, arrays: Arrays) -> Arrays:
        """Return the reference's outputs, or gradients of them, under the other's names and axes."""
        return {two: form.to_other(arrays[one]) for one, two, form in self.pairs if one in arrays}

    def apart(self, mine: Arrays, theirs: Arrays) -> float:
        """Return how far apart the outputs are, on one scale and with the same axes."""
        if len(mine) != len(theirs) or len(mine) != len(self.pairs):
            return float("inf")
        return max((self._apart(mine[one], theirs[two], form) for one, two, form in self.pairs), default=0.0)

    @staticmethod
    def _apart(one: NDArray[Any], two: NDArray[Any], form: OutputForm) -> float:
        if form.scale is not None and form.scale[1] == "probabilities":  # of which none is large
            return relative_difference(form.to_other(one), two)
        return relative_difference(one, form.to_reference(two))


def forms_of(mine: Arrays, theirs: Arrays) -> tuple[OutputForms, float]:
    """Pair the outputs by name, or else in their order; return the forms and how far apart they are.

    They are infinitely far apart where one program has more outputs than the other.
    """
    names = list(zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False))
    found = [(one, two, *form_of(mine[one], theirs[two])) for one, two in names]
    forms = OutputForms(tuple((one, two, form) for one, two, form, _ in found))
    if len(mine) != len(theirs):
        return forms, float("inf")
    return forms, max((near for *_, near in found), default=0.0)


def fit(mine: Arrays, theirs: Arrays) -> bool:
    """Return whether each output of one program has a form in the other: as many of them, of such shapes."""
    names = zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False)
    return len(mine) == len(theirs) and all(_layouts(mine[one], theirs[two]) for one, two in names)


def form_of(one: NDArray[Any], two: NDArray[Any]) -> tuple[OutputForm, float]:
    """Return the form in which the other's output is nearest to the reference's, and how near it is.

    Another scale counts only where it makes them the same to a thousandth; the same outputs have none.
    """
    found = []
    for layout in _layouts(one, two):
        found.append((layout, relative_difference(layout.to_other(one), two)))
        for squash, back, word in ((_softmax, _log, "softmax"), (_sigmoid, _logit, "sigmoid")):
            for form, near in _scaled(layout, squash, back, word, one, two):
                if near < SCALED and found[-1][1] > SCALED:
                    found.append((form, near))
    return min(found, key=lambda pair: pair[1], default=(OutputForm(), float("inf")))


SCALED = 1e-3


def _layouts(one: NDArray[Any], two: NDArray[Any]) -> list[OutputForm]:
    """Return the orders of axes in which the other's output has its shape: as it is, channels moved to the
    front or the back, or without a last axis of one number.
    """
    found = [OutputForm()] if one.shape == two.shape else []
    for start, end in ((-1, 1), (1, -1)):
        if one.ndim > 2 and np.moveaxis(one, start, end).shape == two.shape:
            found.append(_moved(start, end))
    if not found and without_last(one.shape) == without_last(two.shape):
        found.append(
            OutputForm(
                to_other=lambda array: array.reshape(two.shape),
                to_reference=lambda array: array.reshape(one.shape),
            )
        )
    return found


def without_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without a last axis of one number."""
    return shape[:-1] if shape[-1:] == (1,) else shape


def _moved(start: int, end: int) -> OutputForm:
    return OutputForm(
        to_other=lambda array: np.moveaxis(array, start, end),
        to_reference=lambda array: np.moveaxis(array, end, start),
    )


def _scaled(
    layout: OutputForm,
    squash: Callable[[NDArray[Any]], NDArray[Any]],
    back: Callable[[NDArray[Any]], NDArray[Any]],
    word: str,
    one: NDArray[Any],
    two: NDArray[Any],
) -> list[tuple[OutputForm, float]]:
    """Return the forms in which one side has probabilities where the other has logits, and how near
    they are.
    """
    logits = f"logits (before a {word})"
    with np.errstate(all="ignore"):
        gave = layout.to_reference(two)
        return [
            (
                OutputForm(
                    ("probabilities", logits),
                    lambda a: layout.to_other(back(a)),
                    lambda a: squash(layout.to_reference(a)),
                ),
                relative_difference(one, squash(gave)),
            ),
            (
                OutputForm(
                    (logits, "probabilities"),
                    lambda a: layout.to_other(squash(a)),
                    lambda a: back(layout.to_reference(a)),
                ),
                relative_difference(squash(one), gave),
            ),
        ]


def _softmax(array: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(array - array.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _sigmoid(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return np.asarray(1 / (1 + np.exp(-array)))


def _log(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return np.asarray(np.log(array))


def _logit(array: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return np.asarray(np.log(array) - np.log1p(-array))
