"""What a reader is told of trainings that came to nothing: diverged, or no better than a constant answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from likewise.producer.display import both, number
from likewise.producer.verdict.models import Note
from likewise.producer.verdict.usefulness import LARGE_TARGET, Score, Usefulness


def notes(found: Mapping[str, Usefulness]) -> tuple[Note, ...]:
    """Return what a reader has to know beside the verdict, the gravest first; `found` is by side."""
    diverged = {side: one for side, one in found.items() if one.diverged.any()}
    useless = {side: one.score for side, one in found.items() if side not in diverged and one.useless}
    found_notes = []
    if diverged:
        found_notes.append(Note(code="diverged", text=_diverged(diverged, others=len(found) - len(diverged))))
    if some := {side: one for side, one in useless.items() if one and not one.classifies}:
        found_notes.append(Note(code="worse_than_mean", text=_useless(some)))
    if some := {side: one for side, one in useless.items() if one and one.classifies}:
        found_notes.append(Note(code="worse_than_commonest", text=_useless(some)))
    return (*found_notes, *_unscaled(found, [*diverged, *useless]))


def _diverged(found: Mapping[str, Usefulness], *, others: int) -> str:
    """Say who diverged, how far, and what a verdict is worth then."""
    seeds = [
        "" if one.diverged.all() else f" on {one.diverged.sum():,} of {len(one.diverged):,} seeds"
        for one in found.values()
    ]
    alike = len(set(seeds)) == 1
    names = both([name if alike else f"{name}{share}" for name, share in zip(found, seeds, strict=True)])
    sentence = f"{names} diverged{seeds[0] if alike else ''}"
    ends = [end for one in found.values() if (end := _furthest_out(one)) is not None]
    if ends:
        last, far = max(ends, key=lambda end: end[1])
        sentence = f"{sentence}, to a loss of {last:.2g}, which is {far:.2g} times that of a constant answer"
    if others:
        return f"{sentence}: no number of such a training can be held against another's."
    return (
        f"{sentence}: numbers that grow without bound show neither that the sides compute the same nor that "
        "they do not. Training takes a lower optimizer.learning_rate, or inputs of a smaller scale."
    )


def _furthest_out(one: Usefulness) -> tuple[float, float] | None:
    """Return the last loss of the seed that is furthest out of scale, and how far; None without any."""
    finished = np.flatnonzero(one.diverged & np.isfinite(one.far))
    if not len(finished):
        return None
    worst = int(finished[np.argmax(one.far[finished])])
    return float(one.last[worst]), float(one.far[worst])


def _useless(found: Mapping[str, Score]) -> str:
    """Say who ended no better than a constant answer, and by what number."""
    first = next(iter(found.values()))
    part = "training" if first.part == "train" else first.part
    names = f"{both(list(found))} {'is' if len(found) == 1 else 'are'}"
    if first.output:
        names = f"Of the output {first.output}, {names}"
    write = _percent if first.classifies else _signed
    middles = both(
        list(dict.fromkeys(write(float(np.median(one.values[one.useless]))) for one in found.values()))
    )
    right = "it is" if len(found) == 1 else "they are"
    over = ", medians over seeds" if len(first.values) > 1 else ""
    if first.classifies:
        return (
            f"{names} no better than always saying the commonest class: that would be right for "
            f"{_percent(first.constant)} of the {part} samples, and {right} for {middles}{over}."
        )
    return (
        f"{names} no better than predicting the mean of the targets: r2 of the {part} samples is "
        f"{middles}{over}, and that of the mean is 0."
    )


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _signed(value: float) -> str:
    return number(value).replace("-", "\N{MINUS SIGN}", 1) if value < 0 else number(value)


def _unscaled(found: Mapping[str, Usefulness], sides: Iterable[str]) -> Sequence[Note]:
    """Say where a target's scale may be why nothing was learnt."""
    for side in sides:
        target = found[side].target
        if target is not None and max(abs(target[0]), target[1]) > LARGE_TARGET:
            mean, spread = map(_signed, target)
            text = (
                f"The target is not scaled: its mean is {mean} and its standard deviation {spread}, while "
                "the outputs of a model begin near 0. Train on the target less its mean, divided by its "
                "standard deviation, and undo that afterwards."
            )
            return [Note(code="target_not_scaled", text=text)]
    return []
