"""The loss. Formulas are pinned here; `shared.losses` is their NumPy reference.

With outputs o and targets t of shape (samples, targets), one element a target:

    mse                        (o − t)²
    mae                        |o − t|
    huber                      ½(o − t)² where |o − t| ≤ delta, else delta·(|o − t| − ½·delta)
    log_cosh                   |o − t| + log(1 + exp(−2·|o − t|)) − log 2, which is log(cosh(o − t))
    quantile                   q·(t − o) where t ≥ o, else (1 − q)·(o − t), with q the `quantile`
    poisson                    exp(o) − t·o; o is the logarithm of the rate
    binary_crossentropy        max(o, 0) − o·t + log(1 + exp(−|o|)); o is a logit

One element a sample, with k classes:

    categorical_crossentropy   s[t] with s = logsumexp(o) − o; o are logits
    kl_divergence              Σ t·(log t − (o − logsumexp(o))) over the row; 0·log 0 is 0
    cosine_similarity          −Σ o·t / (√max(Σ o², 1e-12)·√max(Σ t², 1e-12)) over the row

`from_logits: false` takes the outputs of a cross-entropy for probabilities, and p is o clipped to
[1e-7, 1 − 1e-7], as Keras does: binary_crossentropy is −(t·log p + (1 − t)·log(1 − p)), and
categorical_crossentropy has s = log(Σ p) − log p, which makes up for a row that does not sum to 1.

`label_smoothing` a moves targets: to t·(1 − a) + a/2 in binary_crossentropy; in categorical_crossentropy
to (1 − a)·s[t] + (a/k)·Σⱼ s[j].

`targets: broadcast` plants a classic mistake: targets of shape (n,) against outputs of shape (n, 1), which
PyTorch broadcasts, with a warning, to the (n, n) elements of every output against every target.

Each element ℓ has a weight w: its sample's, by `data.sample_weights`, times its target's class's, by
`class_weights` (before smoothing); 1 where nothing is declared. Over the N elements of a batch the loss is

    mean                       Σ w·ℓ / N, or Σ w·ℓ / Σ w with `weighting: by_weights`
    sum                        Σ w·ℓ
    sum_of_means               the sum over the samples of the mean of w·ℓ over a sample's row

Keras divides by N, PyTorch's own `weight` arguments by Σ w; PyTorch's sum is `sum`, Keras's `sum_of_means`.
Elements whose target is `ignore_index` count for nothing, neither in the sums nor in N; a batch of nothing
else, or of weights that are all 0, has the loss 0. The validation loss is this same loss, weights and all.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Fraction, Many, NonNegative, Positive, Word

Reduction = Literal["mean", "sum", "sum_of_means"]

PROBABILITY_MARGIN = 1e-7
"""How near to 0 and 1 a probability may come before its logarithm is taken."""


class _Loss(Frozen):
    reduction: Reduction = "mean"
    """What becomes of a batch's elements; Keras's sum is `sum_of_means`."""
    weighting: Literal["by_count", "by_weights"] = "by_count"
    """Whether the mean of weighted elements divides by their number (Keras) or their weights (PyTorch)."""


class _ElementLoss(_Loss):
    targets: Literal["aligned", "broadcast"] = "aligned"
    """`broadcast` sets each output against every target of the batch, as PyTorch does (n, 1) and (n,)."""


class MeanSquaredError(_ElementLoss):
    """The squared error (o − t)²."""

    type: Literal["mse"]


class MeanAbsoluteError(_ElementLoss):
    """|o − t|; its gradient at 0 is 0."""

    type: Literal["mae"]


class Huber(_ElementLoss):
    """Quadratic within `delta` of the target, linear beyond (Huber 1964)."""

    type: Literal["huber"]
    delta: Positive = 1.0


class LogCosh(_ElementLoss):
    """About ½(o − t)² near the target and |o − t| far from it; smooth."""

    type: Literal["log_cosh"]


class Quantile(_ElementLoss):
    """The outputs come to lie above a share `quantile` of the targets (Koenker & Bassett 1978).

    Its gradient where the output is the target is that of a lower output.
    """

    type: Literal["quantile"]
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Which quantile of the targets is estimated; 0.5 is half the absolute error, 0.9 the pinball loss for
    an upper bound."""


class Poisson(_ElementLoss):
    """Outputs are the logarithm of the rate, whatever its sign; targets are counts, 0 or more."""

    type: Literal["poisson"]


class KlDivergence(_Loss):
    """Outputs are logits, one a class; targets are rows of probabilities that sum to 1."""

    type: Literal["kl_divergence"]


class CosineSimilarity(_Loss):
    """Minus the cosine of the angle between outputs and targets; −1 where they point one way."""

    type: Literal["cosine_similarity"]


class BinaryCrossentropy(_Loss):
    """Targets are 0 or 1."""

    type: Literal["binary_crossentropy"]
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a sigmoid."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=2, max_length=2)
    """The weights of targets 0 and 1."""


class CategoricalCrossentropy(_Loss):
    """One output a class; targets are class numbers from 0, or one-hot rows."""

    type: Literal["categorical_crossentropy"]
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a softmax."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=1)
    """One weight for each class, from 0 on."""
    ignore_index: int | None = Field(default=None, ge=-(2**24), le=2**24)
    """Class number of targets that count for nothing; metrics leave them out, too. PyTorch's own is −100."""


Loss = Annotated[
    MeanSquaredError
    | MeanAbsoluteError
    | Huber
    | LogCosh
    | Quantile
    | Poisson
    | KlDivergence
    | CosineSimilarity
    | BinaryCrossentropy
    | CategoricalCrossentropy,
    Field(discriminator="type"),
    Word,
]


ElementLoss = MeanSquaredError | MeanAbsoluteError | Huber | LogCosh | Quantile | Poisson
"""The losses that compare each output with its own target, and so can be broadcast by mistake."""
ClassLoss = BinaryCrossentropy | CategoricalCrossentropy
"""The losses whose targets are classes."""


def is_broadcast(loss: Loss) -> bool:
    """Return whether each output is set against every target of its batch."""
    return isinstance(loss, ElementLoss) and loss.targets == "broadcast"


def takes_logits(loss: Loss) -> bool:
    """Return whether a classification's outputs are logits, which the loss turns into probabilities."""
    if isinstance(loss, ClassLoss):
        return loss.from_logits
    return isinstance(loss, KlDivergence)


def is_by_row(loss: Loss) -> bool:
    """Return whether the loss has one element a sample, not one an output."""
    return isinstance(loss, CategoricalCrossentropy | KlDivergence | CosineSimilarity)


MetricName = Literal["mae", "rmse", "r2", "accuracy", "f1", "auc"]

REGRESSION: tuple[MetricName, ...] = ("mae", "rmse", "r2")
CLASSIFICATION: tuple[MetricName, ...] = ("accuracy", "f1", "auc")


def fitting_metrics(loss: Loss) -> tuple[MetricName, ...]:
    """Return the metrics that fit the loss; all of them are reported where the job file names none."""
    classifies = isinstance(loss, ClassLoss)
    return CLASSIFICATION if classifies else REGRESSION
