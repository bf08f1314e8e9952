"""Numbers, lists and values as short text for people, in messages, sentences and tables.

Messages are one line, bounded, and hold nothing that could steer a terminal.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

MISSING = "—"
"""What stands for a number that there is not."""
LENGTH = 60
"""The most characters of a value."""
_ITEMS = 6
"""The most items of a value that are shown."""
_ALSO_KNOWN = {
    "amsgrad": "adam",
    "bce": "binary_crossentropy",
    "bcewithlogitsloss": "binary_crossentropy",
    "betas": "beta_1",
    "binary_accuracy": "accuracy",
    "categorical_accuracy": "accuracy",
    "ce": "categorical_crossentropy",
    "cosineannealinglr": "cosine",
    "cosineannealingwarmrestarts": "cosine_restarts",
    "cosinedecay": "cosine",
    "cross_entropy": "categorical_crossentropy",
    "crossentropyloss": "categorical_crossentropy",
    "eps": "epsilon",
    "gpu": "cuda",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "l1": "mae",
    "l2": "mse",
    "linear": "dense",
    "lr": "learning_rate",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "meanabsoluteerror": "mae",
    "meansquarederror": "mse",
    "multisteplr": "piecewise",
    "piecewiseconstantdecay": "piecewise",
    "r2_score": "r2",
    "r2score": "r2",
    "sparse_categorical_accuracy": "accuracy",
    "sparse_categorical_crossentropy": "categorical_crossentropy",
    "swish": "silu",
    "trunc_normal": "truncated_normal",
    "xavier_normal": "glorot_normal",
    "xavier_uniform": "glorot_uniform",
}
"""What other libraries call our words; a `_` at the end, as PyTorch's initializers have it, is left out."""
BARS = "▁▂▃▄▅▆▇█"
_LOGARITHMIC_FROM = 100
"""Largest over smallest value from which the logarithm is drawn."""


def short(value: Any) -> str:
    """Return the value as JSON on one line, its end cut off where it is long."""
    text = printable(json.dumps(_cut(value, 2), ensure_ascii=False, default=str))
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"


def printable(text: str) -> str:
    """Return the text with control and other unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def visible(text: str) -> str:
    """Return the text on its lines, with what could steer a terminal, or turn the reading, escaped."""
    return "\n".join(map(printable, text.split("\n")))


def json_text(value: Any) -> str:
    """Return a value as JSON on several lines, with JSON's escapes for what could not be seen."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if text.isascii():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like the given one, if any is like it."""
    by_folded = {k.lower(): k for k in known}
    folded = word.lower()[:100]
    # letters that changed places are the likelier slip: adma is adam, though nearer to adamax
    swapped = [known for known in by_folded if sorted(known) == sorted(folded)]
    found = swapped or difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return a hint for an unknown word: the nearest known one, or all of them."""
    if synonym := also_known(word, known):
        return synonym
    match = nearest(word, known)
    if match is not None:
        return f"did you mean {printable(match)}?"
    shown = ", ".join(printable(k) for k in known[:20])
    return f"one of {shown}" + (f" and {len(known) - 20} more" if len(known) > 20 else "")


def also_known(word: str, known: Sequence[str]) -> str | None:
    """Return a hint for a word that another library uses for one of the known."""
    ours = _ALSO_KNOWN.get(word.lower().rstrip("_"))
    return f"did you mean {ours}?" if ours is not None and ours in known else None


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value[: LENGTH + 1]
    if isinstance(value, dict):
        return {str(k)[:LENGTH]: _cut(v, depth - 1) for k, v in list(value.items())[:_ITEMS]} if depth else {}
    if isinstance(value, list | tuple):
        return [_cut(v, depth - 1) for v in value[:_ITEMS]] if depth else []
    return value


def number(value: float) -> str:
    """Return a number with up to three digits: 0.06, 6, 3.5e-08, and whole numbers to a million: 1,204."""
    if abs(value) < 1e6 and (value == int(value) or abs(value) >= 1000):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def gap(relative: float | None) -> str:
    """Return a relative gap: `0`, `2.1e-08`, `0.0039`, `—` where it cannot be measured, `infinitely far`."""
    if relative is None:
        return "—"
    if relative == float("inf"):
        return "infinitely far"
    return f"{relative:.2g}" if relative >= 0.001 else "0" if relative == 0 else f"{relative:.1e}"


def both(words: Sequence[str]) -> str:
    """Return words as a list: `a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def plus_minus(relative: float) -> str:
    """Return half an interval by its middle: `±2.5 %`, `±17 %`, `±>100 %`."""
    percent = 100 * relative
    return "±>100 %" if percent > 100 else f"±{percent:.0f} %" if percent >= 10 else f"±{percent:.2g} %"


def setting(value: Any) -> str:
    """Return a setting's value in short: bare words, an initializer as a call, several as a list."""
    if value is None:
        return "none"
    if isinstance(value, dict) and "type" in value:
        return _call(value)
    if isinstance(value, dict) and value:
        text = ", ".join(f"{name} {setting(part)}" for name, part in value.items())
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= LENGTH:
        return text
    if isinstance(value, list | tuple):
        in_a_row = isinstance(value[0], int) and list(value) == [*range(value[0], value[0] + len(value))]
        begin = f"{value[0]} to {value[-1]}" if in_a_row else f"{text[: LENGTH // 2]}…"
        return f"{begin} ({len(value)} items)"
    return f"{text[: LENGTH - 1]}…"


def count(amount: int, noun: str, several: str | None = None) -> str:
    """Return a count with its noun: `1 seed`, `3 seeds`; `several` is a plural without an s."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {several or noun + 's'}"


def _call(value: Mapping[str, Any]) -> str:
    """Return a kind and what it is made with: `variance_scaling(0.333, fan_in, uniform)`."""
    parts = [_argument(name, part) for name, part in value.items() if name != "type" and part is not False]
    return f"{value['type']}({', '.join(parts)})" if parts else str(value["type"])


def _argument(name: str, value: Any) -> str:
    if value is True:
        return name
    return number(value) if isinstance(value, float) else setting(value)


def six_digits(value: float | None) -> str:
    """Return a loss or a metric with six significant digits."""
    return MISSING if value is None else f"{value:.6g}"


def rounded(value: float, digits: int, *, sign: str = "") -> str:
    """Return `0.0031` or `1.8e-05`, and `22,720` from 10**digits to a million; `sign="+"` signs it."""
    if 10**digits <= abs(value) < 1e6:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.{digits}g}"


def complete(value: float | None) -> str:
    """Return a prediction with every digit that tells it from its neighbours."""
    return MISSING if value is None else repr(value)


def seconds(value: float | None) -> str:
    """Return a duration: `12 ms`, `1.24 s`, `3 min 5 s`."""
    if value is None:
        return MISSING
    if value == 0:
        return "0 s"
    if value < 0.0995:
        return f"{value * 1000:.3g} ms"
    if value < 60:
        return f"{value:.3g} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(value: int | None) -> str:
    """Return a number of bytes: `412 MiB`."""
    if value is None:
        return MISSING
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


_MOST_COMPLETE = 3
"""A row of at most so many outputs is written with every digit."""


def predicted(values: Any) -> str:
    """Return one row of outputs: a number, or `(a, b)`; more than three are rounded to be read as a row."""
    if isinstance(values, Sequence):
        few = len(values) <= _MOST_COMPLETE
        texts = [complete(value) if few else MISSING if value is None else f"{value:.5g}" for value in values]
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
    return complete(values)


def asked(values: Any) -> str:
    """Return one row of `predict` as the user wrote it: `10`, `(1, 2)`, `(town west, year 2009)`."""
    if isinstance(values, Mapping):
        named = [f"{printable(str(name))} {_given(value)}" for name, value in list(values.items())[:4]]
        return f"({', '.join([*named, *(['…'] if len(values) > 4 else [])])})"
    if isinstance(values, Sequence):
        texts = [f"{value:g}" for value in values[:4]]
        if len(values) > 4:
            texts.append("…")
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
    return f"{values:g}"


def _given(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, Sequence) and not isinstance(value, str):
        return asked(value)
    return (
        f"{value:g}"
        if isinstance(value, float | int) and not isinstance(value, bool)
        else short(str(value))[1:-1]
    )


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` bars from the lowest to the highest value; on a logarithmic scale where it helps."""
    if not values or width < 1:
        return ""
    cells = min(width, len(values))
    shown = [values[i * (len(values) - 1) // max(cells - 1, 1)] for i in range(cells)]
    if is_logarithmic(shown):
        shown = [math.log(value) for value in shown]
    low, high = min(shown), max(shown)
    if high / 2 - low / 2 <= 0:
        return BARS[0] * cells
    top = len(BARS) - 1
    return "".join(BARS[round((value / 2 - low / 2) / (high / 2 - low / 2) * top)] for value in shown)


def is_logarithmic(values: Sequence[float]) -> bool:
    """Return whether a logarithmic scale shows more: all above zero, over two orders of magnitude."""
    return bool(values) and min(values) > 0 and max(values) / _LOGARITHMIC_FROM >= min(values)


def first_fault(error: ValidationError) -> str:
    """Return in a clause what is wrong first with a document that Likewise has written."""
    first = error.errors(include_url=False)[0]
    place = printable(".".join(map(str, first["loc"])))
    match first["type"]:
        case "json_invalid":
            return "it is no JSON document"
        case "missing":
            return f"it lacks {place}"
        case "extra_forbidden":
            return f"it has {place}, which no such document has"
        case _ if not place:
            return "it has no fields"
        case _ if isinstance(first["input"], str | int | float | None):
            return f"{place} is {short(first['input'])}, which does not fit there"
        case _:
            return f"{place} does not fit there"
