"""What a kind of fault is, and the list of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.faults.driver.world import World

Measure = Literal["taken over", "handed back", "serves again", "its run ends"]
"""What the seconds of a recovery count to.

The run waits at the front of its queue, another attempt has it, or it has ended; the same, of a worker that
was asked to stop; a run has ended that was begun after the fault; the run submitted for it has ended.
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault."""

    name: str
    what: str
    """What is done."""
    comes: str
    """What must come of it."""
    measure: Measure
    apply: Callable[[World], float]
    """Does it, waits for the recovery, and returns the seconds that took."""
    needs_disks: bool = False
    needs_groups: bool = False


KINDS: dict[str, Kind] = {}


def kind(
    name: str, what: str, comes: str, measure: Measure, *, needs: str = ""
) -> Callable[[Callable[[World], float]], Callable[[World], float]]:
    """Add a kind. `needs` names what not every machine has: `disks` or `groups`."""

    def add(apply: Callable[[World], float]) -> Callable[[World], float]:
        KINDS[name] = Kind(
            name=name,
            what=what,
            comes=comes,
            measure=measure,
            apply=apply,
            needs_disks="disks" in needs,
            needs_groups="groups" in needs,
        )
        return apply

    return add
