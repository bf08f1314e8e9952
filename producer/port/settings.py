"""Settings of paired modules and of optimizers, read from the live objects: what differs, and the edit for
each.

Values are in Keras's convention on both sides; the edits are spelled as each framework spells them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from likewise.producer.display import setting as shown
from likewise.producer.port.crops import crop_edit
from likewise.producer.port.frameworks import frameworks
from likewise.producer.port.mapping import Seen

TRAINING_ONLY = ("momentum",)
"""Settings of modules that only training shows."""
UNCOMPARED = ("affine", "filters", "units", "layers", "bidirectional", "input_dim", "output_dim")
"""Settings that the weights' shapes say already."""
CHANGEABLE = ("epsilon", "momentum", "negative_slope", "alpha")
"""Settings that a host can change on a live module, so that their effect is seen."""
STEPS_OF_SCHEDULE = 5
"""A schedule is told by so many learning rates (see `worker.port.contract`)."""
_NUMBERS_TO = 1e-9
"""Numbers that are as near are the same."""
_RATES = ("learning_rate", "schedule")
_RATES_TO = 1e-6
"""Learning rates that are as near are the same: Keras computes them in float32."""
_NOTHING = (None, 0, 0.0, False, "none")
_PADDINGS_BY_SHAPE = ("same", "causal")
"""Paddings whose zeros follow from the shape of the input and the kernel's."""
_ONLY_IN_NUMBERS = ("padding", "crop")
"""Settings that are told only where other numbers come out: they can be written in many ways."""


@dataclass(frozen=True)
class Difference:
    """A setting with another value on either side: the reference's, then the other's."""

    name: str
    reference: Any
    other: Any


def shows_in_numbers_alone(one: Difference) -> bool:
    """Return whether a setting is told only where it changes what leaves the module."""
    return one.name in _ONLY_IN_NUMBERS


def differences(reference: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Return the settings of two modules that differ, of those that both have.

    Paddings of which one is a word are left to the numbers that come out.
    """
    found = []
    for name, one in reference.items():
        if name in UNCOMPARED or name not in other:
            continue
        two = other[name]
        if one in _PADDINGS_BY_SHAPE or two in _PADDINGS_BY_SHAPE or (_is_nothing(one) and _is_nothing(two)):
            continue
        if not _same(_spread(one), _spread(two)):
            found.append(Difference(name, one, two))
    return found


def optimizer_differences(
    reference: Mapping[str, Any] | None, other: Mapping[str, Any] | None
) -> list[Difference]:
    """Return the numbers of two optimizers that differ; nothing, zero and no are the same.

    Of one that steps by a rule of the user's only the numbers that both have say something, and none that is
    nothing, since the rule may have it in itself: what it does is seen in its updates.
    """
    if reference is None or other is None:
        return []
    found = []
    one, two = dict(reference), dict(other)
    for given in (one, two):
        if given["type"] == "adamw" and given.get("weight_decay") in _NOTHING:
            given["type"] = "adam"
        if given["type"] == "adamw":
            given["type"] = "adam"
    grouped = {setting for given in (one, two) for setting in given.get("of_weights") or ()}
    for given in (one, two):
        for name in ("of_weights", "line", *grouped):  # what is of weights is compared weight by weight
            given.pop(name, None)
    if "schedule" in one or "schedule" in two:
        for given in (one, two):
            given.setdefault("schedule", [given["learning_rate"]] * STEPS_OF_SCHEDULE)
    own_rule = one.pop("own_rule", False) | two.pop("own_rule", False)
    names = [name for name in one if name in two and name != "type"] if own_rule else [*one, *two]
    for name in dict.fromkeys(names):
        first, second = one.get(name), two.get(name)
        nothing = [given in _NOTHING for given in (first, second)]
        if all(nothing) or (own_rule and any(nothing)):
            continue
        if not _same(first, second, to=_RATES_TO if name in _RATES else _NUMBERS_TO):
            found.append(Difference(name, first, second))
    return found


def of_weights(
    settings: tuple[Mapping[str, Any], Mapping[str, Any]],
    to_reference: Callable[[Mapping[str, float]], Mapping[str, float]],
    weights: Sequence[str],
) -> dict[str, list[tuple[str, float, float]]]:
    """Return, by setting, the weights of which two optimizers have another value: as decay groups do.

    `to_reference` gives values by the other side's names under the reference's; `weights` are those that are
    trained. An optimizer without groups has one value for all.
    """
    groups = [one.get("of_weights") or {} for one in settings]
    found = {}
    for setting in dict.fromkeys([*groups[0], *groups[1]]):
        whole = [float(one.get(setting) or 0.0) for one in settings]
        mine, theirs = groups[0].get(setting, {}), to_reference(groups[1].get(setting, {}))
        values = [(name, mine.get(name, whole[0]), theirs.get(name, whole[1])) for name in weights]
        to = _RATES_TO if setting in _RATES else _NUMBERS_TO
        differing = [one for one in values if not _same(one[1], one[2], to=to)]
        if differing:
            found[setting] = differing
    return found


def same_padding(shape: Sequence[int], settings: Mapping[str, Any]) -> list[list[int]]:
    """Return the zeros before and after each spatial axis that `same` stands for (TensorFlow's rule).

    `shape` is that of the input, with the samples first and the channels last.
    """
    kernel = _spread(settings.get("kernel_size", settings.get("pool_size")), len(shape) - 2)
    strides = _spread(settings["strides"], len(shape) - 2)
    dilation = _spread(settings.get("dilation_rate", 1), len(shape) - 2)
    found = []
    for size, width, step, apart in zip(shape[1:-1], kernel, strides, dilation, strict=True):
        total = max((math.ceil(size / step) - 1) * step + (width - 1) * apart + 1 - size, 0)
        found.append([total // 2, total - total // 2])
    return found


def own_zeros(module: Seen, shape: Sequence[int]) -> list[list[int]] | None:
    """Return the zeros that a convolution adds by itself around an input of this shape; None for others."""
    padding = module.settings.get("padding")
    if module.kind not in ("conv", "depthwise_conv") or padding is None:
        return None
    if padding == "same":
        return same_padding(shape, module.settings)
    if padding == "causal":
        return causal_padding(module.settings)
    return [[one, one] if isinstance(one, int) else list(one) for one in _spread(padding, len(shape) - 2)]


def causal_padding(settings: Mapping[str, Any]) -> list[list[int]]:
    """Return the zeros that `causal` stands for: all before the first step."""
    width, apart = (_spread(settings.get(name, 1), 1)[0] for name in ("kernel_size", "dilation_rate"))
    return [[(width - 1) * apart, 0]]


def edit(framework: str, module: Seen, name: str, value: Any) -> str:
    """Return what to write in a module's call so that a setting has this value."""
    if name == "padding":
        return _padding_edit(framework, module, value)
    if name == "crop":
        return crop_edit(framework, module.type, module.settings, value)
    spelled = frameworks()[framework]
    turned = round(1 - value, 12) if name in spelled["complements"] else value
    made = spelled["attention"] if name == "num_heads" else module.type
    return f"write {made}(…, {spelled['words'].get(name, name)}={_code(turned)})"


def optimizer_edit(framework: str, name: str, value: Any) -> str:
    """Return what to write in the optimizer's call."""
    if name == "type":
        return f"use {value} as the optimizer"
    if name == "schedule":
        return f"let its learning rates be {', '.join(f'{one:.6g}' for one in value)} in the first updates"
    spelled = frameworks()[framework]
    word = spelled["optimizer_words"].get(name, name)
    if name == "decay":
        edit_: str = spelled["decay"][value or "none"]
        return edit_
    if name in spelled["by_step"]:
        return spelled["by_step"][name].format(value=_code(value)) if value else f"do not clip by {name}"
    if value is None:
        return f"leave {word} out of the optimizer's call"
    return f"write {word}={_code(value)} in the optimizer's call"


def _padding_edit(framework: str, module: Seen, value: Any) -> str:
    """Return how zeros around a module's input are written: as its own setting where it can have them."""
    spelled = frameworks()[framework]
    if isinstance(value, str):
        return f"write {module.type}(…, padding={value!r})"
    pairs = [[one, one] if isinstance(one, int) else list(one) for one in value]
    if not any(number for pair in pairs for number in pair):
        return f"write {module.type}(…, {spelled['no_padding']})"
    if "pad_evenly" in spelled and all(before == after for before, after in pairs):
        one_side = tuple(before for before, _ in pairs) if len(pairs) > 1 else pairs[0][0]
        return f"write {module.type}(…, {spelled['pad_evenly'].format(one_side=_code(one_side))})"
    edit_: str = spelled["pad"].format(
        rank=len(pairs),
        pairs=_code(tuple(map(tuple, pairs))),
        flat=_code(tuple(number for pair in reversed(pairs) for number in pair)),
    )
    return edit_


def _code(value: Any) -> str:
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(value, float):
        return f"{value:g}"
    return repr(value)


def told(value: Any) -> str:
    """Return a setting's value for a sentence."""
    return shown(value)


def _spread(value: Any, rank: int | None = None) -> Any:
    """Return one number as one for each axis, as far as the rank is known."""
    if isinstance(value, int | float) and rank is not None:
        return [value] * rank
    if isinstance(value, list | tuple) and value and all(one == value[0] for one in value) and rank is None:
        return value[0]
    return value


def _is_nothing(value: Any) -> bool:
    return value is None or bool(_spread(value) in (0, [0, 0]))


def _same(one: Any, two: Any, *, to: float = _NUMBERS_TO) -> bool:
    if isinstance(one, bool) or isinstance(two, bool):
        return bool(one == two)
    if isinstance(one, int | float) and isinstance(two, int | float):
        return math.isclose(one, two, rel_tol=to, abs_tol=1e-15)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(_same(*both, to=to) for both in zip(one, two, strict=True))
    return bool(one == two)
