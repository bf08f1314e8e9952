"""Decides which sides are timed, in which order and how often, and has the statistics of their times.

A machine drifts: it warms up, its neighbours come and go. Timing all of one side and then all of the
other would count the drift for one of them. So every round times each side in a random order and
then once more in the reverse order (ABBA): a drift that is linear over the round falls on all alike.
The module is pure.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from likewise.producer.bench.models import Interval, TimedRun
from likewise.shared.errors import UsageError
from likewise.shared.job import Experiment
from likewise.shared.job.experiment import Execution

if TYPE_CHECKING:
    from likewise.producer.follow_ups import FollowUpPlan

EXECUTIONS: tuple[Execution, ...] = ("eager", "compiled", "auto")
"""What is timed where nothing is chosen; `auto` last: it is often what one of the others runs."""
LEAST_ROUNDS = 3
"""Three rounds give six samples a side: fewer have no interval of 95 %."""
RUNS_A_ROUND = 2
"""Each side is timed so often in a round: in a random order, and back."""
CONFIDENCE = 0.95
OUTLIER = 3.5
"""An outlier lies so many deviations from the median, by the median absolute deviation (Iglewicz & Hoaglin
1993)."""
MANY = 1_000
"""The binomial is as good as normal from so many samples on, and slow to add up."""
_HALF_WIDTH_OF_NORMAL = 0.98
_MAD_OF_NORMAL = 0.6745

Samples = dict[str, list[TimedRun]]
"""The timed runs of each side, by its label, in the order they ran."""


@dataclass(frozen=True, kw_only=True)
class Enough:
    """It says when to stop."""

    precision: float
    """Half of every side's interval must be so narrow, relative to its median."""
    budget_s: float
    """Timing may take so long; warming up is not counted."""
    spent_s: Callable[[], float]
    """It returns the seconds since any moment."""


def in_ways(experiment: Experiment, chosen: Collection[Execution] = ()) -> Experiment:
    """Return the experiment that is timed, in which every side is declared.

    Each framework becomes a side for each way of executing, such as `torch-compiled`: those that are chosen,
    or all. Sides that the job declares stay as they are. Raises UsageError for ways chosen beside them.
    """
    if experiment.sides is not None:
        if chosen:
            raise UsageError("--variant is for frameworks; a side has a way of its own, such as torch:eager")
        return experiment
    ways = [way for way in EXECUTIONS if not chosen or way in chosen]
    document = experiment.model_dump(mode="json", exclude={"frameworks"}, exclude_unset=True)
    for overrides in document.get("overrides", {}).values():
        overrides.pop("execution", None)
    document["sides"] = {
        f"{framework}-{way}": {"framework": framework, "execution": way}
        for framework in experiment.frameworks
        for way in ways
    }
    return Experiment.model_validate(document)


def order_of(labels: Sequence[str], *, draw: random.Random) -> list[str]:
    """Return one round's order: random, then back."""
    order = draw.sample(list(labels), len(labels))
    return order + order[::-1]


def alternate(
    found: Samples,
    time_one: Callable[[str], FollowUpPlan[TimedRun]],
    *,
    enough: Enough,
    after_round: Callable[[int, float], None],
) -> FollowUpPlan[None]:
    """Plan whole rounds until every side's interval is narrow enough, or time is up.

    The runs are added to `found`, which has every side, with its earlier rounds where a bench goes on.
    A round is not begun that would, going by those before, end beyond the budget; LEAST_ROUNDS are done
    in any case. `after_round` gets, after each, how many there were and the widest interval.
    """
    earlier = min(len(runs) for runs in found.values()) // RUNS_A_ROUND
    draw = random.Random(earlier)  # noqa: S311 - an order of work, not a secret
    begin = enough.spent_s()
    for done in itertools.count(1):
        for one in order_of(list(found), draw=draw):
            found[one].append((yield from time_one(one)))
        width = widest(found)
        rounds = earlier + done
        after_round(rounds, width)
        timed_s = enough.spent_s() - begin
        next_ends_s = timed_s + timed_s / done
        if rounds >= LEAST_ROUNDS and (width <= enough.precision or next_ends_s > enough.budget_s):
            break


def widest(found: Mapping[str, Sequence[TimedRun]]) -> float:
    """Return half the widest interval of a whole run, relative to its median."""
    return max(
        (relative_width([one.phases["run"] for one in timed]) for timed in found.values()), default=math.inf
    )


def median_interval(samples: Sequence[float]) -> Interval | None:
    """Return the shortest symmetric pair of order statistics that holds the median with CONFIDENCE.

    The number of samples below the median is binomial, with ½ (Le Boudec 2010, theorem 2.1): no
    distribution is assumed. None for fewer than 6 samples, whose extremes are not enough.
    """
    ordered, n = sorted(samples), len(samples)
    below = _below_the_interval(n)
    return None if below < 0 else (ordered[below], ordered[n - 1 - below])


@lru_cache
def _below_the_interval(n: int) -> int:
    """Return the place of its lower end among n ordered samples; -1 if even the extremes are too near."""
    if n > MANY:
        return math.floor(n / 2 - _HALF_WIDTH_OF_NORMAL * math.sqrt(n)) - 1
    most_outside = (1 - Fraction(str(CONFIDENCE))) / 2 * 2**n
    outside, ways, below = 0, 1, -1  # ways to choose which below + 1 of the samples are under the median
    while outside + ways <= most_outside:
        outside, below = outside + ways, below + 1
        ways = ways * (n - below) // (below + 1)
    return below


def relative_width(samples: Sequence[float]) -> float:
    """Return half the interval by the median; it is infinite while there is no interval."""
    interval, middle = median_interval(samples), statistics.median(samples)
    if interval is None:
        return math.inf
    return (interval[1] - interval[0]) / 2 / middle if middle else 0.0


def outliers(samples: Sequence[float]) -> int:
    """Count the samples whose modified z-score is above OUTLIER."""
    middle = statistics.median(samples)
    deviation = statistics.median(abs(value - middle) for value in samples)
    if not deviation:
        return 0
    return sum(_MAD_OF_NORMAL * abs(value - middle) / deviation > OUTLIER for value in samples)


def paired_ratio(samples: Sequence[float], reference: Sequence[float]) -> tuple[float, Interval | None]:
    """Return the median of sample by sample ratios with its interval: what troubled both alike cancels."""
    ratios = [mine / theirs for mine, theirs in zip(samples, reference, strict=True)]
    return statistics.median(ratios), median_interval(ratios)
