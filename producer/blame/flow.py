"""Explains on real services: trains the mixtures that are missing as a follow-up, and says what came of them.

The experiment itself is an ordinary one; the mixtures are an experiment that belongs to it. What was
trained before for the same experiment is not trained again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from likewise.producer.blame.evidence import TrainedRun
from likewise.producer.blame.explanation import Explanation, explain
from likewise.producer.blame.factors import LEAST_SEEDS, Plan, identity, plan
from likewise.producer.experiments import carry_out
from likewise.producer.follow_ups import FollowUpPlan, Submitted
from likewise.producer.runs.results import FinishedRuns, merged, one_a_side
from likewise.producer.runs.routing import Need, refuse_unserved
from likewise.producer.runs.submit import FollowUp
from likewise.producer.session import Session
from likewise.producer.verdict.judge import NO_WORD_ON_NUMBERS
from likewise.shared.errors import UsageError
from likewise.shared.job.experiment import MAX_SEEDS, Experiment
from likewise.shared.ledger.records import ExperimentRecord, RunRecord
from likewise.shared.results.seed_table import Load
from likewise.shared.run import Run

OWN = "own"
"""Under this word stands what the experiment itself returned, among what its mixtures did."""
MIXTURES = "mixtures"
"""What the mixtures are to the experiment they belong to; later ones have a number behind."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """It asks how each of `others` comes to differ from the first side."""

    others: Sequence[str]
    seeds: Sequence[int]
    most_combined: int
    """Up to so many settings every combination is trained."""


def enough_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return the seeds and, where they are too few for an interval, the smallest others."""
    unused = (seed for seed in range(MAX_SEEDS) if seed not in seeds)
    return (*seeds, *(next(unused) for _ in range(LEAST_SEEDS - len(seeds))))


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

    Raises NoWorkerError unless `queue_anyway`, and CancelledError where it is cancelled meanwhile.
    """
    plans = list(_plans(session, record, question))
    standing, known = _standing(session, record, question.seeds)
    runs = {identity(run): run for one in plans for run in one.runs()}
    missing = [run for name, run in runs.items() if name not in known]
    if not queue_anyway:
        refuse_unserved(map(Need.of_run, missing), session.ledger.workers())
    wanted = _mixtures(record.experiment, missing, earlier=len(standing) - 1) if missing else None
    asking = _explained(plans, standing, wanted, seeds=question.seeds, arrays=session.blobs.get)
    return carry_out(session, record, asking, quiet=quiet).answer


def _explained(
    plans: Sequence[Plan],
    standing: Sequence[Submitted],
    mixtures: FollowUp | None,
    *,
    seeds: Sequence[int],
    arrays: Load,
) -> FollowUpPlan[list[Explanation]]:
    """Plan the mixtures beside what trains already, and explain by all that was trained."""
    wanted: list[FollowUp | Submitted] = [*standing, *([mixtures] if mixtures else [])]
    finished = yield wanted
    trained = dict(one for other in finished.values() for one in _trained(other, seeds, arrays))
    record = standing[0].record
    return [
        explain(one, trained, arrays, experiment_id=record.experiment_id, name=record.experiment.name)
        for one in plans
    ]


def _plans(session: Session, record: ExperimentRecord, question: Question) -> Iterator[Plan]:
    """Yield what is to be trained for each other side."""
    runs = {run.side: run for run in one_a_side(session.ledger.runs(record.run_ids))}
    reference = runs[record.experiment.labels[0]]
    for other in question.others:
        yield plan(reference, runs[other], seeds=question.seeds, most_combined=question.most_combined)


def _standing(
    session: Session, record: ExperimentRecord, seeds: Sequence[int]
) -> tuple[list[Submitted], set[str]]:
    """Return the experiment and its earlier mixtures, and the identities of their runs with all these seeds.

    These runs are trained or being trained.
    """
    now = session.ledger.experiment(record.experiment_id) or record
    records = {OWN: now}
    for relation, experiment_id in now.related.items():
        if relation.startswith(MIXTURES) and (found := session.ledger.experiment(experiment_id)):
            records[relation] = found
    standing, known = [], set()
    for relation, one in records.items():
        states = {state.run_id: state for state in session.ledger.records(one.run_ids)}
        ended = all(state.final for state in states.values())
        standing.append(Submitted(relation=relation, record=one, ended=ended))
        for name, runs in _by_identity(session.ledger.runs(one.run_ids)).items():
            covered = {seed for run in runs if _tells(states[run.run_id]) for seed in run.seeds}
            if covered.issuperset(seeds):
                known.add(name)
    return standing, known


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
