"""How the code of one side is made to do as the other's, for each setting that differs."""

from __future__ import annotations

from dataclasses import dataclass

from producer.verdict.knowledge import conventions, fixes, together
from producer.verdict.models import Comparison


@dataclass(frozen=True, kw_only=True)
class Mending:
    """A convention that differs, and by side the code that ends the difference."""

    path: str
    fixes: tuple[tuple[str, str, str], ...]
    """Side, like which one, and the code; the reference's own comes last."""


def mendings(comparison: Comparison) -> list[Mending]:
    """The conventions that somebody knows how to mend, in the order of the settings; for two sides."""
    if len(comparison.sides) != 2:
        return []
    reference, other = comparison.sides
    frameworks = {run.side: run.framework for run in comparison.runs}
    told = []
    for group in conventions(comparison.setting_differences):
        known = fixes(together(group), jobs=comparison.jobs, frameworks=frameworks)
        code = [
            (name, like, known[name])
            for name, like in ((other, reference), (reference, other))
            if name in known
        ]
        if code:
            told.append(Mending(path=together(group).path, fixes=tuple(code)))
    return told
