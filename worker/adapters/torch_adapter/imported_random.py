"""PyTorch's dropout and random draws, replaced by NumPy's numbers while a user's program runs.

Replaced are `nn.Dropout` and its kin, `torch.nn.functional`'s, the dropout of attention and between the
layers of a recurrent module, and `rand`, `randn`, `bernoulli` and their kin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from likewise.worker.port.randomness import DROPOUT, NORMAL, UNIFORM, UNPAIRED, Randomness, RandomSite
from likewise.worker.port.userfile import users_line

_SELU = -1.7580993408473766
"""What alpha dropout puts in place of a number: minus SELU's alpha times its scale."""


class NumpyDraws(TorchFunctionMode):  # type: ignore[misc]
    """While it is entered, the program's random numbers are those of a `Randomness`."""

    def __init__(self, randomness: Randomness) -> None:
        super().__init__()
        self._randomness = randomness

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        drawn = _DRAWS.get(getattr(func, "__name__", ""))
        if drawn is None:
            return func(*args, **(kwargs or {}))
        return drawn(self._randomness, func, args, kwargs or {})


def _given(args: Sequence[Any], kwargs: Mapping[str, Any], *names: str, **defaults: Any) -> dict[str, Any]:
    """Return a call's arguments by their names."""
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


def _dropped(
    randomness: Randomness, values: torch.Tensor, rate: float, function: str, noise: Sequence[int]
) -> tuple[RandomSite, NDArray[np.bool_] | None]:
    """Record a dropout; return it with what it keeps, None where dropout is off."""
    site = randomness.site(DROPOUT, function, noise, rate=float(rate), line=users_line())
    randomness.entered[site.key] = np.array(values.detach().cpu().numpy())
    return site, randomness.kept(site) if randomness.drops else None


def _scaled(
    randomness: Randomness, values: torch.Tensor, site: RandomSite, kept: NDArray[np.bool_]
) -> torch.Tensor:
    rate = randomness.rate(site)
    factor = kept / (1 - rate) if rate < 1 else np.zeros(kept.shape)
    return values * torch.as_tensor(factor, dtype=values.dtype, device=values.device)


def _drop(channels: bool, alpha: bool) -> Callable[..., Any]:
    def dropout(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
        given = _given(args, kwargs, "input", "p", "training", "inplace", p=0.5, training=not alpha)
        values, rate = given["input"], given["p"]
        if not given.get("train", given["training"]) or rate == 0:
            return func(*args, **kwargs)
        shape = list(values.shape)
        noise = [*shape[:2], *(1 for _ in shape[2:])] if channels else shape
        site, kept = _dropped(randomness, values, rate, func.__name__.strip("_"), noise)
        if kept is None:
            return values
        if alpha:
            rate = randomness.rate(site)
            scale = 1 / math.sqrt((1 - rate) * (1 + rate * _SELU**2))
            mask = torch.as_tensor(kept, dtype=values.dtype, device=values.device)
            result = scale * (values * mask + _SELU * (1 - mask)) - scale * _SELU * rate
        else:
            result = _scaled(randomness, values, site, kept)
        in_place = given.get("inplace") or func.__name__.endswith("_")
        return values.copy_(result) if in_place else result

    return dropout


def _attention(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
    """Compute attention by its formula where its weights are dropped."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = _given(args, kwargs, *names, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None)
    rate = given["dropout_p"]
    if rate == 0:
        return func(*args, **kwargs)
    query, key, value = given["query"], given["key"], given["value"]
    scale = query.shape[-1] ** -0.5 if given["scale"] is None else given["scale"]
    scores = query @ key.transpose(-2, -1) * scale
    mask = given["attn_mask"]
    if given["is_causal"]:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(dim=-1)
    site, kept = _dropped(randomness, weights, rate, func.__name__, weights.shape)
    return (weights if kept is None else _scaled(randomness, weights, site, kept)) @ value


def _attention_forward(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
    """Run the function behind `nn.MultiheadAttention` so that what it calls is seen, too.

    A function that asks whether a mode is entered is run by that mode with the mode left. This one is told
    once that there is none.
    """
    asked = functional.has_torch_function

    def no_mode(_: Any) -> bool:
        functional.has_torch_function = asked
        return False

    functional.has_torch_function = no_mode
    try:
        with NumpyDraws(randomness):
            return func(*args, **kwargs)
    finally:
        functional.has_torch_function = asked


def _recurrent(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
    """Run a recurrent module layer by layer, with dropout between its layers."""
    packed = isinstance(args[1], torch.Tensor) and not args[1].is_floating_point()
    head, (hx, flat, bias, layers, rate, training, both_ways), rest = (
        (args[:2], args[2:9], ()) if packed else (args[:1], args[1:8], args[8:])
    )
    if not training or rate == 0 or layers == 1:
        return func(*args, **kwargs)
    directions = 2 if both_ways else 1
    states = hx if isinstance(hx, tuple | list) else (hx,)
    a_layer = len(flat) // layers
    values, ends = head[0], []
    for layer in range(layers):
        own = tuple(one[layer * directions : (layer + 1) * directions] for one in states)
        state = own if isinstance(hx, tuple | list) else own[0]
        weights = flat[layer * a_layer : (layer + 1) * a_layer]
        values, *last = func(values, *head[1:], state, weights, bias, 1, 0.0, training, both_ways, *rest)
        ends.append(last)
        if layer < layers - 1:
            site, kept = _dropped(randomness, values, rate, "dropout between layers", values.shape)
            values = values if kept is None else _scaled(randomness, values, site, kept)
    return (values, *(torch.cat(several) for several in zip(*ends, strict=True)))


def _number(function: Callable[[Randomness, Any, Mapping[str, Any]], torch.Tensor]) -> Callable[..., Any]:
    """Return a draw that puts its result in the tensor of a method that ends in `_`."""

    def drawn(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
        with torch.no_grad():
            result = function(randomness, func, {"": args, **kwargs})
        if func.__name__.endswith("_"):
            return args[0].copy_(result)
        return result.requires_grad_() if kwargs.get("requires_grad") else result

    return drawn


def _made(numbers: NDArray[Any], given: Mapping[str, Any], like: torch.Tensor | None = None) -> torch.Tensor:
    dtype = given.get("dtype") or (torch.get_default_dtype() if like is None else like.dtype)
    return torch.as_tensor(numbers).to(dtype=dtype, device=None if like is None else like.device)


def _shape(args: Sequence[Any], given: Mapping[str, Any]) -> Sequence[int]:
    if "size" in given:
        return tuple(given["size"])
    return tuple(args[0]) if args and isinstance(args[0], list | tuple) else args


def _fresh(family: str) -> Callable[..., torch.Tensor]:
    def fresh(randomness: Randomness, func: Any, given: Mapping[str, Any]) -> torch.Tensor:
        site = randomness.site(family, func.__name__, _shape(given[""], given), line=users_line())
        return _made(randomness.numbers(site), given)

    return fresh


def _like(family: str) -> Callable[..., torch.Tensor]:
    """Draw numbers for a tensor that is there; in place, from and to or mean and deviation may be given."""

    def like(randomness: Randomness, func: Any, given: Mapping[str, Any]) -> torch.Tensor:
        args = given[""]
        tensor = args[0] if args else given["input"]
        site = randomness.site(family, func.__name__, tensor.shape, line=users_line())
        numbers = randomness.numbers(site)
        if func.__name__ in ("uniform_", "normal_"):
            names = ("from", "to") if family == UNIFORM else ("mean", "std")
            low, high = (
                args[place] if len(args) > place else given.get(name, default)
                for place, name, default in zip((1, 2), names, (0.0, 1.0), strict=True)
            )
            numbers = low + numbers * (high - low if family == UNIFORM else high)
        return _made(numbers, given, tensor)

    return like


def _normal(randomness: Randomness, func: Any, given: Mapping[str, Any]) -> torch.Tensor:
    args = given[""]
    mean = args[0] if args else given["mean"]
    deviation = args[1] if len(args) > 1 else given.get("std", 1.0)
    tensor = next((one for one in (mean, deviation) if isinstance(one, torch.Tensor)), None)
    shape = given.get("size", args[2] if len(args) > 2 else ()) if tensor is None else tensor.shape
    site = randomness.site(NORMAL, func.__name__, shape, line=users_line())
    return mean + _made(randomness.numbers(site), given, tensor) * deviation


def _bernoulli(randomness: Randomness, func: Any, given: Mapping[str, Any]) -> torch.Tensor:
    """Draw ones with a probability, where a dropout of that probability would keep a number."""
    args = given[""]
    tensor = args[0] if args else given["input"]
    chance = args[1] if len(args) > 1 else given.get("p", tensor if func.__name__ == "bernoulli" else 0.5)
    site = randomness.site(UNIFORM, func.__name__, tensor.shape, line=users_line())
    numbers = torch.as_tensor(randomness.numbers(site))
    return _made((numbers >= 1 - torch.as_tensor(chance)).numpy(), given, tensor)


def _unpaired(randomness: Randomness, func: Any, args: Any, kwargs: Any) -> Any:
    result = func(*args, **kwargs)
    randomness.site(UNPAIRED, func.__name__, getattr(result, "shape", ()), line=users_line())
    return result


_DRAWS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("dropout", "dropout_"), _drop(channels=False, alpha=False)),
    **dict.fromkeys(
        ("dropout1d", "dropout2d", "dropout3d", "feature_dropout", "feature_dropout_"),
        _drop(channels=True, alpha=False),
    ),
    **dict.fromkeys(("alpha_dropout", "alpha_dropout_"), _drop(channels=False, alpha=True)),
    **dict.fromkeys(("feature_alpha_dropout", "feature_alpha_dropout_"), _drop(channels=True, alpha=True)),
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _attention_forward,
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), _recurrent),
    "rand": _number(_fresh(UNIFORM)),
    "randn": _number(_fresh(NORMAL)),
    **dict.fromkeys(("rand_like", "uniform_"), _number(_like(UNIFORM))),
    **dict.fromkeys(("randn_like", "normal_"), _number(_like(NORMAL))),
    "normal": _number(_normal),
    **dict.fromkeys(("bernoulli", "bernoulli_"), _number(_bernoulli)),
    **dict.fromkeys(
        ("randint", "randint_like", "randperm", "multinomial", "random_", "exponential_", "geometric_"),
        _unpaired,
    ),
    **dict.fromkeys(("poisson", "cauchy_", "log_normal_", "rrelu", "_standard_gamma"), _unpaired),
}
