"""The trainings that an explanation rests on: both jobs as declared, and the mixtures of the two. Pure.

A mixture is trained in the other side, from the reference's data, start and settings where they are
switched. Where each side draws its own initial weights, that is chance and no setting: all mixtures,
and the reference beside them, start from the same (`shared`) weights, and the gap as declared is told
beside. Where nothing else differs, the start itself is what is switched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from producer.blame.factors import Factor, factors, start, switched
from producer.blame.shares import Design, Mixture, design
from producer.data.targets import TASKS
from shared.job import Job
from shared.job.weights import SharedWeights
from shared.run import Run

LEAST_SEEDS = 5
"""Fewer leave no interval worth the name."""


@dataclass(frozen=True, kw_only=True)
class PlannedPair:
    """The runs whose gap is wanted; `problem` says why the other's cannot be trained."""

    reference: Run
    other: Run | None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is trained and why. `declared` is the pair as the job says it; `own_start` whether it alone
    starts from each side's own weights."""

    factors: tuple[Factor, ...]
    design: Design
    declared: PlannedPair
    pairs: Mapping[Mixture, PlannedPair]
    own_start: bool

    @property
    def ends(self) -> tuple[Run, Run]:
        """The two runs as declared: the reference's and the other's."""
        assert self.declared.other is not None  # noqa: S101  # as declared
        return self.declared.reference, self.declared.other

    @property
    def seeds(self) -> tuple[int, ...]:
        """That every run is trained with."""
        return self.declared.reference.seeds

    def runs(self) -> list[Run]:
        """Every training once."""
        found: dict[str, Run] = {}
        for pair in (self.declared, *self.pairs.values()):
            for run in (pair.reference, pair.other):
                if run is not None:
                    found.setdefault(identity(run), run)
        return list(found.values())


def plan(reference: Run, other: Run, *, seeds: Sequence[int], most_combined: int) -> Plan:
    """What to train to explain the difference of two runs. The runs' ids are those of the given ones."""
    declared = PlannedPair(reference=_seeded(reference, seeds), other=_seeded(other, seeds))
    found = factors((reference.side, reference.job), (other.side, other.job))
    own_start = all(run.job.initial_weights.type == "framework" for run in (reference, other))
    if own_start and not found:
        own = start(reference.side, other.side)
        pairs = {frozenset[int](): declared, frozenset({0}): _alike(declared)}
        return Plan(factors=(own,), design=design(1), declared=declared, pairs=pairs, own_start=False)
    ends = _alike(declared) if own_start else declared
    plans = design(len(found), most_combined=most_combined)
    pairs = {mixture: _mixed(ends, found, mixture) for mixture in plans.mixtures}
    return Plan(factors=found, design=plans, declared=declared, pairs=pairs, own_start=own_start)


def identity(run: Run) -> str:
    """Equal for runs that train the same: ids and the seeds' number aside."""
    weights = run.given_weights or {}
    given = sorted((name, ref.sha256) for name, ref in weights.items())
    return f"{run.side} {run.job.model_dump_json()} {run.dataset.model_dump_json()} {given}"


def _seeded(run: Run, seeds: Sequence[int]) -> Run:
    return run.model_copy(update={"seeds": tuple(seeds)})


def _alike(pair: PlannedPair) -> PlannedPair:
    """Both from weights that are drawn once and given to both."""

    def alike(run: Run) -> Run:
        job = run.job.model_copy(update={"initial_weights": SharedWeights(type="shared")})
        return run.model_copy(update={"job": job, "given_weights": None})

    assert pair.other is not None  # noqa: S101  # as declared
    return replace(pair, reference=alike(pair.reference), other=alike(pair.other))


def _mixed(ends: PlannedPair, found: Sequence[Factor], mixture: Mixture) -> PlannedPair:
    """The other's run with the mixture's factors switched."""
    reference, other = ends.reference, ends.other
    assert other is not None  # noqa: S101  # as declared
    chosen = [found[place] for place in sorted(mixture)]
    try:
        job = switched(other.job, chosen)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        return PlannedPair(reference=reference, other=None, problem=message)
    source = next((run for run in (other, reference) if _fits(run, job)), None)
    if source is None:
        problem = f"the data are not prepared for {job.loss.type}"
        return PlannedPair(reference=reference, other=None, problem=problem)
    weights = reference if job.initial_weights == reference.job.initial_weights else other
    changes = {"job": job, "dataset": source.dataset, "given_weights": weights.given_weights}
    return PlannedPair(reference=reference, other=other.model_copy(update=changes))


def _fits(run: Run, job: Job) -> bool:
    """Whether a run's stored data are those of a job."""
    return run.job.data == job.data and run.dataset.task == TASKS[job.loss.type]
