"""Values as short text for messages: one line, bounded, nothing that could steer a terminal."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

LENGTH = 60
_ITEMS = 6
_ALSO_KNOWN = {
    "amsgrad": "adam",
    "bce": "binary_crossentropy",
    "bcewithlogitsloss": "binary_crossentropy",
    "betas": "beta_1",
    "ce": "categorical_crossentropy",
    "cross_entropy": "categorical_crossentropy",
    "crossentropyloss": "categorical_crossentropy",
    "eps": "epsilon",
    "gpu": "cuda",
    "l1": "mae",
    "l2": "mse",
    "linear": "dense",
    "lr": "learning_rate",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
}
"""What other libraries call our words."""


def short(value: Any) -> str:
    """The value as JSON on one line, its end cut off where it is long."""
    text = printable(json.dumps(_cut(value, 2), ensure_ascii=False, default=str))
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def printable(text: str) -> str:
    """The text with control and other unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like the given one, if any is like it."""
    by_folded = {k.lower(): k for k in known}
    folded = word.lower()[:100]
    # letters that changed places are the likelier slip: adma is adam, though nearer to adamax
    swapped = [known for known in by_folded if sorted(known) == sorted(folded)]
    found = swapped or difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for an unknown word: the nearest known one, or all of them."""
    if synonym := also_known(word, known):
        return synonym
    match = nearest(word, known)
    if match is not None:
        return f"did you mean {printable(match)}?"
    shown = ", ".join(printable(k) for k in known[:20])
    return f"one of {shown}" + (f" and {len(known) - 20} more" if len(known) > 20 else "")


def also_known(word: str, known: Sequence[str]) -> str | None:
    """A hint for a word that another library uses for one of the known."""
    ours = _ALSO_KNOWN.get(word.lower())
    return f"did you mean {ours}?" if ours is not None and ours in known else None


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value[: LENGTH + 1]
    if isinstance(value, dict):
        return {str(k)[:LENGTH]: _cut(v, depth - 1) for k, v in list(value.items())[:_ITEMS]} if depth else {}
    if isinstance(value, list | tuple):
        return [_cut(v, depth - 1) for v in value[:_ITEMS]] if depth else []
    return value
