"""What differs between two sides' jobs, and the trainings that tell how much each difference weighs. Pure.

A factor is one difference that a job can be freed of by itself. A changed `type` takes along the fields
that only one of the two types has; a layer, the data and the initial weights move as a whole. One field that
differs in the same way in several layers is one convention, and one factor. Settings that do not change
the training (metrics, predict) and the device, which has to be there, are no factors.

A mixture is trained in the other side, from the reference's data, start and settings where they are
switched. Where each side draws its own initial weights, that is chance and no setting: all mixtures,
and the reference beside them, start from the same (`shared`) weights, and the gap as declared is told
beside. Where nothing else differs, the start itself is what is switched.

Settings that are only written differently make one factor together: the mixtures are trained in one wording,
the reference's, and what the other's own words add to the gap is that factor's part.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from likewise.producer.blame.shares import Design, Mixture, design
from likewise.producer.data.targets import TASKS
from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.knowledge import convention, together, weight_of
from likewise.producer.wording.alike import Wording, in_one_wording
from likewise.producer.wording.form import AS_IT_IS, Facts, Translation
from likewise.shared.job import Job
from likewise.shared.job.weights import SharedWeights
from likewise.shared.results.seed_table import Load
from likewise.shared.run import Run

Path = tuple[str | int, ...]

NEVER_SWITCHED = ("schema_version", "name", "metrics", "predict", "device")
_WHOLE = ("data", "initial_weights")
"""Sections that move as one: their arrays belong together."""
_LOOSE = ("optimizer", "loss")
"""Sections whose types share fields that mean the same: these move by themselves when the type changes."""
_EXCLUSIVE = ("clip_value", "clip_norm", "global_clip_norm")
"""An optimizer has at most one of these, so that they move together where several differ."""
LEAST_SEEDS = 5
"""The fewest seeds that leave an interval worth the name."""


class _Absent:
    """Stands for a field that the other type does not have."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """It is a difference between the reference's job and another's.

    `values` are for people, by side; `edits` lead the other's job to the reference's values.
    """

    path: str
    values: Mapping[str, Any]
    edits: tuple[tuple[Path, Any], ...]
    members: tuple[Factor, ...] = ()
    """The factors that it stands for together, where it does."""

    @classmethod
    def of_several(cls, members: Sequence[Factor]) -> Factor:
        """Return one factor for several that make sense together alone."""
        sides = members[0].values
        return cls(
            path=" + ".join(one.path for one in members),
            values={side: {one.path: one.values[side] for one in members} for side in sides},
            edits=tuple(edit for one in members for edit in one.edits),
            members=tuple(members),
        )

    @property
    def difference(self) -> SettingDifference:
        """The factor as `producer.verdict.knowledge` takes it."""
        return SettingDifference(path=self.path, values=self.values)


def factors(reference: tuple[str, Job], other: tuple[str, Job]) -> tuple[Factor, ...]:
    """Return the factors between two sides' jobs, what changes a training most first."""
    names = (reference[0], other[0])
    mine, theirs = (job.model_dump(mode="json") for _, job in (reference, other))
    found = [
        factor
        for section in mine
        if section not in NEVER_SWITCHED
        for factor in _section(section, mine[section], theirs[section], names)
    ]
    return tuple(sorted(_conventions(found), key=lambda factor: weight_of(factor.difference)))


def start(reference: str, other: str) -> Factor:
    """Return the factor of each side's own initial weights; switched, both start from the shared ones."""
    return Factor(
        path="initial_weights",
        values={reference: "its own default", other: "its own default"},
        edits=((("initial_weights",), {"type": "shared"}),),
    )


def switched(job: Job, chosen: Sequence[Factor]) -> Job:
    """Return the job with the reference's values for the chosen factors.

    Raises pydantic's ValidationError where the mixture is no job.
    """
    document = copy.deepcopy(job.model_dump(mode="json"))
    for factor in chosen:
        for path, value in factor.edits:
            here: Any = document
            for part in path[:-1]:
                here = here[part]
            if value is ABSENT:
                here.pop(path[-1], None)
            else:
                here[path[-1]] = copy.deepcopy(value)
    return Job.model_validate(document)


def _conventions(found: Sequence[Factor]) -> list[Factor]:
    """Return the factors, with one for a field that differs alike in several layers.

    Its path is such as `model.layers.0,2.epsilon`.
    """
    groups: dict[str, list[Factor]] = {}
    for factor in found:
        groups.setdefault(convention(factor.difference), []).append(factor)
    return [_together(group) for group in groups.values()]


def _together(group: Sequence[Factor]) -> Factor:
    shown = together([factor.difference for factor in group])
    edits = tuple(edit for factor in group for edit in factor.edits)
    return Factor(path=shown.path, values=shown.values, edits=edits)


def _section(section: str, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    if mine == theirs:
        return
    if section in _WHOLE:
        yield _whole(section, mine, theirs, names)
        return
    yield from _walk((section,), mine, theirs, names)


def _walk(path: Path, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    if mine == theirs:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        yield from _mappings(path, mine, theirs, names)
    elif _layers(mine) and _layers(theirs) and len(mine) == len(theirs):
        for place, (one, another) in enumerate(zip(mine, theirs, strict=True)):
            yield from _walk((*path, place), one, another, names)
    else:
        shown = [_told(value) for value in (mine, theirs)]
        yield _factor(path, shown, names, [(path, mine)])


def _mappings(path: Path, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    other_type = mine.get("type") != theirs.get("type")
    shared = [key for key in mine if key in theirs]
    if other_type:
        types = [value.get("type") for value in (mine, theirs)]
        if len(path) > 3 or (len(path) > 1 and path[0] in _LOOSE):
            yield _factor(path, [mine, theirs], names, [(path, mine)])
            return
        if path[0] not in _LOOSE:
            yield _factor((*path, "type"), types, names, [(path, mine)])
            return
        shared.remove("type")
        own = [((*path, key), ABSENT) for key in theirs if key not in mine]
        own += [((*path, key), value) for key, value in mine.items() if key not in theirs or key == "type"]
        yield _factor((*path, "type"), types, names, own)
    exclusive = [key for key in shared if key in _EXCLUSIVE and mine[key] != theirs[key]]
    if len(exclusive) > 1:
        shared = [key for key in shared if key not in exclusive]
        shown = [{key: value[key] for key in exclusive if value[key]} for value in (mine, theirs)]
        yield _factor((*path, "clip"), shown, names, [((*path, key), mine[key]) for key in exclusive])
    for key in shared:
        yield from _walk((*path, key), mine[key], theirs[key], names)


def _whole(section: str, mine: Any, theirs: Any, names: tuple[str, str]) -> Factor:
    """Return one factor for a section, named by the one field that differs where it is one."""
    leaves = [
        (path, one, another) for path, one, another in _leaves((section,), mine, theirs) if one != another
    ]
    if len(leaves) == 1:
        path, one, another = leaves[0]
        return _factor(path, [_told(one), _told(another)], names, [((section,), mine)])
    if mine.get("type") != theirs.get("type"):
        return _factor((section, "type"), [mine.get("type"), theirs.get("type")], names, [((section,), mine)])
    shown = [{_dotted(path[1:]): _told(values[side]) for path, *values in leaves} for side in (0, 1)]
    return _factor((section,), shown, names, [((section,), mine)])


def _leaves(path: Path, mine: Any, theirs: Any) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys((*mine, *theirs)):
            yield from _leaves((*path, key), mine.get(key), theirs.get(key))
    else:
        yield path, mine, theirs


def _factor(
    path: Path, shown: Sequence[Any], names: tuple[str, str], edits: list[tuple[Path, Any]]
) -> Factor:
    return Factor(path=_dotted(path), values=dict(zip(names, shown, strict=True)), edits=tuple(edits))


def _told(value: Any) -> Any:
    """Return a list of layers by its types, and any other value as it is."""
    return [layer["type"] for layer in value] if _layers(value) else value


def _layers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and "type" in item for item in value)
    )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


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
    *,
    seeds: Sequence[int],
    most_combined: int,
    most_factors: int | None = None,
    arrays: Load | None = None,
) -> Plan:
    """Return what to train to explain the difference of two runs. The runs keep the given ones' ids.

    Of the factors the `most_factors` weightiest are switched, all of them where it is None. `arrays` gives
    the data, on which it may depend whether two settings compute the same.
    """
    runs = _seeded(reference, seeds), _seeded(other, seeds)
    words = worded(*runs, arrays=arrays)
    readings = words.reference.reading, words.other.reading
    declared = PlannedPair(reference=runs[0], other=runs[1], readings=readings)
    alike, reworded = words.runs(*runs)
    every = factors((reference.side, alike.job), (other.side, reworded.job))
    found = every[:most_factors]
    own_start = all(run.job.initial_weights.type == "framework" for run in (reference, other))
    if own_start and not found:
        own = start(reference.side, other.side)
        pairs = {frozenset[int](): declared, frozenset({0}): _alike(declared)}
        return Plan(factors=(own,), design=design(1), declared=declared, pairs=pairs, own_start=False)
    as_written = _alike(declared) if own_start else declared
    ends, own_words = as_written, None
    if words.couples:
        in_words = replace(declared, other=reworded, readings=(readings[0], readings[0]))
        ends = _alike(in_words) if own_start else in_words
        own_words = OwnWords(
            factor=_words(words),
            pair=as_written,
            says="; ".join(couple.rule.says for couple in words.couples),
        )
    plans = design(len(found), most_combined=most_combined)
    pairs = {mixture: _mixed(ends, found, mixture) for mixture in plans.mixtures}
    return Plan(
        factors=found,
        design=plans,
        declared=declared,
        pairs=pairs,
        own_start=own_start,
        left_out=every[len(found) :],
        own_words=own_words,
    )


def worded(reference: Run, other: Run, *, arrays: Load | None) -> Wording:
    """Return both runs' jobs in one wording."""
    return in_one_wording(
        (reference.side, other.side),
        (reference.job, other.job),
        (Facts(dataset=reference.dataset, arrays=arrays), Facts(dataset=other.dataset, arrays=arrays)),
    )


def _words(words: Wording) -> Factor:
    """Return the factor of all that is only written differently."""
    gone = {one.path: one for couple in words.couples for one in couple.differences}
    values = {
        name: one.values[name] if len(gone) == 1 else {path: two.values[name] for path, two in gone.items()}
        for name in words.names
        for one in list(gone.values())[:1]
    }
    return Factor(path=" + ".join(gone), values=values, edits=())


def identity(run: Run) -> str:
    """Return a text that is equal for runs that train the same, whatever their ids and their seeds."""
    weights = run.given_weights or {}
    given = sorted((name, ref.sha256) for name, ref in weights.items())
    return f"{run.side} {run.job.model_dump_json()} {run.dataset.model_dump_json()} {given}"


def _seeded(run: Run, seeds: Sequence[int]) -> Run:
    return run.model_copy(update={"seeds": tuple(seeds)})


def _alike(pair: PlannedPair) -> PlannedPair:
    """Return both runs with weights that are drawn once and given to both."""

    def alike(run: Run) -> Run:
        job = run.job.model_copy(update={"initial_weights": SharedWeights(type="shared")})
        return run.model_copy(update={"job": job, "given_weights": None})

    assert pair.other is not None  # noqa: S101  # as declared
    return replace(pair, reference=alike(pair.reference), other=alike(pair.other))


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
    return replace(ends, other=other.model_copy(update=changes))


def _fits(run: Run, job: Job) -> bool:
    """Return whether a run's stored data are those of a job."""
    return run.job.data == job.data and run.dataset.task == TASKS[job.loss.type]
