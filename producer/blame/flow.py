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
from likewise.producer.experiments import follow_to_end, submit_follow_ups
from likewise.producer.runs.results import merged, one_a_side, trained_of
from likewise.producer.runs.routing import Need, refuse_unserved
from likewise.producer.runs.submit import FollowUp
from likewise.producer.runs.submitted import still_wanted
from likewise.producer.session import Session
from likewise.producer.verdict.judge import NO_WORD_ON_NUMBERS
from likewise.shared.errors import UsageError
from likewise.shared.job.experiment import MAX_SEEDS, Experiment
from likewise.shared.ledger.records import ExperimentRecord, RunRecord
from likewise.shared.run import Run

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

    Raises CancelledError where it is cancelled meanwhile.
    """
    plans = list(_plans(session, record, question))
    known = set(_known(session, record, question.seeds))
    runs = {identity(run): run for one in plans for run in one.runs()}
    missing = [run for name, run in runs.items() if name not in known]
    if not queue_anyway:
        refuse_unserved(map(Need.of_run, missing), session.ledger.workers())
    wanted = [_mixtures(session, record, missing)] if missing else []
    submitted = submit_follow_ups(session, record, wanted)
    follow_to_end(session, record, *submitted.values(), quiet=quiet)
    still_wanted(record, ledger=session.ledger)
    trained = dict(_trained(session, record, question.seeds))
    return [
        explain(
            one, trained, session.blobs.get, experiment_id=record.experiment_id, name=record.experiment.name
        )
        for one in plans
    ]


def _plans(session: Session, record: ExperimentRecord, question: Question) -> Iterator[Plan]:
    """Yield what is to be trained for each other side."""
    runs = {run.side: run for run in one_a_side(session.ledger.runs(record.run_ids))}
    reference = runs[record.experiment.labels[0]]
    for other in question.others:
        yield plan(reference, runs[other], seeds=question.seeds, most_combined=question.most_combined)


def _records(session: Session, record: ExperimentRecord) -> Iterator[ExperimentRecord]:
    """Yield the experiment and its mixtures, as they stand now."""
    now = session.ledger.experiment(record.experiment_id) or record
    yield now
    for relation, experiment_id in now.related.items():
        if relation.startswith(MIXTURES) and (found := session.ledger.experiment(experiment_id)):
            yield found


def _known(session: Session, record: ExperimentRecord, seeds: Sequence[int]) -> Iterator[str]:
    """Yield the identities of the runs with all these seeds that are trained or being trained."""
    for one in _records(session, record):
        states = {state.run_id: state for state in session.ledger.records(one.run_ids)}
        for name, runs in _by_identity(session.ledger.runs(one.run_ids)).items():
            covered = {seed for run in runs if _tells(states[run.run_id]) for seed in run.seeds}
            if covered.issuperset(seeds):
                yield name


def _by_identity(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs; those that share one training's seeds among them together."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(identity(run), []).append(run)
    return found


def _tells(record: RunRecord) -> bool:
    """Return whether a run has, or will have, something to say: unless its surroundings ended it."""
    return record.failure is None or record.failure.reason not in NO_WORD_ON_NUMBERS


def _mixtures(session: Session, record: ExperimentRecord, runs: Sequence[Run]) -> FollowUp:
    """Return the mixtures as a follow-up, under a relation that the experiment does not have yet."""
    experiment = record.experiment.with_sides([run.side for run in runs], seeds=runs[0].seeds)
    earlier = sum(1 for _ in _records(session, record)) - 1
    relation = f"{MIXTURES} {earlier + 1}" if earlier else MIXTURES
    return FollowUp(relation=relation, experiment=experiment, runs=runs)


def _trained(
    session: Session, record: ExperimentRecord, seeds: Sequence[int]
) -> Iterator[tuple[str, TrainedRun]]:
    """Yield every run of all these seeds with its result, by identity; the latest last, so that it counts."""
    for one in _records(session, record):
        trained = trained_of(session, one)
        results = {run.run_id: result for run, result in trained}
        for name, runs in _by_identity(run for run, _ in trained).items():
            if set(seeds) <= {seed for run in runs for seed in run.seeds}:
                (result,) = merged([results[run.run_id] for run in runs]).values()
                run = runs[0].model_copy(update={"seeds": tuple(seeds)})
                yield name, TrainedRun.of(run, result, session.blobs.get)
