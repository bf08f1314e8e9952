"""The code that ends a setting's difference, for each side: which pairs of sides, and in which order.

What the code is, `producer.advice` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from likewise.producer.advice.changes import CLIPPINGS, advice, switched
from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.knowledge import Setup, conventions, together
from likewise.producer.verdict.models import Mending


def mendings(differences: Iterable[SettingDifference], setup: Setup) -> tuple[Mending, ...]:
    """Return the code that ends each difference, where it is known, of every other side and the first.

    Each goes on from the ones before it: of two settings that stand in one line, the later line has both.
    """
    reference, *others = setup.jobs
    pairs = [pair for other in others for pair in ((other, reference), (reference, other))]
    ahead = dict.fromkeys(pairs, setup)
    found = []
    for difference in map(together, conventions(_each_switch(differences))):
        code = []
        for side, like in pairs:
            text = fix(difference, ahead[side, like], side=side, like=like)
            if text is not None:
                code.append((side, like, text))
                ahead[side, like] = _switched(ahead[side, like], difference.path, side=side, like=like)
        if code:
            found.append(Mending(path=difference.path, fixes=tuple(code)))
    return tuple(found)


def _switched(setup: Setup, path: str, *, side: str, like: str) -> Setup:
    """Return the setup with one side's job mended in a setting."""
    job = switched(setup.jobs[side], setup.jobs[like], path)
    return replace(setup, jobs={**setup.jobs, side: job})


def _each_switch(differences: Iterable[SettingDifference]) -> Iterator[SettingDifference]:
    """Yield the differences; of clippings the first alone, since they exclude each other."""
    clips = False
    for difference in differences:
        clipping = difference.path.removeprefix("optimizer.") in CLIPPINGS
        if not (clipping and clips):
            yield difference
        clips = clips or clipping


def fixes(difference: SettingDifference, setup: Setup, *, reference: str, other: str) -> dict[str, str]:
    """Return by side how its code is made to do as the other's, of two sides that differ in a setting."""
    pairs = ((other, reference), (reference, other))
    found = {side: fix(difference, setup, side=side, like=like) for side, like in pairs}
    return {side: text for side, text in found.items() if text is not None}


def fix(difference: SettingDifference, setup: Setup, *, side: str, like: str) -> str | None:
    """Return the lines that make a side's program have another's value; None where that is not known."""
    values = difference.values
    program = setup.programs.get(side) or setup.programs.get(like)
    if program is None or side not in values or like not in values or values[side] == values[like]:
        return None
    return advice(
        difference.path,
        setup.jobs[side],
        setup.jobs[like],
        framework=setup.frameworks[side],
        shape=program.input_shape,
        like=like,
    )
