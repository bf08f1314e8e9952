"""Writes one program's weights as the other's checkpoint, by the proved mapping, and reloads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from likewise.producer.display import both, count
from likewise.producer.port.evidence import outputs_of
from likewise.producer.port.file import Port
from likewise.producer.port.flow import opened
from likewise.producer.port.pairing import TOLERANCE, Pairing
from likewise.producer.port.rows import rows_of
from likewise.producer.port.settling import settle
from likewise.shared.errors import RunFailedError, UsageError


@dataclass(frozen=True)
class Conversion:
    """What a conversion came to."""

    file: Path
    weights: int
    """How many weights were written."""
    apart: float
    """How far apart the outputs of the source and of the reloaded checkpoint are."""


def to_side(port: Port, word: str) -> Port:
    """Return the port with the side that a label or a framework names as the second. Raises UsageError."""
    first, second = port.programs
    for target, source in ((second, first), (first, second)):
        if word in (target.label, target.framework):
            return replace(port, programs=(source, target))
    named = " or ".join(one.label for one in port.programs)
    raise UsageError(f"--to is {word!r}; it can be {named}")


def convert(port: Port, file: Path, *, tell: Callable[[str], None]) -> Conversion:
    """Write the first program's weights as a checkpoint of the second, and reload it.

    The mapping is proved in float64; the checkpoint has float32. Raises RunFailedError where a weight is not
    proved, or where the reloaded checkpoint gives something else.
    """
    with opened(port, tell=tell) as found:
        source, target = found.hosts
        pairing = found.pair(port.precision, tell)
        settle(pairing, tell)
        _refuse_unproved(pairing)
        source.load(pairing.start)
        wanted = source.forward(pairing.batch.inputs)
        pairing.weights = pairing.start
        given = pairing.loaded()
        program = port.programs[1]
        tell(f"{target.label}: {file.name} is written, and read again")
        for write in (True, False):  # a program made anew has weights of its own
            target.open(program.file, program.maker, "float32")
            target.feed(pairing.others_batch)
            if write:
                target.load(given)
                target.save(file)
            else:
                target.restore(file)
        outputs = outputs_of(target.forward(pairing.inputs))
        apart = pairing.forced.forms.apart(outputs_of(wanted), outputs)
        if apart > TOLERANCE["float32"]:
            raise RunFailedError(
                f"{file.name} was written, but read again its outputs are {apart:.2g} apart from those of "
                f"{source.label}{_why(pairing)}"
            )
        return Conversion(file, len(given), apart)


def _why(pairing: Pairing) -> str:
    """Say that settings differ, of which a checkpoint has none."""
    named = [f"{one.name} of {path}" for path, several in pairing.different.items() for one in several]
    if not named:
        return "; likewise port check says why"
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return (
        f": the weights are right, and the programs have other settings ({both(named[:3])}{more}); likewise "
        "port check names each with its line"
    )


def _refuse_unproved(pairing: Pairing) -> None:
    sides = (pairing.mapping.alone, pairing.mapping.strangers)
    constants = {name for several in sides for one in several if one.is_constant for name in one.weight_names}
    rows = [
        row
        for row in rows_of(pairing)
        if row.status in ("shape_only", "unused") and not constants & set(row.names.values())
    ]
    if rows:
        named = both([next(iter(row.names.values())) for row in rows[:4]])
        more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
        raise RunFailedError(
            f"{count(len(rows), 'weight')} {'is' if len(rows) == 1 else 'are'} not proved: {named}{more}; "
            "likewise port check says why, and likewise port map --pair settles a row by hand"
        )
