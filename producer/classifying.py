"""What the outputs of a classification say: the probability of each class, and which is chosen. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def probabilities(outputs: NDArray[np.float64], *, from_logits: bool) -> NDArray[np.float64]:
    """Return the probability of each class (n, classes) from outputs (n, classes), or (n, 1) for two."""
    from scipy.special import expit, softmax  # which takes longer than many a report

    if outputs.shape[1] == 1:
        one = expit(outputs) if from_logits else np.clip(outputs, 0.0, 1.0)
        return np.concatenate([1 - one, one], axis=1)
    every: NDArray[np.float64] = softmax(outputs, axis=1) if from_logits else np.clip(outputs, 0.0, 1.0)
    return every


def predicted_classes(outputs: NDArray[np.float64], *, from_logits: bool = True) -> NDArray[np.int64]:
    """Return the largest of several, or for one a probability above ½, which is a logit above 0."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > (0.0 if from_logits else 0.5)).astype(np.int64)
    largest: NDArray[np.int64] = np.argmax(outputs, axis=1)
    return largest
