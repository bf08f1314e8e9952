"""The optimizers, one pinned published formula each.

g is the gradient after clipping, η the learning rate of this update, t counts updates from 1. Constants
such as 1 − βᵗ are computed in float64 and rounded once to the run's precision. Every product, sum and
quotient is an operation of its own (no fused multiply-add), in the order written; what stands in
square brackets is one constant, as `worker.adapters.constants` names it.

    sgd      w ← w − η·g; with momentum μ: v ← μ·v − η·g, w ← w + v
             nesterov: v ← μ·v − η·g, w ← w + (μ·v − η·g)         (Sutskever et al. 2013)
             buffer: b ← μ·b + g, w ← w − η·b; with nesterov w ← w − η·(g + μ·b)
    adam     m ← m + [1−β₁]·(g − m), v ← v + [1−β₂]·(g·g − v)
             w ← w − ([η/(1−β₁ᵗ)]·m) / (√v/[√(1−β₂ᵗ)] + ε)        (Kingma & Ba 2015, algorithm 1)
             amsgrad: h ← max(h, v) stands for v in w's update    (Reddi et al. 2018)
             hat: w ← w − ([η·√(1−β₂ᵗ)/(1−β₁ᵗ)]·m) / (√v + ε)     (the same paper, end of section 2)
             uncorrected: w ← w − η·m / (√v + ε)
    adamw    adam, its weight decay decoupled                     (Loshchilov & Hutter 2019)
    adamax   m as in adam, u ← max(β₂·u, |g|)                     (Kingma & Ba 2015, algorithm 2,
             w ← w − ([η/(1−β₁ᵗ)]·m) / (u + ε)                    with ε against a u of 0)
             inside: u ← max(β₂·u, |g| + ε), w ← w − ([η/(1−β₁ᵗ)]·m) / u
             uncorrected: η stands for η/(1−β₁ᵗ)
    nadam    m and v as in adam, μₜ = β₁·(1 − ½·0.96^(t·ψ))       (Dozat 2016, with β₁ in m,
             w ← w − ([η·μₜ₊₁/(1−Πₜ₊₁)]·m + [η·(1−μₜ)/(1−Πₜ)]·g)  as both Keras and PyTorch)
                     / (√v/[√(1−β₂ᵗ)] + ε), where Πₜ = μ₁·…·μₜ
             hat: both constants times √(1−β₂ᵗ), and √v + ε
             uncorrected: w ← w − (η·μₜ₊₁·m + η·(1−μₜ)·g) / (√v + ε)
    rmsprop  v ← v + [1−ρ]·(g·g − v), u = g/(√v + ε)              (Tieleman & Hinton 2012)
             w ← w − η·u; with momentum μ: b ← μ·b + u, w ← w − η·b
             velocity: s ← μ·s + η·u, w ← w − s; inside: u = g/√(v + ε)
             centered: d = g − a, a ← a + [1−ρ]·d,                (Graves 2013, with ε
             v ← ρ·(v + [1−ρ]·(d·d))                              outside the root)
    adagrad  v ← v + g·g from v = a₀, w ← w − η·(g/(√v + ε))      (Duchi et al. 2011, with a₀)
             inside: w ← w − η·(g/√(v + ε))
    adadelta v ← v + [1−ρ]·(g·g − v), u = (√(d + ε)/√(v + ε))·g   (Zeiler 2012, who has η = 1)
             d ← d + [1−ρ]·(u·u − d), w ← w − η·u

The v of centered rmsprop is Graves's mean of g·g less the square of the mean of g, followed without ever
taking that difference: it would lose its digits, and fall below 0, where gradients hardly vary.
The maximum of amsgrad is of v before its correction, as in Keras and PyTorch. Each state starts at 0
where nothing else is said. `momentum_decay` is ψ, `initial_accumulator_value` a₀: the v of adagrad and of
rmsprop before the first update, 1 in TensorFlow 1's RMSProp. Without `bias_correction`, as in BERT's first
AdamW, the moments are used as they are.

Where Keras and PyTorch differ, a field says which formula. `epsilon_placement`: Keras has `hat` in adam,
`outside` in nadam and adamax, `inside` in rmsprop and adagrad; PyTorch `outside`, but `inside` in adamax.
`momentum_convention`: Keras has the `velocity`, which keeps the learning rates of its past, PyTorch the
`buffer`, which does not: they are the same while the rate is constant, and part under a schedule.

`weight_decay` λ applies to every trainable weight, or to those that `exclude_from_weight_decay` and
`include_in_weight_decay` leave: each of their words is a layer's name (`norm`), a kind of layers
(`layer_norm`), the last word of a weight's name (`bias`, `gamma`), or a whole name (`head.bias`).
`coupled`, as in PyTorch but for adamw, it is the L2 penalty's gradient, g ← g + λ·w after clipping.
`decoupled`, as in Keras, it is w ← w − [η·λ]·w before the update. Clipping, at most one kind: `clip_value`
c: each element to [−c, c]; `clip_norm` c: each tensor times min(1, c/(‖g‖ + δ)); `global_clip_norm` c: all
tensors times min(1, c/(‖all g‖ + δ)). `clip_epsilon` is δ.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Fraction, Many, NonNegative, Positive
from likewise.shared.job.kinds import Kinds
from likewise.shared.job.schedule import Schedule


class BaseOptimizer(Frozen):
    """It has what every optimizer has."""

    learning_rate: Positive
    weight_decay: NonNegative = 0.0
    weight_decay_kind: Literal["coupled", "decoupled"] = "coupled"
    """Into the gradient (PyTorch), or off the weights themselves (Keras, and adamw everywhere)."""
    exclude_from_weight_decay: Many[str] = ()
    """Weights that do not decay: names or kinds of layers, or last words of weights, such as [bias, gamma,
    beta, embeddings]."""
    include_in_weight_decay: Annotated[Many[str], Field(min_length=1)] | None = None
    """The only weights that decay, by the same words, instead; null is all."""
    clip_value: Positive | None = None
    clip_norm: Positive | None = None
    global_clip_norm: Positive | None = None
    clip_epsilon: NonNegative = 0.0
    """Added to the norm that is clipped by: PyTorch has 1e-6, Keras 0."""
    schedule: Schedule | None = None
    use_ema: bool = False
    """Keep a moving average of the trained weights, which takes their place where ema_use says: after each
    update average ← average + (1 − ema_momentum)·(w − average)."""
    ema_momentum: Fraction = 0.99
    """The part of the average that stays at each update."""
    ema_start: Literal["first_update", "initial_weights", "corrected"] = "first_update"
    """Where the average begins: at the weights after the first update (Keras's optimizers, PyTorch's
    AveragedModel), at the initial weights (a copy of the model), or at 0, divided by 1 − momentumᵗ."""
    ema_use: Literal["end", "evaluation"] = "end"
    """Whether the average is the result at the end alone (Keras), or every evaluation uses it, too."""
    ema_buffers: bool = False
    """Whether batch norm's moving statistics are averaged with the weights, as by timm's ModelEma and
    PyTorch's AveragedModel with use_buffers, or are the current ones beside the average, as in Keras."""

    @model_validator(mode="after")
    def _one_way_to_group(self) -> BaseOptimizer:
        if self.exclude_from_weight_decay and self.include_in_weight_decay is not None:
            raise ValueError(
                "exclude_from_weight_decay and include_in_weight_decay exclude each other; keep one"
            )
        return self

    @model_validator(mode="after")
    def _one_clipping(self) -> BaseOptimizer:
        kinds = [k for k in ("clip_value", "clip_norm", "global_clip_norm") if getattr(self, k)]
        if len(kinds) > 1:
            raise ValueError(f"{kinds[0]} and {kinds[1]} exclude each other; keep one")
        return self


class Sgd(BaseOptimizer):
    """Stochastic gradient descent, with momentum if asked."""

    type: Literal["sgd"]
    learning_rate: Positive = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False
    momentum_convention: Literal["velocity", "buffer"] = "velocity"
    """Whether momentum gathers steps, learning rate and all (Keras), or gradients (PyTorch)."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Adam(BaseOptimizer):
    """Adam; epsilon stands outside the bias-corrected root, or with `hat` outside the root as it is."""

    type: Literal["adam"]
    learning_rate: Positive = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "hat"] = "outside"
    """Added to the root after its correction (PyTorch), or before, as ε̂ (Keras)."""
    amsgrad: bool = False
    """Divide by the largest second moment so far."""
    bias_correction: bool = True
    """Divide the moments by what is missing in them while they fill; BERT's first AdamW did not."""


class AdamW(BaseOptimizer):
    """Adam with decoupled weight decay, which is larger by default."""

    type: Literal["adamw"]
    learning_rate: Positive = 0.001
    weight_decay: NonNegative = 0.004
    weight_decay_kind: Literal["coupled", "decoupled"] = "decoupled"
    """Into the gradient, or off the weights themselves (Keras and PyTorch)."""
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "hat"] = "outside"
    """Added to the root after its correction (PyTorch), or before, as ε̂ (Keras)."""
    amsgrad: bool = False
    """Divide by the largest second moment so far."""
    bias_correction: bool = True
    """Divide the moments by what is missing in them while they fill; BERT's first AdamW did not."""


class Adamax(BaseOptimizer):
    """Adam with the decayed maximum of |g| for the root of the second moment."""

    type: Literal["adamax"]
    learning_rate: Positive = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "inside"] = "outside"
    """Added to the maximum (Keras), or to |g| within it (PyTorch)."""
    bias_correction: bool = True
    """Divide the gradient's mean by what is missing in it while it fills."""


class Nadam(BaseOptimizer):
    """Adam with Nesterov's momentum, which warms up from half of beta_1."""

    type: Literal["nadam"]
    learning_rate: Positive = 0.001
    beta_1: Fraction = 0.9
    beta_2: Fraction = 0.999
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "hat"] = "outside"
    """Added to the root after its correction (Keras and PyTorch), or before, as ε̂."""
    momentum_decay: NonNegative = 0.004
    """How fast the momentum warms up. Dozat's and PyTorch's value; Keras has 1."""
    bias_correction: bool = True
    """Divide the moments by what is missing in them while they fill."""


class RmsProp(BaseOptimizer):
    """RMSprop; epsilon stands outside the root, or inside."""

    type: Literal["rmsprop"]
    learning_rate: Positive = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    momentum_convention: Literal["velocity", "buffer"] = "buffer"
    """Whether momentum gathers steps, learning rate and all (Keras), or quotients (PyTorch)."""
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "inside"] = "outside"
    """Added to the root (PyTorch), or under it (Keras)."""
    centered: bool = False
    """Divide by the gradient's deviation from its mean instead of its size."""
    initial_accumulator_value: NonNegative = 0.0
    """What the mean of the squared gradients starts at: 0 in Keras and PyTorch, 1 in TensorFlow 1."""


class Adagrad(BaseOptimizer):
    """Adagrad; epsilon stands outside the root, or inside."""

    type: Literal["adagrad"]
    learning_rate: Positive = 0.001
    initial_accumulator_value: NonNegative = 0.1
    epsilon: Positive = 1e-7
    epsilon_placement: Literal["outside", "inside"] = "outside"
    """Added to the root (PyTorch), or under it (Keras)."""


class Adadelta(BaseOptimizer):
    """Adadelta; epsilon stands inside both roots. The defaults are those of its paper."""

    type: Literal["adadelta"]
    learning_rate: Positive = 1.0
    rho: Fraction = 0.95
    epsilon: Positive = 1e-6


Optimizer = Annotated[
    Sgd | Adam | AdamW | Adamax | Nadam | RmsProp | Adagrad | Adadelta,
    Kinds(),
]


def is_decoupled(optimizer: Optimizer) -> bool:
    """Return whether weight decay goes off the weights themselves, by the constant `decay`."""
    return optimizer.weight_decay_kind == "decoupled"


def structure(optimizer: Optimizer) -> Optimizer:
    """Return the optimizer's formula without its numbers: each is ½, the schedule left out.

    Two optimizers of one structure are one program that is given other constants, and can train side by
    side in it. 0 stays where it changes the formula: no momentum keeps no state, and no coupled decay adds
    nothing to the gradient. Whoever builds a program from the structure alone, and took a number from here
    by mistake, would take ½, which the contract suite sees.
    """
    zeros = {"momentum"} if is_decoupled(optimizer) else {"momentum", "weight_decay"}
    numbers = {
        name: 0.0 if value == 0 and name in zeros else 0.5
        for name, value in optimizer
        if isinstance(value, float | int) and not isinstance(value, bool)
    }
    return optimizer.model_copy(update={**numbers, "schedule": None})
