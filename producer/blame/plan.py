"""The trainings that tell how much each difference between two sides weighs. Pure.

A mixture is trained in the other side, from the reference's data, start and settings where they are
switched. Where each side draws its own initial weights, that is chance and no setting: all mixtures,
and the reference beside them, start from the same (`shared`) weights, and the gap as declared is told
beside. Where nothing else differs, the start itself is what is switched.

Settings that are only written differently make one factor together: the mixtures are trained in one wording,
the reference's, and what the other's own words add to the gap is that factor's part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from likewise.producer.blame.factors import Factor, factors, start, switched
from likewise.producer.blame.places import in_order
from likewise.producer.blame.shares import Design, Mixture, design
from likewise.producer.job.resolve import without_consequences
from likewise.producer.verdict.parting import Parting
from likewise.producer.wording.alike import Wording, in_one_wording
from likewise.producer.wording.form import AS_IT_IS, Facts, Translation
from likewise.shared.job import Job
from likewise.shared.job.weights import SharedWeights
from likewise.shared.results.seed_table import Load
from likewise.shared.run import Run


@dataclass(frozen=True, kw_only=True)
class Extent:
    """It says how much is trained to explain."""

    seeds: tuple[int, ...]
    most_combined: int
    """Up to so many settings every combination is trained."""
    most_factors: int | None = None
    """How many settings are switched, the weightiest first; all, if None."""


@dataclass(frozen=True, kw_only=True)
class PlannedPair:
    """It names the runs whose gap is wanted; `problem` says why the other's cannot be trained."""

    reference: Run
    other: Run | None
    problem: str | None = None
    readings: tuple[Translation, Translation] = (AS_IT_IS, AS_IT_IS)
    """How what each run gives is read, so that both are on one scale."""


@dataclass(frozen=True, kw_only=True)
class OwnWords:
    """It is the factor of all settings that are only written differently, and the pair in its own words."""

    factor: Factor
    pair: PlannedPair
    says: str
    """Why it is only written differently, as a clause."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """It says what is trained, and why."""

    factors: tuple[Factor, ...]
    design: Design
    declared: PlannedPair
    """The pair as the job says it."""
    pairs: Mapping[Mixture, PlannedPair]
    own_start: bool
    """Whether the declared pair alone starts from each side's own weights."""
    left_out: tuple[Factor, ...] = ()
    """The factors that are not switched, for want of time; each side keeps its own."""
    parting: Parting | None = None
    """Where replays show the two to part, by which the factors are ordered; None where they are by kind."""
    own_words: OwnWords | None = None
    """What is only written differently; None where nothing is."""

    @property
    def ends(self) -> tuple[Run, Run]:
        """The two runs as declared: the reference's and the other's."""
        assert self.declared.other is not None  # noqa: S101  # as declared
        return self.declared.reference, self.declared.other

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every run is trained with."""
        return self.declared.reference.seeds

    def runs(self) -> list[Run]:
        """Return every training once."""
        found: dict[str, Run] = {}
        own = (self.own_words.pair,) if self.own_words else ()
        for pair in (self.declared, *own, *self.pairs.values()):
            for run in (pair.reference, pair.other):
                if run is not None:
                    found.setdefault(identity(run), run)
        return list(found.values())


def plan(
    reference: Run,
    other: Run,
    extent: Extent,
    *,
    arrays: Load | None = None,
    parting: Parting | None = None,
) -> Plan:
    """Return what to train to explain the difference of two runs. The runs keep the given ones' ids.

    `arrays` gives the data, on which it may depend whether two settings compute the same. `parting` is where
    replays of the two first part, which tells more of a factor's weight than its kind does.
    """
    reference, other = (run.model_copy(update={"seeds": extent.seeds}) for run in (reference, other))
    wording = in_one_wording(
        (reference.side, other.side),
        (reference.job, other.job),
        (Facts(dataset=reference.dataset, arrays=arrays), Facts(dataset=other.dataset, arrays=arrays)),
    )
    readings = wording.reference.reading, wording.other.reading
    declared = PlannedPair(reference=reference, other=other, readings=readings)
    reference_reworded, other_reworded = wording.runs(reference, other)
    every = factors((reference.side, reference_reworded.job), (other.side, other_reworded.job))
    if parting is not None:
        every = in_order(every, parting, reference_reworded.job)
    chosen = every[: extent.most_factors]
    own_start = all(run.job.initial_weights.type == "framework" for run in (reference, other))
    if own_start and not chosen:
        own = start(reference.side, other.side)
        pairs = {frozenset[int](): declared, frozenset({0}): _from_one_start(declared)}
        return Plan(factors=(own,), design=design(1), declared=declared, pairs=pairs, own_start=False)
    as_written = _from_one_start(declared) if own_start else declared
    ends, own_words = as_written, None
    if wording.couples:
        reworded = replace(declared, other=other_reworded, readings=(readings[0], readings[0]))
        ends = _from_one_start(reworded) if own_start else reworded
        own_words = OwnWords(
            factor=_factor_of_words(wording, {one.path for one in every}),
            pair=as_written,
            says="; ".join(couple.rule.says for couple in wording.couples),
        )
    mixtures = design(len(chosen), most_combined=extent.most_combined)
    return Plan(
        factors=chosen,
        design=mixtures,
        declared=declared,
        pairs={mixture: _mixed(ends, chosen, mixture) for mixture in mixtures.mixtures},
        own_start=own_start,
        left_out=every[len(chosen) :],
        parting=parting,
        own_words=own_words,
    )


def _factor_of_words(wording: Wording, taken: Collection[str]) -> Factor:
    """Return the factor of all that is only written differently; `taken` has the paths of the others."""
    reworded = {
        one.path: one.values for couple in wording.couples for one in without_consequences(couple.differences)
    }
    if len(reworded) == 1:
        ((path, values),) = reworded.items()
        path = f"{path}, as it is written" if path in taken else path
        return Factor(path=path, values={name: values[name] for name in wording.names}, edits=())
    by_side = {name: {path: values[name] for path, values in reworded.items()} for name in wording.names}
    return Factor(path=" + ".join(reworded), values=by_side, edits=())


def identity(run: Run) -> str:
    """Return a text that is equal for runs that train the same, whatever their ids and their seeds."""
    weights = run.given_weights or {}
    given = sorted((name, ref.sha256) for name, ref in weights.items())
    draws = "" if run.draws is None else run.draws.model_dump_json()
    return f"{run.side} {run.job.model_dump_json()} {run.dataset.model_dump_json()} {given} {draws}"


def _from_one_start(pair: PlannedPair) -> PlannedPair:
    """Return both runs with weights that are drawn once and given to both."""

    def shared(run: Run) -> Run:
        job = run.job.model_copy(update={"initial_weights": SharedWeights(type="shared")})
        return run.model_copy(update={"job": job, "given_weights": None})

    assert pair.other is not None  # noqa: S101  # as declared
    return replace(pair, reference=shared(pair.reference), other=shared(pair.other))


def _mixed(ends: PlannedPair, found: Sequence[Factor], mixture: Mixture) -> PlannedPair:
    """Return the pair with the mixture's factors switched in the other's run."""
    reference, other = ends.reference, ends.other
    assert other is not None  # noqa: S101  # as declared
    chosen = [found[place] for place in sorted(mixture)]
    try:
        job = switched(other.job, chosen)
    except ValidationError as error:
        message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        return replace(ends, other=None, problem=message)
    source = next((run for run in (other, reference) if _fits(run, job)), None)
    if source is None:
        problem = f"the data are not prepared for {job.loss.type}"
        return replace(ends, other=None, problem=problem)
    weights = reference if job.initial_weights == reference.job.initial_weights else other
    changes = {"job": job, "dataset": source.dataset, "given_weights": weights.given_weights}
    mixed = other.model_copy(update=changes)
    return replace(ends, other=mixed.drawn_as(reference))


def _fits(run: Run, job: Job) -> bool:
    """Return whether a run's stored data are those of a job."""
    return run.job.data == job.data and run.dataset.task == job.loss.task
