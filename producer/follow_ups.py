"""What is trained further for an experiment, as data: what a plan is, and those of the twin and the rerun.

A `FollowUpPlan` yields `FollowUp`s, gets what they returned, may yield more, and returns what it makes of
them; it knows neither the queue nor a terminal. `producer.experiments` carries plans out. Other plans are the
traced replay (`producer.replay`), the mixtures of settings (`producer.explaining`) and the timed rounds
(`producer.bench.flow`).

A difference of meaning stays as large in float64; rounding shrinks by about 1e9. So the twin tells a
float32 gap that training has amplified from a real one, and finds a real one that hides in rounding.
The rerun tells how far a side's own numbers move from training to training.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from likewise.producer.display import count
from likewise.producer.runs.submit import FollowUp
from likewise.shared.job import Experiment
from likewise.shared.run import Run

if TYPE_CHECKING:
    from likewise.producer.compare import Basis
    from likewise.producer.runs.results import FinishedRuns
    from likewise.producer.verdict.models import Comparison
    from likewise.shared.ledger.records import ExperimentRecord
    from likewise.shared.results.seed_table import Load


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """It asks for what an experiment on the ledger returns, and to wait for it where it still trains."""

    relation: str
    record: ExperimentRecord
    ended: bool
    """Whether all of its runs are final."""


Answer = TypeVar("Answer")
Finished = Mapping[str, "FinishedRuns"]
"""What follow-ups returned, by relation."""
FollowUpPlan = Generator[Sequence[FollowUp | Submitted], Finished, Answer]
"""Yields what is to be trained together, is sent what that returned, and returns an answer in the end."""

TWIN, RERUN, PERTURBED, CAUSES = "twin", "rerun", "perturbed", "causes"
"""The relations of the float64 twin, the rerun, the twin from a moved start, and the mixtures of settings
that tell several causes apart, to the experiment that is trained once more."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """It holds an experiment's comparison, what that is of, and the same of its float64 twin."""

    record: ExperimentRecord
    comparison: Comparison
    basis: Basis
    """What the comparison rests on, kept so that a replay does not have it computed anew."""
    runs: tuple[Run, ...]
    """Each side's run, in the experiment's order, with all of its seeds, however they were spread."""
    ended: bool
    """Whether every run had ended."""
    arrays: Load
    """Gives the array of a reference."""
    finished: Finished
    """What its follow-ups returned, by relation."""
    twin: Judged | None = None


MOST_SEEDS = 3
"""The most seeds of a twin or a rerun; what a job means does not depend on the seed."""
TOLD_FROM_S = 5.0
"""A twin or rerun that trains for longer is announced with about how long."""
BUDGET_S = 120.0
"""What the twin and the rerun may train for together. Where all of MOST_SEEDS would take longer, as many
train as fit, and a kind of which not one seed fits is left out. Float64 costs a CPU about what float32 does.
"""


def twin_tells_more(comparison: Comparison) -> bool:
    """Return whether training in float64 can add to what is known.

    It can where some job is in float32 and no training failed or diverged, unless the sides ended with the
    same bits, did not start from the same weights, or have arrays that cannot be compared.
    """
    float32 = "float32" in {job.precision for job in comparison.jobs.values()}
    comparable = len(comparison.runs) > 1 and not comparison.failed
    return (
        comparison.twin is None
        and float32
        and comparable
        and not comparison.diverged
        and not comparison.misfit
        and not all(one.identical for one in comparison.seed_gaps)
        and not any(one.same_initial_weights is False for one in comparison.seed_gaps)
    )


def seed_cost_s(comparison: Comparison) -> float:
    """Return about how long one seed of a twin or a rerun trains, by the trainings of the slowest side."""
    seeds = len(comparison.experiment.seed_list)
    return max((run.total_train_s or 0.0) / seeds for run in comparison.runs)


def rerun_tells_more(comparison: Comparison) -> bool:
    """Return whether training the same once more can add to what is known.

    That shows how far a side's own numbers move, which matters where two sides' numbers differ.
    """
    return (
        not comparison.noise_floor
        and len(comparison.runs) > 1
        and not comparison.failed
        and not comparison.diverged
        and not comparison.misfit
        and not all(one.identical for one in comparison.seed_gaps)
    )


def twin_follow_up(experiment: Experiment, runs: Sequence[Run], seeds: int = MOST_SEEDS) -> FollowUp:
    """Return the experiment's first seeds in float64."""
    in_float64 = [
        run.model_copy(update={"job": run.job.model_copy(update={"precision": "float64"})}) for run in runs
    ]
    return FollowUp(
        relation=TWIN,
        experiment=twin_experiment(experiment, seeds),
        runs=_first_seeds(in_float64, seeds),
        announcement="once more in float64, to tell rounding from a real difference",
    )


def rerun_follow_up(experiment: Experiment, runs: Sequence[Run], seeds: int = MOST_SEEDS) -> FollowUp:
    """Return the experiment's first seeds as they are."""
    again = experiment.model_copy(update={"seeds": experiment.seed_list[:seeds]})
    return FollowUp(
        relation=RERUN,
        experiment=again,
        runs=_first_seeds(runs, seeds),
        announcement="once more as it was, to see how far a side's own numbers move",
    )


def perturbed_follow_up(experiment: Experiment, runs: Sequence[Run], seeds: int = MOST_SEEDS) -> FollowUp:
    """Return the experiment's first seeds in float64, from a start that is moved in its last place."""
    twin = twin_follow_up(experiment, runs, seeds)
    return FollowUp(
        relation=PERTURBED,
        experiment=twin.experiment,
        runs=[run.model_copy(update={"perturbed": True}) for run in twin.runs],
        announcement="once more in float64 from a start moved in its last place, to see what rounding makes",
    )


def perturbed_twin(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the twin from a moved start, where it parts the sides and nothing that was declared does."""
    evidence, comparison = outcome.basis.evidence, outcome.comparison
    twin = evidence.twin
    if twin is None or twin.equal or twin.trained_alike or PERTURBED in outcome.finished:
        return
    if evidence.differences or evidence.other_start or evidence.other_batches or comparison.misfit:
        return
    if (seconds := seed_cost_s(comparison) * twin.seeds) > BUDGET_S:
        tell(f"a moved start is left out: it would train for about {seconds:,.0f} s more")
        return
    yield [perturbed_follow_up(outcome.record.experiment, outcome.runs, twin.seeds)]


def twin_alone(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the float64 twin, where it can add something and does not train for too long."""
    yield from _affordable(outcome, tell, [_TWIN])


def twin_and_rerun(outcome: Judged, tell: Callable[[str], None]) -> FollowUpPlan[None]:
    """Plan the float64 twin and the rerun, each where it can add something; both train at the same time."""
    yield from _affordable(outcome, tell, [_TWIN, _RERUN])


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """It is one way of training the same once more."""

    name: str
    adds: Callable[[Comparison], bool]
    follow_up: Callable[[Experiment, Sequence[Run], int], FollowUp]


_TWIN = _Kind(name="the float64 twin", adds=twin_tells_more, follow_up=twin_follow_up)
_RERUN = _Kind(name="the rerun", adds=rerun_tells_more, follow_up=rerun_follow_up)


def _affordable(outcome: Judged, tell: Callable[[str], None], kinds: Sequence[_Kind]) -> FollowUpPlan[None]:
    """Ask for those that add something, with as many seeds as the budget allows; say what is left out.

    The kinds train at once; what comes first takes most, but leaves one seed to each of the others.
    """
    experiment = outcome.record.experiment
    kinds = [kind for kind in kinds if kind.adds(outcome.comparison)]
    each_s, left_s = seed_cost_s(outcome.comparison), BUDGET_S
    most = min(MOST_SEEDS, len(experiment.seed_list))
    wanted = []
    for place, kind in enumerate(kinds, start=1):
        seeds = seeds_within(left_s, each_s, most=most, waiting=len(kinds) - place)
        if not seeds:
            one = "it" if most == 1 else "one seed of it"
            tell(
                f"{kind.name} is left out: {one} would train for about {each_s:,.0f} s, and {left_s:,.0f} s "
                f"of the budget of {BUDGET_S:,.0f} s are left"
            )
            continue
        made = kind.follow_up(experiment, outcome.runs, seeds)
        wanted.append(_with_cost(made, seconds=each_s * seeds, seeds=seeds, most=most))
        left_s -= each_s * seeds
    if wanted:
        yield wanted


def seeds_within(left_s: float, each_s: float, *, most: int, waiting: int) -> int:
    """Return how many seeds, `most` at the most, train within `left_s` when each takes `each_s` seconds.

    One seed is left to each of the kinds that wait, unless this one would have none then.
    """
    if each_s <= 0:
        return most
    fit = int(left_s / each_s)
    return min(most, fit - waiting if fit > waiting else min(fit, 1))


def _with_cost(one: FollowUp, *, seconds: float, seeds: int, most: int) -> FollowUp:
    """Return the follow-up with an announcement that says what it costs, where it is long or cut short."""
    if seconds < TOLD_FROM_S:
        return one
    said = f"{one.announcement}: about {seconds:,.0f} s of training"
    if seeds < most:
        said += f", of {count(seeds, 'seed')} and not {most}, to stay within {BUDGET_S:,.0f} s"
    return replace(one, announcement=said)


def _first_seeds(runs: Sequence[Run], seeds: int) -> list[Run]:
    return [run.model_copy(update={"seeds": run.seeds[:seeds]}) for run in runs]


def twin_experiment(experiment: Experiment, seeds: int = MOST_SEEDS) -> Experiment:
    """Return the experiment in float64, with its first seeds."""
    return experiment.in_precision("float64", seeds=experiment.seed_list[:seeds])
