"""Which variant is timed when, and when there is enough.

A machine drifts: it warms up, its neighbours come and go. Timing all of one variant and then all of the
other would count the drift for one of them. So every round times each variant in a random order and
then once more in the reverse order (ABBA): a drift that is linear over the round falls on all alike.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from producer.bench.models import Timed, Variant
from producer.bench.statistics import relative_width
from shared.job.experiment import Execution

EXECUTIONS: tuple[Execution, ...] = ("eager", "compiled", "auto")
"""What is timed where nothing is chosen; `auto` last: it is often what one of the others runs."""
LEAST_ROUNDS = 3
"""Six samples a variant: fewer have no interval of 95 %."""

Samples = dict[Variant, list[Timed]]


@dataclass(frozen=True, kw_only=True)
class Enough:
    """When to stop."""

    precision: float
    """Half of every variant's interval, relative to its median."""
    budget_s: float
    """For timing; warming up is not counted."""
    spent_s: Callable[[], float]
    """Seconds since any moment."""


def order_of(variants: Sequence[Variant], *, draw: random.Random) -> list[Variant]:
    """One round's order: random, then back."""
    order = draw.sample(list(variants), len(variants))
    return order + order[::-1]


def alternate(
    variants: Sequence[Variant],
    time_one: Callable[[Variant], Timed],
    *,
    enough: Enough,
    said: Callable[[int, float], None],
) -> Samples:
    """Whole rounds until every variant's interval is narrow enough, or time is up.

    A round is not begun that would, going by those before, end beyond the budget; LEAST_ROUNDS are done
    in any case. `said` is told after each round how many there were and the widest interval.
    """
    draw = random.Random(0)  # noqa: S311 - an order of work, not a secret
    found: Samples = {variant: [] for variant in variants}
    begin = enough.spent_s()
    for done in itertools.count(1):
        for variant in order_of(variants, draw=draw):
            found[variant].append(time_one(variant))
        width = widest(found)
        said(done, width)
        timed_s = enough.spent_s() - begin
        next_ends_s = timed_s + timed_s / done
        if done >= LEAST_ROUNDS and (width <= enough.precision or next_ends_s > enough.budget_s):
            break
    return found


def widest(found: Mapping[Variant, Sequence[Timed]]) -> float:
    """Half the widest interval of a whole run, relative to its median."""
    return max(
        (relative_width([one.phases["run"] for one in timed]) for timed in found.values()), default=math.inf
    )
