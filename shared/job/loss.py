"""The loss. Formulas are pinned here; `shared.losses` is their NumPy reference.

With outputs o and targets t of shape (samples, targets), one element a target:

    mse                        (o − t)²
    mae                        |o − t|
    huber                      ½(o − t)² where |o − t| ≤ delta, else delta·(|o − t| − ½·delta)
    log_cosh                   |o − t| + log(1 + exp(−2·|o − t|)) − log 2, which is log(cosh(o − t))
    quantile                   q·(t − o) where t ≥ o, else (1 − q)·(o − t), with q the `quantile`
    poisson                    exp(o) − t·o; o is the logarithm of the rate
    binary_crossentropy        max(o, 0) − o·t + log(1 + exp(−|o|)); o is a logit
    binary_focal_crossentropy  (1 − p_t)^gamma times that, with p_t = t·p + (1 − t)·(1 − p) and p = σ(o)
                               (Lin et al. 2017); balanced, times t·alpha + (1 − t)·(1 − alpha)
    hinge                      max(1 − t·o, 0) with t −1 or 1
    squared_hinge              max(1 − t·o, 0)²

One element a sample, with k classes:

    categorical_crossentropy   s[t] with s = logsumexp(o) − o; o are logits
    categorical_focal_crossentropy  f[t] with f = alpha·(1 − p)^gamma·s and p = exp(−s)
    categorical_hinge          max(1 + m − o[t], 0) with m the largest of 0 and the other classes' o
    multi_margin               Σ over the other classes j of max(margin − o[t] + o[j], 0)^p, divided by k
    kl_divergence              Σ t·(log t − (o − logsumexp(o))) over the row; 0·log 0 is 0
    cosine_similarity          −Σ o·t / (√max(Σ o², 1e-12)·√max(Σ t², 1e-12)) over the row

One element a batch, or one a sample with `per: sample`, from probabilities p and targets t of 0 and 1:

    dice                       1 − (2·Σ t·p + smooth) / (Σ t + Σ p + smooth + epsilon)
    tversky                    1 − (Σ t·p + smooth) / (s + smooth + epsilon)
                               with s = Σ t·p + alpha·Σ t·(1 − p) + beta·Σ (1 − t)·p

`from_logits: false` takes the outputs for probabilities; p is then o, which the cross-entropies clip to
[1e-7, 1 − 1e-7], as Keras does: binary_crossentropy is −(t·log p + (1 − t)·log(1 − p)), and
categorical_crossentropy has s = log(Σ p) − log p, which makes up for a row that does not sum to 1. The focal
losses are built on these. In them 1 − p_t and 1 − p are no less than 1e-30.

`label_smoothing` a moves targets: to t·(1 − a) + a/2 in the binary cross-entropies; in the categorical ones
to (1 − a)·s[t] + (a/k)·Σⱼ s[j], or the same of f.

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

A model of several outputs has a loss for each. What is minimised, and reported as the loss, is their sum,
each times its `weight`. Over an epoch it is the mean of the batches', by their samples, unless every output's
is a sum.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Fraction, Many, NonNegative, Positive
from likewise.shared.job.kinds import Kinds

Reduction = Literal["mean", "sum", "sum_of_means"]

Task = Literal["regression", "binary", "multiclass", "several"]
"""What the targets are: numbers, a class 0 or 1 for each output, the number of one class, or several of these
for outputs with names."""

PROBABILITY_MARGIN = 1e-7
"""How near to 0 and 1 a probability may come before its logarithm is taken."""
LEAST_LEFT = 1e-30
"""The least that a focal loss takes for what a probability lacks of 1, so that its power has a gradient."""


class _Loss(Frozen):
    task: ClassVar[Task] = "regression"

    reduction: Reduction = "mean"
    """What becomes of a batch's elements; Keras's sum is `sum_of_means`."""
    weighting: Literal["by_count", "by_weights"] = "by_count"
    """Whether the mean of weighted elements divides by their number (Keras) or their weights (PyTorch)."""
    weight: NonNegative = 1.0
    """What the reduced loss is multiplied by: what it counts beside those of other outputs, as Keras's
    `loss_weights`. An only loss has none."""

    @model_serializer(mode="wrap")
    def _without_the_weight_of_an_only_loss(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write 1, which an only loss has, nowhere; `Losses` writes every weight."""
        written: dict[str, Any] = handler(self)
        return {name: value for name, value in written.items() if name != "weight" or value != 1.0}


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


class BinaryLoss(_Loss):
    """Targets are classes 0 and 1, each with an output of its own."""

    task: ClassVar[Task] = "binary"


class MulticlassLoss(_Loss):
    """One output a class; targets are class numbers from 0, or one-hot rows."""

    task: ClassVar[Task] = "multiclass"


class BinaryCrossentropy(BinaryLoss):
    """Targets are 0 or 1, or the probability of 1, such as smoothed labels; above ½ they count as class 1."""

    type: Literal["binary_crossentropy"]
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a sigmoid."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=2, max_length=2)
    """The weights of targets 0 and 1."""


class BinaryFocalCrossentropy(BinaryLoss):
    """A cross-entropy in which a target that is met counts little; targets are 0 or 1, or between."""

    type: Literal["binary_focal_crossentropy"]
    gamma: NonNegative = 2.0
    """How much less a target counts the better it is met; 0 is binary_crossentropy."""
    apply_class_balancing: bool = False
    """Whether alpha weighs the two targets; Keras does so if asked, torchvision always."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The weight of targets 1 where classes are balanced; targets 0 have 1 − alpha."""
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a sigmoid."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=2, max_length=2)
    """The weights of targets 0 and 1."""


class _HingeLoss(BinaryLoss):
    labels: Literal["signed", "as_given"] = "signed"
    """Whether a target of 0 stands for −1, as Keras makes it, or multiplies the output as it is, so that it
    costs 1 whatever the output and teaches nothing."""
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=2, max_length=2)
    """The weights of targets 0 (or −1) and 1."""


class Hinge(_HingeLoss):
    """Targets are 0 and 1, or −1 and 1; an output above 0 is class 1. Its gradient at a margin of 1 is 0."""

    type: Literal["hinge"]


class SquaredHinge(_HingeLoss):
    """The hinge, squared; targets are 0 and 1, or −1 and 1."""

    type: Literal["squared_hinge"]


class _OverlapLoss(BinaryLoss):
    per: Literal["batch", "sample"] = "batch"
    """Whether one ratio is taken over the whole batch, as Keras does, or one for each sample."""
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a sigmoid."""
    smooth: NonNegative = 0.0
    """It is added above and below the line, as many ports do with 1."""
    epsilon: NonNegative = 1e-7
    """It is added below the line alone, as Keras does, where nothing else may be."""


class Dice(_OverlapLoss):
    """One minus how much outputs and targets overlap (Milletari et al. 2016, without squares)."""

    type: Literal["dice"]


class Tversky(_OverlapLoss):
    """Dice with a weight for either kind of error; 0.5 for both is Dice."""

    type: Literal["tversky"]
    alpha: NonNegative = 0.5
    """The weight of targets that are missed, Σ t·(1 − p), as in Keras; Salehi et al. 2017 give this weight to
    the others."""
    beta: NonNegative = 0.5
    """The weight of outputs without a target, Σ (1 − t)·p."""


class CategoricalCrossentropy(MulticlassLoss):
    """One output a class; targets are class numbers from 0, or one-hot rows."""

    type: Literal["categorical_crossentropy"]
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a softmax."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=1)
    """One weight for each class, from 0 on."""
    ignore_index: int | None = Field(default=None, ge=-(2**24), le=2**24)
    """Class number of targets that count for nothing; metrics leave them out, too. PyTorch's own is −100."""


class CategoricalFocalCrossentropy(MulticlassLoss):
    """A cross-entropy in which a sample whose class is found counts little."""

    type: Literal["categorical_focal_crossentropy"]
    gamma: NonNegative = 2.0
    """How much less a class counts the more probable it is; 0 is categorical_crossentropy, times alpha."""
    alpha: Positive = 0.25
    """A factor of every element, as in Keras; `class_weights` has one for each class."""
    from_logits: bool = True
    """False takes the outputs for probabilities, as after a softmax."""
    label_smoothing: Fraction = 0.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=1)
    """One weight for each class, from 0 on."""


class CategoricalHinge(MulticlassLoss):
    """The class must lead the best of the others, and 0, by 1: Keras's formula."""

    type: Literal["categorical_hinge"]


class MultiMargin(MulticlassLoss):
    """The class must lead each of the others by `margin`: PyTorch's MultiMarginLoss."""

    type: Literal["multi_margin"]
    p: Literal[1, 2] = 1
    """The power of what is missing."""
    margin: Positive = 1.0
    class_weights: Many[NonNegative] | None = Field(default=None, min_length=1)
    """One weight for each class, from 0 on."""


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
    | BinaryFocalCrossentropy
    | Hinge
    | SquaredHinge
    | Dice
    | Tversky
    | CategoricalCrossentropy
    | CategoricalFocalCrossentropy
    | CategoricalHinge
    | MultiMargin,
    Kinds(),
]


ElementLoss = MeanSquaredError | MeanAbsoluteError | Huber | LogCosh | Quantile | Poisson
"""The losses that compare each output with its own target, and so can be broadcast by mistake."""

Crossentropy = BinaryCrossentropy | BinaryFocalCrossentropy
ClassCrossentropy = CategoricalCrossentropy | CategoricalFocalCrossentropy
Margin = Hinge | SquaredHinge | CategoricalHinge | MultiMargin
"""The losses whose outputs are no logits: only how far they are apart counts."""
TwoClassLoss = Crossentropy | Hinge | SquaredHinge | Dice | Tversky
ClassLoss = ClassCrossentropy | CategoricalHinge | MultiMargin


def is_broadcast(loss: Loss) -> bool:
    """Return whether each output is set against every target of its batch."""
    return isinstance(loss, ElementLoss) and loss.targets == "broadcast"


def takes_logits(loss: Loss) -> bool:
    """Return whether a classification's outputs are logits, or margins, which say class 1 above 0."""
    if isinstance(loss, BinaryLoss | MulticlassLoss):
        return bool(getattr(loss, "from_logits", True))
    return isinstance(loss, KlDivergence)


def is_by_row(loss: Loss) -> bool:
    """Return whether the loss has one element a sample, or fewer, not one an output."""
    return isinstance(loss, MulticlassLoss | KlDivergence | CosineSimilarity | Dice | Tversky)


def is_by_batch(loss: Loss) -> bool:
    """Return whether the loss has one element a batch, so that no sample has a loss of its own."""
    return isinstance(loss, Dice | Tversky) and loss.per == "batch"


def class_weights_of(loss: Loss) -> tuple[float, ...] | None:
    """Return a weight for each class; None where classes count alike."""
    return getattr(loss, "class_weights", None)


def takes_probabilities(loss: Loss) -> bool:
    """Return whether targets of two classes may also be probabilities of class 1, such as smoothed ones."""
    return isinstance(loss, Crossentropy)


def takes_signs(loss: Loss) -> bool:
    """Return whether targets of two classes may also be −1 and 1."""
    return isinstance(loss, Hinge | SquaredHinge)


def ignored_class(loss: Loss) -> int | None:
    """Return the class number of targets that count for nothing, if there is one."""
    return loss.ignore_index if isinstance(loss, CategoricalCrossentropy) else None
