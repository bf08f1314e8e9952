"""How the cuts of a transposed convolution are written: numbers before and after each axis of all it makes.

A framework says them by its padding and output padding where these come to the cuts that are wanted; other
cuts are made behind the module. A cut of less than nothing adds zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from likewise.producer.port.frameworks import frameworks

Cuts = Sequence[tuple[int, int]]


def crop_edit(framework: str, made: str, settings: Mapping[str, Any], cuts: Sequence[Sequence[int]]) -> str:
    """Return what to write so that a module of these settings cuts so; `made` is the name of its class."""
    pairs = [(before, after) for before, after in cuts]
    spelled = frameworks()[framework]
    own = _OWN[spelled["cut"]](settings, pairs)
    if own is not None:
        return f"write {made}(…, {own})"
    kept = tuple((before, max(after, 0)) for before, after in pairs)
    behind = spelled["cut_behind"].format(
        rank=len(kept),
        pairs=_plain(kept),
        slices=", ".join(f"{before or ''}:{-after if after else ''}" for before, after in kept),
    )
    added = _plain([max(-after, 0) for _, after in pairs])
    return f"write {made}(…, {spelled['uncut']}, output_padding={added}) and {behind}"


def _by_half(settings: Mapping[str, Any], cuts: Cuts) -> str | None:
    """Return the padding that cuts so where `same` cuts half before and an odd one after (Keras 3.15)."""
    strides = settings["strides"]
    windows = [(size - 1) * dilation + 1 for size, dilation in zip(*_sizes(settings), strict=True)]
    if all(cut == _halved(window - step) for cut, window, step in zip(cuts, windows, strides, strict=True)):
        return "padding='same', output_padding=None"
    added = [
        2 * (window // 2) - before - after for (before, after), window in zip(cuts, windows, strict=True)
    ]
    fits = all(
        0 <= more < step and cut == _halved(2 * (window // 2) - more)
        for cut, window, step, more in zip(cuts, windows, strides, added, strict=True)
    )
    if fits:
        return f"padding='same', output_padding={_plain(added)}"
    if all(before == 0 and 0 <= -after < step for (before, after), step in zip(cuts, strides, strict=True)):
        return f"padding='valid', output_padding={_plain([-after for _, after in cuts])}"
    return None


def _evenly(settings: Mapping[str, Any], cuts: Cuts) -> str | None:
    """Return the padding that cuts so where it cuts as much before as after, less what is added after."""
    _, dilations = _sizes(settings)
    added = [before - after for before, after in cuts]
    most = [max(step, dilation) for step, dilation in zip(settings["strides"], dilations, strict=True)]
    if any(not 0 <= more < limit for more, limit in zip(added, most, strict=True)):
        return None
    return f"padding={_plain([before for before, _ in cuts])}, output_padding={_plain(added)}"


_OWN: Mapping[str, Callable[[Mapping[str, Any], Cuts], str | None]] = {
    "by_half": _by_half,
    "evenly": _evenly,
}


def _sizes(settings: Mapping[str, Any]) -> tuple[Sequence[int], Sequence[int]]:
    return settings["kernel_size"], settings["dilation_rate"]


def _halved(total: int) -> tuple[int, int]:
    before = max(total, 0) // 2
    return before, total - before


def _plain(values: Sequence[Any]) -> str:
    """Write one value for all axes where it is the same, else one an axis."""
    if len(values) == 1 or (isinstance(values[0], int) and len(set(values)) == 1):
        return repr(values[0])
    return repr(tuple(values))
