"""Explains on real services: trains the mixtures that are missing as a follow-up, and says what came of them.

The experiment itself is an ordinary one; the mixtures are an experiment that belongs to it. What was
trained before for the same experiment is not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from likewise.producer.blame.attribution import explain
from likewise.producer.blame.budget import BUDGET_S, Rates, within
from likewise.producer.blame.evidence import TrainedRun
from likewise.producer.blame.explanation import Explained, Explanation
from likewise.producer.blame.plan import Extent, Plan, identity, plan
from likewise.producer.display import count
from likewise.producer.experiments import carry_out, teller
from likewise.producer.follow_ups import FollowUpPlan, Submitted
from likewise.producer.kept import keep
from likewise.producer.replay import FIRST_STEPS, MOST_S, fits, traced_job
from likewise.producer.runs.results import FinishedRuns, merged, one_a_side
from likewise.producer.runs.routing import Need, refuse_unserved
from likewise.producer.runs.submit import FollowUp
from likewise.producer.session import Session
from likewise.producer.traces import Traces
from likewise.producer.verdict.judge import NO_WORD_ON_NUMBERS
from likewise.producer.verdict.parting import Parting
from likewise.shared.errors import UsageError
from likewise.shared.job.experiment import MAX_SEEDS, Experiment
from likewise.shared.ledger.records import ExperimentRecord, RunRecord
from likewise.shared.results.seed_table import Load, SeedTable
from likewise.shared.results.step_trace import TraceRequest
from likewise.shared.run import Run
from likewise.shared.store.arrays import ArrayRef

ENOUGH_SEEDS = 5
"""The fewest seeds that leave an interval worth the name."""
OWN = "own"
"""The name of what the experiment itself returned, beside the relations of its mixtures."""
MIXTURES = "mixtures"
"""The relation of the mixtures to their experiment; those of a later explanation have a number behind it."""
MUCH = 0.01
"""Part of a tensor, or of its change, by which two sides differ where it is worth a word."""
PLACES = "places"
"""The relation of the replays that say which settings are worth a short time."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """It asks how each of `others` comes to differ from the first side."""

    others: Sequence[str]
    seeds: Sequence[int]
    most_combined: int
    """Up to so many settings every combination is trained."""
    budget_s: float = BUDGET_S
    """About how long the mixtures may take to train."""


def enough_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds and, where they are too few for an interval, the smallest others."""
    unused = (seed for seed in range(MAX_SEEDS) if seed not in seeds)
    return (*seeds, *(next(unused) for _ in range(ENOUGH_SEEDS - len(seeds))))


def others_of(experiment: Experiment, asked: str | None) -> tuple[str, ...]:
    """Return the sides whose difference from the first is explained: the one asked for, or every other.

    Raises UsageError where there is no such other.
    """
    reference, *others = experiment.labels
    if not others:
        raise UsageError(f"only {reference} trains {experiment.name}: there is nothing to explain")
    if asked is not None and asked not in others:
        raise UsageError(f"--side is {asked!r}; it can be {' or '.join(others)}")
    return tuple(others) if asked is None else (asked,)


def explain_experiment(
    session: Session, record: ExperimentRecord, question: Question, *, queue_anyway: bool, quiet: bool
) -> list[Explanation]:
    """Train what is missing and return an explanation for each other side, in the question's order.

    What it will cost is said before, with `quiet` on a terminal alone. Raises NoWorkerError unless
    `queue_anyway`, UsageError for a side that trains a printed program, and CancelledError where it is
    cancelled meanwhile.
    """
    runs = {run.side: run for run in one_a_side(session.ledger.runs(record.run_ids))}
    if stock := [side for side, run in runs.items() if run.job.execution == "stock"]:
        raise UsageError(
            f"{stock[0]} trains a printed program, in which explain can switch no setting; explain it "
            "without execution: stock"
        )

    def plans(extent: Extent, partings: Mapping[str, Parting] = {}) -> list[Plan]:
        reference = runs[record.experiment.labels[0]]
        return [
            plan(
                reference,
                runs[other],
                extent,
                arrays=session.blobs.get,
                parting=partings.get(other),
            )
            for other in question.others
        ]

    whole = Extent(seeds=tuple(question.seeds), most_combined=question.most_combined)
    if not queue_anyway:
        wanted = [run for one in plans(whole) for run in one.runs()]
        refuse_unserved(map(Need.of_run, wanted), session.ledger.workers())
    standing = _standing(session, record)
    say = teller(quiet=quiet)
    say(_before(plans(whole), standing, whole))
    asking = _explained(plans, whole, standing, budget_s=question.budget_s, arrays=session.blobs.get, say=say)
    found = carry_out(session, record, asking, quiet=quiet).answer
    keep(session, record, "explanation", Explained(explanations=tuple(found)), complete=True)
    return found


def _before(plans: Sequence[Plan], standing: AlreadyAsked, whole: Extent) -> str:
    """Return what explaining will take, as far as that is known before the job itself has been trained."""
    settings = max((len(one.factors) for one in plans), default=0)
    mixtures = max((len(one.pairs) for one in plans), default=0)
    sentence = (
        f"{count(settings, 'setting differs', 'settings differ')}: {count(mixtures, 'mixture')} with "
        f"{count(len(whole.seeds), 'seed')} each tell what each does"
    )
    if not settings:
        seeds = count(len(whole.seeds), "seed")
        sentence = f"no setting differs in what is computed: {seeds} tell whether they end alike"
    if all(one.ended for one in standing.submitted):
        return sentence
    return f"{sentence}; the job itself is trained first, which tells how long that takes"


def _explained(
    plans: Callable[..., Sequence[Plan]],
    whole: Extent,
    standing: AlreadyAsked,
    *,
    budget_s: float,
    arrays: Load,
    say: Callable[[str], None],
) -> FollowUpPlan[list[Explanation]]:
    """Plan the job's own trainings, then the mixtures that the budget allows, and explain by all of them."""
    finished = dict((yield list(standing.submitted)))
    rates = Rates.of(_tables(finished[OWN], arrays))
    found = within(budget_s, whole, plans, rates=rates, known=standing.known)
    record = standing.submitted[0].record
    if any(one.left_out for one in found.plans):
        partings = yield from _partings(record, found.plans, arrays)
        make = partial(plans, partings=partings)
        found = within(budget_s, whole, make, rates=rates, known=standing.known)
    say(found.announcement())
    if found.missing:
        earlier = len(standing.submitted) - 1
        finished |= yield [_mixtures(record.experiment, found.missing, earlier=earlier)]
    trained = dict(one for other in finished.values() for one in _trained(other, found.seeds, arrays))
    note = found.note()
    explained = [
        explain(one, trained, arrays, experiment_id=record.experiment_id, name=record.experiment.name)
        for one in found.plans
    ]
    return [
        one.model_copy(update={"budget_s": budget_s, "notes": (*([note] if note else []), *one.notes)})
        for one in explained
    ]


def _partings(
    record: ExperimentRecord, plans: Sequence[Plan], arrays: Load
) -> FollowUpPlan[dict[str, Parting]]:
    """Replay a few updates of each pair, as it is with nothing switched; return where each other first parts.

    It says which of the settings are worth the time that there is. Another start hides what comes after it;
    then the others are replayed from the reference's, where that fits. Where they part by MUCH somewhere,
    that place counts, though something smaller may have parted them before.
    """
    ends = [plan.pairs[frozenset()] for plan in plans]
    runs = {run.side: run for pair in ends for run in (pair.reference, pair.other) if run is not None}
    jobs = {side: run.job for side, run in runs.items()}
    seeds, reference = plans[0].seeds[:1], record.experiment.labels[0]
    traces = Traces(reference=reference, arrays=arrays)

    def replays(sides: Iterable[str], start: dict[str, ArrayRef] | None = None) -> FollowUp:
        asked = TraceRequest(steps=FIRST_STEPS, seconds=MOST_S, keep_start=start is None, start=start)
        changes = {side: {"job": traced_job(runs[side].job, jobs), "seeds": seeds} for side in sides}
        asking = [runs[side].model_copy(update={"trace": asked, **one}) for side, one in changes.items()]
        experiment = record.experiment.with_sides(list(changes), seeds=seeds)
        return FollowUp(relation=PLACES, experiment=experiment, runs=asking, kept=False)

    traces.add((yield [replays(runs)])[PLACES].runs)
    starts = {other: one for other, one in traces.partings().items() if one.step == 0}
    weights = traces.steps[reference].start_weights if starts else {}
    if again := [other for other in starts if fits(weights, runs[other])]:
        traces.add((yield [replays(again, weights)])[PLACES].runs)
    return traces.partings() | traces.partings(by=MUCH)


def _tables(own: FinishedRuns, arrays: Load) -> dict[str, SeedTable]:
    """Return each side's seeds as they were trained for the experiment itself."""
    seeds = own.record.experiment.seed_list
    return {side: SeedTable.of(one, seeds, arrays=arrays) for side, one in merged(own.results).items()}


@dataclass(frozen=True, kw_only=True)
class AlreadyAsked:
    """It holds what was trained, or is being trained, before more is asked for."""

    submitted: Sequence[Submitted]
    """The experiment itself, and its earlier mixtures."""
    covered: Mapping[str, frozenset[int]]
    """The seeds of its runs that have, or will have, something to say, by the runs' identity."""

    def known(self, seeds: Sequence[int]) -> set[str]:
        """Return the identities of the runs with all these seeds."""
        return {name for name, covered in self.covered.items() if covered.issuperset(seeds)}


def _standing(session: Session, record: ExperimentRecord) -> AlreadyAsked:
    """Return the experiment and its earlier mixtures as they stand."""
    now = session.ledger.experiment(record.experiment_id) or record
    records = {OWN: now}
    for relation, experiment_id in now.related.items():
        if relation.startswith(MIXTURES) and (found := session.ledger.experiment(experiment_id)):
            records[relation] = found
    submitted: list[Submitted] = []
    covered: dict[str, frozenset[int]] = {}
    for relation, one in records.items():
        states = {state.run_id: state for state in session.ledger.records(one.run_ids)}
        ended = all(state.final for state in states.values())
        submitted.append(Submitted(relation=relation, record=one, ended=ended))
        for name, runs in _by_identity(session.ledger.runs(one.run_ids)).items():
            seeds = frozenset(seed for run in runs if _tells(states[run.run_id]) for seed in run.seeds)
            covered[name] = max(covered.get(name, frozenset()), seeds, key=len)
    return AlreadyAsked(submitted=submitted, covered=covered)


def _by_identity(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs; those that share one training's seeds among them together."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(identity(run), []).append(run)
    return found


def _tells(record: RunRecord) -> bool:
    """Return whether a run has, or will have, something to say: unless its surroundings ended it."""
    return record.failure is None or record.failure.reason not in NO_WORD_ON_NUMBERS


def _mixtures(experiment: Experiment, runs: Sequence[Run], *, earlier: int) -> FollowUp:
    """Return the mixtures as a follow-up, under a relation that the experiment does not have yet."""
    mixed = experiment.with_sides([run.side for run in runs], seeds=runs[0].seeds)
    relation = f"{MIXTURES} {earlier + 1}" if earlier else MIXTURES
    return FollowUp(relation=relation, experiment=mixed, runs=runs)


def _trained(other: FinishedRuns, seeds: Sequence[int], arrays: Load) -> Iterator[tuple[str, TrainedRun]]:
    """Yield every run of all these seeds with its result, by identity; the latest last, so that it counts."""
    results = {run.run_id: result for run, result in other.runs}
    for name, runs in _by_identity(run for run, _ in other.runs).items():
        if set(seeds) <= {seed for run in runs for seed in run.seeds}:
            (result,) = merged([results[run.run_id] for run in runs]).values()
            run = runs[0].model_copy(update={"seeds": tuple(seeds)})
            yield name, TrainedRun.of(run, result, arrays)
