"""What a template is told of a weight: how it is drawn, and whether a framework draws it so by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from likewise.shared.job.weights import (
    Constant,
    FanScaled,
    FanScaledNormal,
    IdentityMatrix,
    Initializer,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from likewise.shared.program import Weight

WIDENED = 0.87962566103423978
"""The deviation of a standard normal that is cut at two."""
NEVER = 9.0
"""A draw from a normal is never so many deviations from its mean."""


@dataclass(frozen=True, kw_only=True)
class WeightView:
    """How a weight is drawn: `law` with its numbers, by the word that was declared."""

    name: str
    own_name: str
    field: str
    """The layer's field that says so."""
    shape: tuple[int, ...]
    word: str
    law: str
    """`constant`, `uniform`, `normal`, `cut` (normal, drawn anew outside of low and high), `triangular`,
    `orthogonal`, `identity`."""
    native: bool
    """Whether the framework draws it so by itself."""
    ones: tuple[int, int] | None
    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    mean: float = 0.0
    deviation: float = 0.0
    gain: float = 1.0

    @property
    def cut_at_two(self) -> bool:
        """Return whether a cut normal is cut at two deviations on either side."""
        ends = (self.low - self.mean, self.high - self.mean)
        return all(math.isclose(abs(end), 2 * self.deviation) for end in ends) and ends[0] < 0 < ends[1]

    @property
    def shares(self) -> tuple[float, float]:
        """Return the error function at both ends of a cut normal."""
        low, high = ((end - self.mean) / self.deviation for end in (self.low, self.high))
        return math.erf(low / math.sqrt(2)), math.erf(high / math.sqrt(2))

    @property
    def is_kernel(self) -> bool:
        """Return whether its fans are its own."""
        return self.own_name.endswith("kernel")


def law_of(initializer: Initializer, weight: Weight) -> dict[str, Any]:
    """Return the law and the numbers that an initializer draws a weight by."""
    match initializer:
        case Constant(value=value):
            law: dict[str, Any] = {"law": "constant", "value": value}
        case Ones():
            law = {"law": "constant", "value": 1.0}
        case Uniform(minval=low, maxval=high):
            law = {"law": "uniform", "low": low, "high": high}
        case Normal(mean=mean, stddev=deviation):
            law = {"law": "normal", "mean": mean, "deviation": deviation}
        case TruncatedNormal(mean=mean, stddev=deviation):
            law = _cut(mean, deviation, *initializer.cut)
        case Orthogonal(gain=gain):
            law = {"law": "orthogonal", "gain": gain}
        case IdentityMatrix(gain=gain):
            law = {"law": "identity", "gain": gain}
        case FanScaled(type=word):
            law = _scaled(_variance(word, weight), "uniform")
        case FanScaledNormal(type=word, truncated=cut):
            law = _scaled(_variance(word, weight), "truncated_normal" if cut else "untruncated_normal")
        case VarianceScaling(scale=scale, mode=mode, distribution=distribution):
            sizes = {"fan_in": weight.fan_in, "fan_out": weight.fan_out}
            law = _scaled(scale / sizes.get(mode, (weight.fan_in + weight.fan_out) / 2), distribution)
        case _:
            law = {"law": "constant", "value": 0.0}
    return law


def _variance(word: str, weight: Weight) -> float:
    """Return the variance by the paper whose name the word begins with."""
    fan_in, fan_out = weight.fan_in, weight.fan_out
    return {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[word.partition("_")[0]]


def _scaled(variance: float, distribution: str) -> dict[str, Any]:
    deviation = math.sqrt(variance)
    match distribution:
        case "uniform":
            return {"law": "uniform", "low": -math.sqrt(3) * deviation, "high": math.sqrt(3) * deviation}
        case "triangular":
            return {"law": "triangular", "high": math.sqrt(6) * deviation}
        case "truncated_normal":
            return _cut(0.0, deviation / WIDENED, -2.0, 2.0)
        case _:
            return {"law": "normal", "deviation": deviation}


def _cut(mean: float, deviation: float, low: float, high: float) -> dict[str, Any]:
    """Return the law of a normal that is cut at so many deviations from its mean."""
    normal = {"mean": mean, "deviation": deviation}
    if low < -NEVER and high > NEVER:
        return {"law": "normal", **normal}
    return {"law": "cut", **normal, "low": mean + low * deviation, "high": mean + high * deviation}


def draws_alike(default: Any, weight: Weight) -> bool:
    """Return whether the weight is drawn by the law of a framework's default, whatever that is called."""
    if default is None:
        return False
    other: Any = TypeAdapter(Initializer).validate_python(default)
    return law_of(other, weight) == law_of(weight.initializer, weight)
