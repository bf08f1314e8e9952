"""How the code of one framework is made to do as the other's, for each setting that differs."""

from __future__ import annotations

from dataclasses import dataclass

from producer.verdict.knowledge import conventions, fixes, together
from producer.verdict.models import Comparison


@dataclass(frozen=True, kw_only=True)
class Mending:
    """A convention that differs, and by framework the code that ends the difference."""

    path: str
    fixes: tuple[tuple[str, str, str], ...]
    """Framework, like which one, and the code; the reference's own comes last."""


def mendings(comparison: Comparison) -> list[Mending]:
    """The conventions that somebody knows how to mend, in the order of the settings; for two frameworks."""
    if len(comparison.frameworks) != 2:
        return []
    reference, other = comparison.frameworks
    told = []
    for group in conventions(comparison.setting_differences):
        known = fixes(together(group), jobs=comparison.jobs)
        code = [
            (name, like, known[name])
            for name, like in ((other, reference), (reference, other))
            if name in known
        ]
        if code:
            told.append(Mending(path=together(group).path, fixes=tuple(code)))
    return told
