"""The rung of data: what both programs' loaders give first, and what both evaluations say of one model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from likewise.producer.display import both
from likewise.producer.port.frameworks import frameworks
from likewise.producer.port.loaders import compare_loaders
from likewise.producer.port.models import PortFinding, Rung
from likewise.producer.port.pairing import Pairing
from likewise.shared.errors import RunFailedError

_SPLIT = "train"


def compare_data(pairing: Pairing) -> tuple[Rung | None, list[PortFinding]]:
    """Compare the loaders and the evaluations, whichever both programs define; None for neither."""
    compared: list[str] = []
    found: list[PortFinding] = []
    for name, compare in (("data", _loaders), ("evaluate", _evaluations)):
        having = [label for label, one in pairing.described.items() if name in one["functions"]]
        if len(having) == 2:
            try:
                text, findings = compare(pairing)
            except RunFailedError as error:
                if not found:
                    raise
                pairing.note(f"{error}; what both evaluations say was not compared")
                continue
            compared.append(text)
            found += findings
        elif having:
            pairing.note(f"{name}() is in {having[0]}'s file alone, so that it was not compared")
    if not compared:
        return None, []
    if found:
        return Rung(name="data", status="fails", first_cause=found[0], text=found[0].text), found
    return Rung(name="data", status="holds", text="; ".join(compared)), []


def _loaders(pairing: Pairing) -> tuple[str, list[PortFinding]]:
    sides = (pairing.reference, pairing.other)
    read = [[side.data(_SPLIT, seed=seed) for seed in (0, 1)] for side in sides]
    labels = pairing.reference.label, pairing.other.label
    comparison = compare_loaders(read[0], read[1], labels)
    for note in comparison.notes:
        pairing.note(note)
    samples = len(next(iter(read[0][0].arrays.values())))
    text = f"the first {samples} samples of both loaders are the same"
    return text, [
        PortFinding(
            rung="data",
            path=one.path,
            setting=one.setting,
            values=pairing.values(*one.values),
            lines=pairing.lines_of("data"),
            relative_difference=one.apart,
            text=one.text,
            fix={} if one.fix is None else {pairing.other.label: one.fix},
        )
        for one in comparison.findings
    ]


def _evaluations(pairing: Pairing) -> tuple[str, list[PortFinding]]:
    """Compare what evaluate(model) returns on the same weights; it begins as after an epoch of training."""
    mine = pairing.reference.evaluate(training=True)
    theirs = pairing.other.evaluate(training=True)
    names = list(zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False))
    labels = pairing.reference.label, pairing.other.label
    found = []
    if len(mine) != len(theirs):
        text = f"evaluate() returns {both(list(mine))} in {labels[0]} and {both(list(theirs))} in {labels[1]}"
        found.append(PortFinding(rung="data", path="evaluate", lines=pairing.lines_of("evaluate"), text=text))
    parting = [(one, two) for one, two in names if not _near(pairing, mine[one], theirs[two])]
    if parting:
        one, two = parting[0]
        fix, why = _forgotten(pairing, lambda a, b: all(_near(pairing, a[x], b[y]) for x, y in names))
        more = "".join(f"; {x} {mine[x]:.6g} and {theirs[y]:.6g}" for x, y in parting[1:4])
        found.append(
            PortFinding(
                rung="data",
                path=f"evaluate.{one}" if one else "evaluate",
                setting="training" if fix else None,
                values=pairing.values(mine[one], theirs[two]),
                lines=pairing.lines_of("evaluate"),
                text=f"of the same weights evaluate() says {one or 'a number'} {mine[one]:.6g} in "
                f"{labels[0]} and {theirs[two]:.6g} in {labels[1]}{more}{why}",
                fix=fix,
            )
        )
    told = ", ".join(f"{name or 'number'} {value:.6g}" for name, value in mine.items())
    return f"both evaluations say {told}", found


def _forgotten(
    pairing: Pairing, agree: Callable[[dict[str, float], dict[str, float]], bool]
) -> tuple[dict[str, str], str]:
    """Say whether the evaluations agree once the model is in evaluation mode when they begin."""
    mine, theirs = pairing.reference.evaluate(training=False), pairing.other.evaluate(training=False)
    if not agree(mine, theirs):
        return {}, ""
    for side in (pairing.other, pairing.reference):
        if side.evaluate(training=True) != side.evaluate(training=False):
            edit = frameworks()[side.framework]["evaluation_mode"]
            return (
                {side.label: edit},
                f"; {side.label} evaluates in training mode: in evaluation mode both say the same",
            )
    return {}, ""


def _near(pairing: Pairing, one: float, two: float) -> bool:
    return bool(np.isclose(one, two, rtol=100 * pairing.tolerance, atol=100 * pairing.tolerance))
