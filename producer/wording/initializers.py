"""The rule on what draws the weights: initializers that give each weight the same distribution. Pure."""

from __future__ import annotations

from math import isclose, sqrt

from likewise.producer.wording.form import Form
from likewise.producer.wording.layers import Forms, differs, drawn_otherwise, pairs_of_layers, same_start
from likewise.shared.job.weights import (
    Constant,
    FanScaled,
    FanScaledNormal,
    IdentityMatrix,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
    Zeros,
)
from likewise.shared.program.spec import Weight

NEVER = 9.0
"""A draw from a normal is never so many deviations from its mean."""
CUT_AT_TWO = 0.8796256610342398
"""The deviation of a standard normal that is cut at two."""


def drawn_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's initializers where they give each weight the same distribution."""
    programs = reference.program, other.program
    if programs[0] is None or programs[1] is None or not same_start(reference, other):
        return None
    changed = other
    for index, mine, theirs in pairs_of_layers(reference, other):
        weights = [program.stages[index].weights for program in programs if program is not None]
        if not _same_distributions(*weights):
            continue
        drawn = {
            name: mine.model_dump(mode="json")[name]
            for name in type(mine).model_fields
            if name.endswith("_initializer") and differs(mine, theirs, name)
        }
        if mine.type == "bidirectional" and mine.layer != theirs.layer:
            own = [layer.layer.model_dump(mode="json") for layer in (mine, theirs)]
            inner = {name: value for name, value in own[0].items() if name.endswith("_initializer")}
            if own[1] | inner != own[1]:
                drawn["layer"] = own[1] | inner
        if drawn:
            changed = changed.with_layer(index, **drawn)
    return (reference, drawn_otherwise(changed)) if changed is not other else None


def _same_distributions(mine: tuple[Weight, ...], theirs: tuple[Weight, ...]) -> bool:
    if [(one.own_name, one.shape, one.ones) for one in mine] != [
        (one.own_name, one.shape, one.ones) for one in theirs
    ]:
        return False
    both = [[distribution(weight) for weight in weights] for weights in (mine, theirs)]
    return all(
        one[0] == two[0] and all(isclose(a, b, rel_tol=1e-12) for a, b in zip(one[1], two[1], strict=True))
        for one, two in zip(*both, strict=True)
    )


def distribution(weight: Weight) -> tuple[str, tuple[float, ...]]:  # noqa: PLR0911
    """Return what draws a weight, and its constants: a mean and a spread."""
    kind = weight.initializer
    fans = {
        "fan_in": weight.fan_in,
        "fan_out": weight.fan_out,
        "fan_avg": (weight.fan_in + weight.fan_out) / 2,
    }
    match kind:
        case Zeros():
            return "constant", (0.0,)
        case Ones():
            return "constant", (1.0,)
        case Constant(value=value):
            return "constant", (value,)
        case Uniform(minval=low, maxval=high):
            return ("uniform", (low, high)) if low < high else ("constant", (low,))
        case Normal(mean=mean, stddev=deviation):
            return "untruncated_normal", (mean, deviation)
        case Orthogonal(gain=gain):
            return "orthogonal", (gain,)
        case IdentityMatrix(gain=gain):
            return "identity", (gain,)
        case TruncatedNormal():
            return _cut_distribution(kind)
        case VarianceScaling():
            spread, deviation = kind.distribution, sqrt(kind.scale / fans[kind.mode])
        case FanScaled() | FanScaledNormal():
            scale, mode = {"glorot": (1, "fan_avg"), "he": (2, "fan_in"), "lecun": (1, "fan_in")}[
                kind.type.split("_")[0]
            ]
            deviation = sqrt(scale / fans[mode])
            truncated = isinstance(kind, FanScaledNormal) and kind.truncated
            spread = "truncated_normal" if truncated else "untruncated_normal"
            spread = "uniform" if isinstance(kind, FanScaled) else spread
    if spread == "uniform":
        return spread, (-sqrt(3) * deviation, sqrt(3) * deviation)
    return spread, (0.0, deviation)


def _cut_distribution(kind: TruncatedNormal) -> tuple[str, tuple[float, ...]]:
    """Return the distribution of a truncated normal, by the word of one that draws the same, if any does."""
    low, high = kind.cut
    if low < -NEVER and high > NEVER:
        return "untruncated_normal", (kind.mean, kind.stddev)
    if (kind.mean, low, high) == (0.0, -2.0, 2.0):
        return "truncated_normal", (0.0, kind.stddev * CUT_AT_TWO)
    return "cut_normal", (kind.mean, kind.stddev, low, high)
